// Package account keeps people with their names and passwords, for hosts that have no
// user table of their own. What is true of an account whoever keeps it, such as whether
// it is disabled, package subject keeps.
//
//	hasher, err := account.NewHasher(account.HasherConfig{})
//	people, err := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: hasher})
//	user, err := people.Create(ctx, audit.Actor{}, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: pw})
//	ok, err := people.CheckPassword(ctx, user.ID, presented)
//
// # Passwords
//
// A password is normalised to Unicode's form C, so that it is the same from
// every keyboard, and hashed with argon2id. Nothing else is done to it: spaces
// count, and nothing is cut off. Hashing is slow by design, so [Hasher] lets a
// few run at once and everyone else wait in a queue that is fair between
// networks; see there for what a full queue answers.
//
// A change of the password ends, in the same commit, the sessions of the account and the
// logins under way with the old one. Tokens live on: they do not depend on the password.
//
// # Signing in
//
// A password check takes its time, in which the password can change. Read the account with
// [subject.Get] before [Directory.CheckPassword], and pass its Evidence to
// [store.Tx.Expect] in the commit that creates a session: so a password that was right
// opens no session after it was changed. Package session does this.
//
// # Service accounts
//
// A service account is a user of a [Directory] who is no person: it has no password, and
// a sign-in as one is refused like a wrong password. Its administrators make its tokens.
//
// # Unknown users
//
// An unknown user costs the same as a known one, as long as its password was
// hashed with the parameters in use. A sign-in should call CheckPassword with
// the empty ID where [Directory.ByName] found nobody.
package account

import (
	"errors"

	"github.com/npmauth/npmauth/host"
)

// Errors of this package, possibly wrapped with the reason.
var (
	// ErrNoUser means that there is no such user.
	ErrNoUser = host.ErrNoUser
	// ErrName means that a user cannot have this name. The reason is part of
	// the text and may be shown.
	ErrName = errors.New("account: invalid user name")
	// ErrNameTaken means that a user has this name already.
	ErrNameTaken = host.ErrNameTaken
	// ErrService means that a service account was asked for what only a person has, or a
	// person for what only a service account has.
	ErrService = errors.New("account: not for this kind of account")
	// ErrAdministrators means that a service account cannot have these administrators.
	// The reason is part of the text and may be shown.
	ErrAdministrators = errors.New("account: invalid administrators")
	// ErrChanged means that a profile was changed since it was read.
	ErrChanged = errors.New("account: the profile has changed")
	// ErrEmail means that the text is not an e-mail address.
	ErrEmail = errors.New("account: invalid e-mail address")
	// ErrProfile means that a field of a profile is too long or holds control
	// characters.
	ErrProfile = errors.New("account: invalid profile")
	// ErrPassword means that a user cannot have this password; the error is a
	// [*PasswordError].
	ErrPassword = errors.New("account: unacceptable password")
	// ErrWrongPassword means that the present password is another, also because
	// it was changed in the meantime.
	ErrWrongPassword = host.ErrWrongPassword
	// ErrHash means that a stored or imported password hash is of no kind that
	// is accepted, or that its parameters pass the limits.
	ErrHash = errors.New("account: unusable password hash")
	// ErrBusy means that too many passwords are being checked. The caller has
	// waited for [HasherConfig].Wait already; HTTP should answer 503.
	ErrBusy = errors.New("account: too many passwords at once")
)
