package npmauth

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
)

// ErrNoUser is what a [Users] returns for a name or an ID that nobody has. A
// credential of such a user is dead; it is not an outage.
var ErrNoUser = errors.New("npmauth: no such user")

// A User is what a host says of one of its people.
type User struct {
	// ID is immutable and never used again, not even after the user is gone.
	ID policy.UserID
	// Name is what npm whoami prints, and may change.
	Name string
	// Email is shown in the profile and, as on npmjs.com, to anyone signed in
	// who asks for the user's document. May be empty.
	Email string
	// Disabled makes every credential of the user dead.
	Disabled bool
	// Created is shown in the profile. May be zero.
	Created time.Time
}

// Users is the host's table of people. Its methods are called from many
// goroutines. An error other than [ErrNoUser] is an outage: the request is
// refused with 503.
type Users interface {
	// Lookup finds a user by the name typed at a login.
	Lookup(ctx context.Context, name string) (User, error)
	// User finds a user by ID. It is asked about the owner of each presented
	// credential; the answer is kept no longer than [Config.Fresh].
	User(ctx context.Context, id policy.UserID) (User, error)
	// CheckPassword reports whether pw is the password of id. For an id that
	// does not exist, "" among them, it must take as long as for one that does
	// and report false, or the time tells who has an account.
	CheckPassword(ctx context.Context, id policy.UserID, pw credential.Secret) (bool, error)
}

// Packages is the host's table of packages and of who may do what with them.
type Packages interface {
	// Facts says what is true of pkg now, and what user may do with it. user is
	// "" for the anonymous. A package that does not exist is not an error: its
	// Facts have no ID. Before a write npmauth always asks; for reads it may use
	// an answer as old as [Config.HostFresh].
	Facts(ctx context.Context, pkg policy.PackageName, user policy.UserID) (policy.Facts, error)
}

// A ForeignToken is an older token of the host's own, presented as a bearer.
// It may do no more than its Grants say, and the policy of npm lets it read.
type ForeignToken struct {
	ID      string // public: appears in events
	User    policy.UserID
	Grants  []policy.Grant
	CIDRs   []netip.Prefix
	Created time.Time
	Expires time.Time // zero: never
}

// directory makes an [account.Directory] a [Users].
type directory struct{ d *account.Directory }

func (u directory) Lookup(ctx context.Context, name string) (User, error) {
	return u.user(u.d.Lookup(ctx, name))
}

func (u directory) User(ctx context.Context, id policy.UserID) (User, error) {
	return u.user(u.d.ByID(ctx, id))
}

func (u directory) CheckPassword(ctx context.Context, id policy.UserID, pw credential.Secret) (bool, error) {
	return u.d.CheckPassword(ctx, id, pw)
}

func (u directory) user(p account.User, err error) (User, error) {
	if errors.Is(err, account.ErrNoUser) {
		return User{}, ErrNoUser
	}
	if err != nil {
		return User{}, err
	}
	return User{ID: p.ID, Name: p.Name, Email: p.Email, Created: p.Created}, nil
}
