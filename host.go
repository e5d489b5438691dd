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
	// Service is an account that is no person. It signs in nowhere, whatever
	// CheckPassword says, and its tokens are made by those of whom
	// [Config.Services] says that they administer it.
	Service bool
	// HighImpact is true of an account that many depend on. After a recovery code was
	// used it can do nothing lasting for [policy.Limits].HighImpactHold. npm counts a
	// million downloads a week or five hundred dependents. What is not the host's to say
	// can be set with [subject.Manager.SetHighImpact]. The same holds after the
	// account's e-mail address changed, of which a host that keeps it tells with
	// [subject.Manager.Recovered].
	HighImpact bool
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

// Documents says what a package's document holds now. It is what the guard compares a
// changed document with: npm deprecate and npm unpublish send the whole of it back, and
// only the difference tells what they do.
type Documents interface {
	// Document returns the document of pkg. It is asked only about a package that
	// exists, for a user who may write it.
	Document(ctx context.Context, pkg policy.PackageName) (Document, error)
}

// A Document is what the guard needs to know of a package's document.
type Document struct {
	// ID is the package whose document it is: the same as in its Facts, unless it was
	// replaced since they were asked for.
	ID policy.PackageID
	// Revision is the document's _rev, "" where the host has none. A change of another
	// revision is refused with 409: what its sender read is not what there is.
	Revision string
	// Versions are the versions that exist, each with its deprecation message, "" for
	// none.
	Versions map[string]string
	// Tags are the dist-tags and the versions they name.
	Tags map[string]string
	// Maintainers are the names of those who maintain the package, in any order.
	Maintainers []string
}

// Orgs is the host's table of organizations. As on npmjs.com they share their names with
// users: where package account keeps the people, nobody signs up as an organization.
type Orgs interface {
	// OrgFacts says what is true of org now, and what part user has in it; user is ""
	// where it is only asked whether there is one. One that does not exist is not an
	// error: its facts have no ID. It is always asked, and nothing it says is kept.
	OrgFacts(ctx context.Context, org string, user policy.UserID) (policy.OrgFacts, error)
	// FactorRequired reports whether an organization that user is in demands a second
	// factor of its members. It is asked before user takes it off.
	FactorRequired(ctx context.Context, user policy.UserID) (bool, error)
}

// Services says who administers a service account: who, in a session and with a second
// factor, makes tokens for it, lists and revokes them. It is asked at each of these, and
// nothing it says is kept. Tokens that were made by somebody who is no administrator any
// more go on until they end or are revoked: they belong to the account.
type Services interface {
	// Administers reports whether admin administers the service account called service,
	// and returns that account's user. [ErrNoUser] means that there is none; a user who is no
	// service account is administered by nobody, whatever it says.
	Administers(ctx context.Context, admin policy.UserID, service string) (User, bool, error)
}

// A ForeignToken is an older token of the host's own, presented as a bearer.
// It may do no more than its Grants say, and the policy of npm lets it read.
type ForeignToken struct {
	ID     string // public: appears in events
	User   policy.UserID
	Grants []policy.Grant
	CIDRs  []netip.Prefix
	// Created is what a revocation of everything that the user has is compared with: a
	// bearer that was created before it is dead.
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

func (u directory) Administers(ctx context.Context, admin policy.UserID, service string) (User, bool, error) {
	p, administers, err := u.d.Administers(ctx, admin, service)
	user, err := u.user(p, err)
	return user, administers, err
}

func (u directory) user(p account.User, err error) (User, error) {
	if errors.Is(err, account.ErrNoUser) {
		return User{}, ErrNoUser
	}
	if err != nil {
		return User{}, err
	}
	return User{ID: p.ID, Name: p.Name, Email: p.Email, Created: p.Created, Service: p.Service}, nil
}
