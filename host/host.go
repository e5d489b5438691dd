// Package host has the interfaces that a registry implements, and the context that its handler
// receives.
//
// A registry has its own tables of packages, and perhaps of people, documents and
// organizations. It gives them to [npmauth.Config] as a [Packages], [Users], [Documents] and
// [Orgs]. Its handler reads from the context who sent a request and what was allowed:
//
//	who, known := host.IdentityFrom(r.Context())
//	op, _ := host.OperationFrom(r.Context())
//	change, err := op.Change()
//
// The write is exactly what the [Operation] and its Change describe, and is valid only for that
// PackageID and OrgID. A registry's own searches and lists must omit what is not [Readable].
// Package [github.com/npmauth/npmauth/host/hosttest] tests that a registry does all this.
//
// # Errors
//
// An error of a table is an outage, and the request is refused with 503, except for the errors
// below and those of package account, which have sentences. To choose its own sentence a host
// returns an error of package wire.
//
// [npmauth.Config]: https://pkg.go.dev/github.com/npmauth/npmauth#Config
package host

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Errors that a host's tables of people return.
var (
	// ErrNoUser is what a [Users] returns for an unknown name or ID. A credential of such a
	// user is dead; it is not an outage.
	ErrNoUser = errors.New("host: no such user")
	// ErrNameTaken is what a [SignUp] returns for a name that a user has.
	ErrNameTaken = errors.New("host: the name is taken")
	// ErrWrongPassword is what a [Passwords] returns if the old password is wrong, perhaps
	// because it was changed in the meantime.
	ErrWrongPassword = errors.New("host: wrong password")
)

// A User is a user of the host.
type User struct {
	// ID is immutable and never reused, not even after the user is gone.
	ID protocol.UserID
	// Name is what npm whoami prints, and may change.
	Name string
	// Email is shown in the profile and, as on npmjs.com, to every signed-in user who reads the
	// user's document. May be empty.
	Email string
	// Disabled reports whether the user is disabled: every credential of the user is invalid then.
	Disabled bool
	// Created is shown in the profile. May be zero.
	Created time.Time
	// Service is true for a service account, which is no person. It signs in nowhere, whatever
	// CheckPassword reports, and its tokens are created by its administrators, see
	// Config.Services.
	Service bool
	// HighImpact is true of an account that many packages depend on. After a recovery code was
	// used, or an operator removed its second factor, it can only read for
	// [policy.Limits].HighImpactHold. npm counts a million downloads a week or five hundred
	// dependents. An operator can set it with subject.Manager.SetHighImpact, too. The same applies
	// after the account's e-mail address changed or an operator set its password: with [Profiles]
	// and an account.Directory npmauth knows of it, and other hosts call subject.Manager.Recovered.
	HighImpact bool
	// Groups are the host's own groups of the user, for the rules of the host's own policy
	// ([policy.Account].Groups): a company's "release-managers". They must not be changed once
	// they were returned.
	Groups []string
}

// Users is the host's table of people. Its methods are called from many goroutines. An error
// other than [ErrNoUser] is an outage: the request is refused with 503.
//
// A Users may have more methods, which npmauth finds by their interfaces:
//
//   - [SignUp]: the page for signing up and npm adduser, where Config.OpenSignUp is
//   - [Profiles]: npm profile set
//   - [Passwords]: npm profile set password
//   - [Services]: tokens of service accounts, where Config.Services is nil
//
// Without them these requests are refused with 403. A wrapper of a Users must have them, too.
// An account.Directory has all of them.
type Users interface {
	// Lookup returns the user with the name typed at a login.
	Lookup(ctx context.Context, name string) (User, error)
	// User returns the user with this ID. It is called for the user of each presented credential;
	// the result is cached no longer than Config.Fresh.
	User(ctx context.Context, id protocol.UserID) (User, error)
	// CheckPassword reports whether pw is the password of id. For an id that does not exist, ""
	// among them, it must take as long as for one that does and report false, or the time
	// reveals who has an account. The empty password is refused whatever it reports.
	CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error)
}

// SignUp is an optional interface of a [Users]: people create an account at the page
// /-/auth/signup and with npm adduser.
type SignUp interface {
	// SignUp creates an account and returns its ID. It is called only if Config.OpenSignUp is
	// set, after Lookup has found no user of that name and [Orgs] no organization. No policy
	// decides on it: anyone may sign up. A name that was taken in the meantime is
	// [ErrNameTaken].
	SignUp(ctx context.Context, user NewUser) (protocol.UserID, error)
}

