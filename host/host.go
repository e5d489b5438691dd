// Package host is the side that a registry implements, and what its handler is handed.
//
// A registry has its own tables of packages, and perhaps of people, documents and
// organizations. It gives them to [npmauth.Config] as a [Packages], [Users], [Documents] and
// [Orgs], and asks in its handler who sent a request and what was allowed:
//
//	who, known := host.IdentityFrom(r.Context())
//	op, _ := host.OperationFrom(r.Context())
//	change, err := op.Change()
//
// The write is what the [Operation] and its Change say and no more, and holds only for the
// PackageID and OrgID that were judged. A registry's own searches and lists leave out what is
// not [Readable]. Package [github.com/npmauth/npmauth/host/hosttest] proves that a registry
// keeps its side.
//
// # Errors
//
// An error of a table is an outage, and the request is refused with 503, but for those that
// stand below and those of package account, for which there are sentences. To say something
// in its own words a host returns an error of package wire.
//
// [npmauth.Config]: https://pkg.go.dev/github.com/npmauth/npmauth#Config
package host

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Errors that a host's tables of people return.
var (
	// ErrNoUser is what a [Users] returns for a name or an ID that nobody has. A
	// credential of such a user is dead; it is not an outage.
	ErrNoUser = errors.New("host: no such user")
	// ErrNameTaken is what a [SignUp] returns for a name that somebody has.
	ErrNameTaken = errors.New("host: the name is taken")
	// ErrWrongPassword is what a [Passwords] returns where the present password is another,
	// also because it was changed in the meantime.
	ErrWrongPassword = errors.New("host: wrong password")
)

// A User is what a host says of one of its people.
type User struct {
	// ID is immutable and never used again, not even after the user is gone.
	ID protocol.UserID
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
	// Config.Services says that they administer it.
	Service bool
	// HighImpact is true of an account that many depend on. After a recovery code was
	// used it can do nothing lasting for [policy.Limits].HighImpactHold. npm counts a
	// million downloads a week or five hundred dependents. What is not the host's to say
	// can be set with subject.Manager.SetHighImpact. The same holds after the
	// account's e-mail address changed: with [Profiles] npmauth knows, and of what a host
	// changes otherwise it tells with subject.Manager.Recovered.
	HighImpact bool
}

// Users is the host's table of people. Its methods are called from many
// goroutines. An error other than [ErrNoUser] is an outage: the request is
// refused with 503.
//
// A Users may have more methods, which npmauth finds and then offers what they are for:
//
//   - [SignUp]: npm adduser, where Config.OpenSignUp is
//   - [Profiles]: npm profile set
//   - [Passwords]: npm profile set password
//   - [Services]: tokens of service accounts, where Config.Services is nil
//
// Without them these are refused with 403. Whoever wraps a Users must have them, too.
// An account.Directory has all of them.
type Users interface {
	// Lookup finds a user by the name typed at a login.
	Lookup(ctx context.Context, name string) (User, error)
	// User finds a user by ID. It is asked about the owner of each presented
	// credential; the answer is kept no longer than Config.Fresh.
	User(ctx context.Context, id protocol.UserID) (User, error)
	// CheckPassword reports whether pw is the password of id. For an id that
	// does not exist, "" among them, it must take as long as for one that does
	// and report false, or the time tells who has an account.
	CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error)
}

// SignUp is what a [Users] may also be: people create an account with npm adduser and with
// npm login --auth-type=legacy.
type SignUp interface {
	// SignUp creates an account and returns its ID. It is called only where
	// Config.OpenSignUp is, after Lookup has found nobody of that name and [Orgs] no
	// organization, and judged by no policy: anyone may ask. A name that somebody has in
	// the meantime is [ErrNameTaken], which is answered like a wrong password.
	SignUp(ctx context.Context, user NewUser) (protocol.UserID, error)
}

// A NewUser is an account that somebody asks for. None of it was checked.
type NewUser struct {
	Name     string
	Email    string // "" where the client sent none
	Password credential.Secret
}

