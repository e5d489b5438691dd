// Package account is a user table with names and passwords, for hosts that have none of their own.
// What does not depend on the user table, such as whether an account is disabled, is in package
// subject.
//
//	hasher, err := account.NewHasher(account.HasherConfig{})
//	people, err := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: hasher})
//	user, err := people.Create(ctx, audit.Actor{}, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: pw})
//	ok, err := people.CheckPassword(ctx, user.ID, presented)
//
// # Passwords
//
// A password is normalised to Unicode's form C, so that it is the same from every keyboard, and
// hashed with argon2id. Nothing else is done to it: spaces count, and nothing is cut off.
// Hashing is slow by design, so [Hasher] computes a few hashes at once and all other callers
// wait in a queue that is fair between networks; [Hasher] says what happens when the queue is
// full.
//
// A change of the password ends, in the same commit, the sessions of the account and the logins
// under way with the old one. Tokens stay valid: they do not depend on the password.
//
// # Signing in
//
// A password can change while it is checked. Read the account with [subject.Get] before
// [Directory.CheckPassword], and pass its Evidence to [store.Tx.Expect] in the commit that creates
// a session: then a password that was changed meanwhile creates no session. Package session does
// this.
//
// # Service accounts
//
// A service account is a user of a [Directory] that is no person: it has no password, and a
// sign-in as one is refused like a wrong password. Its administrators create its tokens.
//
// # Unknown users
//
// An unknown user costs the same requests of the store and the same hashes as a known one. While
// imported hashes are stored that take another time than new ones, each check computes one of every
// kind, until their users have signed in or changed their passwords. A sign-in should call
// CheckPassword with the empty ID if [Directory.ByName] finds no user.
package account

import (
	"errors"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/subject"
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
	// ErrService means that the operation is for people and the account is a service account,
	// or the other way round.
	ErrService = errors.New("account: not for this kind of account")
	// ErrAdministrators means that a service account cannot have these administrators.
	// The reason is part of the text and may be shown.
	ErrAdministrators = errors.New("account: invalid administrators")
	// ErrChanged means that a profile was changed since it was read.
	ErrChanged = errors.New("account: the profile has changed")
	// ErrEmail means that the text is not an e-mail address.
	ErrEmail = errors.New("account: invalid e-mail address")
	// ErrProfile means that a field of a profile is too long or has control characters.
	ErrProfile = errors.New("account: invalid profile")
	// ErrPassword means that a user cannot have this password; the error is a
	// [*PasswordError].
	ErrPassword = errors.New("account: unacceptable password")
	// ErrWrongPassword means that the password is wrong, perhaps because it was changed in the
	// meantime.
	ErrWrongPassword = host.ErrWrongPassword
	// ErrHash means that a stored or imported password hash is of an unknown kind, or that its
	// parameters exceed the limits.
	ErrHash = errors.New("account: unusable password hash")
	// ErrBusy means that too many passwords are being checked. The caller has waited for
	// [HasherConfig].Wait already; HTTP should answer 503.
	ErrBusy = subject.ErrBusy
)