// A NewUser is an account to create. None of it was checked.
type NewUser struct {
	Name     string
	Email    string // "" for an npm login, with Legacy.SignUpAtLogin
	Password credential.Secret
}

// A Profile is what npm profile shows of a user beside the name.
type Profile struct {
	Email string
	// EmailVerified says whether the e-mail address is known to be the user's. It is false for
	// a new e-mail address.
	EmailVerified bool

	FullName, Homepage, Freenode, Twitter, GitHub string

	// Updated is when any of it changed last. The zero time means never since the account was
	// created.
	Updated time.Time
}

// Profiles is an optional interface of a [Users]: npm profile get shows more than a name and an
// e-mail address, and npm profile set changes it.
type Profiles interface {
	// Profile returns the present profile of a user.
	Profile(ctx context.Context, id protocol.UserID) (Profile, error)
	// SetProfile prepares a change of the profile from was to is. It changes nothing yet: an
	// error refuses the change before a second factor is spent. An e-mail address that differs
	// is valid by account.ValidEmail, and the other fields by account.Profile.Validate. A host
	// that keeps only some of the fields refuses a change of the others with an error of
	// package wire.
	SetProfile(ctx context.Context, id protocol.UserID, was, is Profile) (Write, error)
}

// Passwords is an optional interface of a [Users]: people change their password with npm
// profile set password. If they change it otherwise, see Auth.PasswordChanged.
type Passwords interface {
	// ChangePassword prepares a change of the password from old to new. It returns
	// [ErrWrongPassword] if old is not the password, then checks whether new is acceptable, and
	// does the slow work. It changes nothing yet.
	//
	// The [Write] must write only if the password is still the one that was checked, and is
	// ErrWrongPassword otherwise: of two changes of one password, one happens. npmauth ends the
	// sessions of the user except that of the request, before the Write and after it.
	ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (Write, error)
}

// A Write makes a change that a host has prepared. It is called at most once, immediately after
// the last decision on the request and the spending of its second factor: a revocation during
// the preparation prevents the call. Its ctx does not end when the client disconnects, but
// after ten seconds. An error that is neither an error of package wire nor one of those beside
// [ErrNoUser] is an outage, after which the change may or may not have been made.
type Write func(ctx context.Context) error

// Packages is the host's table of packages and of the rights of users.
//
// A Packages may have the methods of [Tarballs], too, which npmauth finds by that interface: then people see in which
// files a staged version differs from what is published.
type Packages interface {
	// Facts returns the present state of pkg, and what user may do with it. user is "" for an
	// anonymous request. A package that does not exist is not an error: its Facts have no ID.
	// Before a write npmauth always calls it; for reads it may use a result as old as
	// Config.HostFresh.
	Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error)
}

// Tarballs is an optional interface of a [Packages], for hosts that offer staging: the page of a staged version lists
// its files, and with [Documents] in which of them it differs from the version that its dist-tag names. A wrapper of a
// Packages must have it, too. It is called for people who may see the staged version.
//
// npmauth reads what is returned to its end, or as much of it as it compares, and closes it. An error that is
// [io/fs.ErrNotExist] means that there is no such tarball, and any other that it cannot be read at the moment: the page
// says so, and shows all else. Several may be open at a time, also of one tarball.
type Tarballs interface {
	// StagedTarball opens the tarball that the host keeps under the ID of a staged version.
	StagedTarball(ctx context.Context, id string) (io.ReadCloser, error)
	// PublishedTarball opens the tarball of a published version.
	PublishedTarball(ctx context.Context, pkg protocol.PackageID, version string) (io.ReadCloser, error)
}

// Documents returns the present document of a package. The guard compares a changed document
// with it: npm deprecate and npm unpublish send the whole document back, and only the
// difference shows what they do.
type Documents interface {
	// Document returns the document of pkg. It is called only for a package that exists, and a
	// user who may write it.
	Document(ctx context.Context, pkg protocol.PackageName) (Document, error)
}