// A Profile is what npm profile shows of a user beside the name.
type Profile struct {
	Email string
	// EmailVerified says whether the address is known to be the user's. False with every
	// address that is new.
	EmailVerified bool

	FullName, Homepage, Freenode, Twitter, GitHub string

	// Updated is when any of it changed last. The zero time means: never since the account
	// was created.
	Updated time.Time
}

// Profiles is what a [Users] may also be: npm profile get shows more than a name and an
// address, and npm profile set changes it.
type Profiles interface {
	// Profile returns what a user says about themselves now.
	Profile(ctx context.Context, id protocol.UserID) (Profile, error)
	// SetProfile prepares a change from what Profile returned to what it is to return then.
	// Nothing has changed when it returns: an error refuses the change before a second factor
	// is spent. An address that differs is one, as account.ValidEmail has it, and the other
	// fields are as account.Profile.Validate wants them. A host that keeps only some of the
	// fields refuses a change of the others with an error of package wire.
	SetProfile(ctx context.Context, id protocol.UserID, was, is Profile) (Write, error)
}

// Passwords is what a [Users] may also be: people change their password with npm profile
// set password. Where they change it otherwise, see Auth.PasswordChanged.
type Passwords interface {
	// ChangePassword prepares a change of the password from old to new. It says
	// [ErrWrongPassword] where old is not the password, then whether new will do, and does
	// what takes long. Nothing has changed when it returns.
	//
	// The [Write] must write only if the password is still the one that was checked, and is
	// ErrWrongPassword otherwise: of two changes of one password, one happens. The sessions
	// of the user but the one that asks are ended by npmauth, before the Write and after it.
	ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (Write, error)
}

// A Write makes a change that a host has prepared. It is called at most once, and only when
// the request was judged for the last time and its second factor is spent, right before: what
// was revoked while the change was prepared, it is not called for. Its ctx does not end when
// the client goes away, but after ten seconds. An error that is neither an error of package wire nor one of
// those that stand beside [ErrNoUser] is an outage, after which the change may have been made
// or not.
type Write func(ctx context.Context) error

// Packages is the host's table of packages and of who may do what with them.
type Packages interface {
	// Facts says what is true of pkg now, and what user may do with it. user is
	// "" for the anonymous. A package that does not exist is not an error: its
	// Facts have no ID. Before a write npmauth always asks; for reads it may use
	// an answer as old as Config.HostFresh.
	Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error)
}

// Documents says what a package's document holds now. It is what the guard compares a
// changed document with: npm deprecate and npm unpublish send the whole of it back, and
// only the difference tells what they do.
type Documents interface {
	// Document returns the document of pkg. It is asked only about a package that
	// exists, for a user who may write it.
	Document(ctx context.Context, pkg protocol.PackageName) (Document, error)
}

// A Document is what the guard needs to know of a package's document.
type Document struct {
	// ID is the package whose document it is: the same as in its Facts, unless it was
	// replaced since they were asked for.
	ID protocol.PackageID
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
	OrgFacts(ctx context.Context, org string, user protocol.UserID) (policy.OrgFacts, error)
	// FactorRequired reports whether an organization that user is in demands a second
	// factor of its members. It is asked before user takes it off.
	FactorRequired(ctx context.Context, user protocol.UserID) (bool, error)
}

// Services says who administers a service account: who, in a session and with a second
// factor, makes tokens for it, lists and revokes them. It is asked at each of these, and
// nothing it says is kept. Tokens that were made by somebody who is no administrator any
// more go on until they end or are revoked: they belong to the account.
type Services interface {
	// Administers reports whether admin administers the service account called service,
	// and returns that account's user. [ErrNoUser] means that there is none; a user who is no
	// service account is administered by nobody, whatever it says.
	Administers(ctx context.Context, admin protocol.UserID, service string) (User, bool, error)
}

// A ForeignToken is an older token of the host's own, presented as a bearer.
// It may do no more than its Grants say, and the policy of npm lets it read.
type ForeignToken struct {
	ID     string // public: appears in events
	User   protocol.UserID
	Grants []protocol.Grant
	CIDRs  []netip.Prefix
	// Created is what a revocation of everything that the user has is compared with: a
	// bearer that was created before it is dead.
	Created time.Time
	Expires time.Time // zero: never
}