// A Document is the part of a package's document that the guard needs.
type Document struct {
	// ID is the package whose document it is: the same as in its Facts, unless it was replaced
	// since.
	ID protocol.PackageID
	// Revision is the document's _rev, "" if the host has none. A change of another revision is
	// refused with 409: its sender read an older document.
	Revision string
	// Versions are the versions that exist, each with its deprecation message, "" for none.
	Versions map[string]string
	// Tags are the dist-tags and the versions they name.
	Tags map[string]string
	// Maintainers are the names of the package's maintainers, in any order.
	Maintainers []string
}

// Orgs is the host's table of organizations. As on npmjs.com they share their names with users:
// if package account keeps the people, nobody can sign up with an organization's name.
//
// An Orgs may have the methods of [Memberships], [FactorRules] and [UserScopes], too, which npmauth finds by their
// interfaces. Without the first two these requests are refused with 403, and without UserScopes a user's scope is answered as
// an organization that does not exist, with 404.
//
// The owners of an organization decide on the packages in the scope of its name, also on those that [Packages] gives them no right to: what is
// demanded there, and which jobs publish all of them as trusted publishers. So let no organization get the name of a scope that has
// packages of others.
type Orgs interface {
	// OrgFacts returns the present state of org, and the role of user in it; user is "" if only
	// the existence matters, as it does for the trusted publishers of a scope, which belong to the
	// ID of the organization that has its name. An organization that does not exist is not an error:
	// its facts have no ID. It is always called, and its result is not kept.
	OrgFacts(ctx context.Context, org string, user protocol.UserID) (policy.OrgFacts, error)
	// FactorRequired reports whether an organization that user is in requires a second factor
	// of its members. It is called before user removes theirs.
	FactorRequired(ctx context.Context, user protocol.UserID) (bool, error)
}

// Memberships is an optional interface of an [Orgs]: people see at /-/auth/orgs which organizations
// they are in. A wrapper of an Orgs must have it, too, and [FactorRules] and [UserScopes].
type Memberships interface {
	// Memberships returns the organizations that user is in, in the order in which they are shown.
	// It is always called, and its result is not kept.
	Memberships(ctx context.Context, user protocol.UserID) ([]Membership, error)
}

// A Membership is an organization that a user is in.
type Membership struct {
	Org  string // its name
	Role protocol.OrgRole
	// RequireFactor reports whether the organization requires a second factor of its members.
	RequireFactor bool
}

// FactorRules is an optional interface of an [Orgs]: owners decide whether their organization
// requires a second factor of its members. Without it only the host does.
type FactorRules interface {
	// SetRequireFactor prepares to set whether org requires a second factor of its members. It
	// changes nothing yet: an error refuses the change before a second factor is spent. From when
	// the [Write] has returned OrgFacts, FactorRequired and the Facts of its packages say so. A
	// Write for an organization that is no more changes nothing and is an error.
	SetRequireFactor(ctx context.Context, org protocol.OrgID, require bool) (Write, error)
}

// UserScopes is an optional interface of an [Orgs]: users set for the scope of their own name, such as @alice, what owners
// of an organization set for its scope, at /-/auth/orgs. Without it only the host does.
type UserScopes interface {
	// OwnScope returns the scope in which nobody but user creates packages, without its @, as on npmjs.com that of
	// the user's name. "" means that there is none. An organization of that name has it in the user's place. It is
	// always called, and its result is not kept.
	OwnScope(ctx context.Context, user protocol.UserID) (string, error)
}

// Services returns who administers a service account: an administrator, in a session and with a
// second factor, creates tokens for it, lists and revokes them. It is called at each of these,
// and its result is not kept. Tokens that a former administrator created stay valid until they
// expire or are revoked: they belong to the account.
type Services interface {
	// Administers reports whether admin administers the service account called service, and
	// returns that account's user. [ErrNoUser] means that there is none; a user who is no
	// service account has no administrator, whatever it returns.
	Administers(ctx context.Context, admin protocol.UserID, service string) (User, bool, error)
}

// A ForeignToken is an older token of the host's own, presented as a bearer token. It may do no
// more than its Grants allow, and npm's policy lets it read.
type ForeignToken struct {
	ID     string // public, for events
	Name   string // for the rules of the host's own policy; may be empty
	User   protocol.UserID
	Grants []protocol.Grant
	CIDRs  []netip.Prefix
	// Created is compared with the time of the last revocation of everything that the user has:
	// a token that was created before it is dead.
	Created time.Time
	Expires time.Time // zero: never
}
