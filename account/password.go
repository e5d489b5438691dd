package account

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/npmauth/npmauth/credential"
)

// MaxPassword is how many bytes of UTF-8 a password may have.
const MaxPassword = 1024

// DefaultMinPassword is how many characters a new password needs if [Passwords].Min is zero: npm
// requires more than ten.
const DefaultMinPassword = 11

// Passwords says which new passwords are acceptable. The zero value has the defaults.
//
// Besides, a password is refused that is the e-mail address of its user, or mostly the user name
// (npm's rule), or so much made of common words, keys in a row, repetitions and the user's name
// and address that guesses begin with it: Password1234 is, however many characters it has.
type Passwords struct {
	// Min is how many characters (code points) a new password needs. Zero means
	// [DefaultMinPassword]; less than eight, or more than [MaxPassword], is an error. NIST SP
	// 800-63B-4 asks for 15 where a password alone can sign in.
	Min int

	// Blocked reports whether a password is known to others, such as from a breach. It gets the
	// password in Unicode's form C, and must not keep or print it. It is called last, and in no
	// transaction; its error refuses the password, and is answered as an outage. Nil blocks none.
	Blocked func(ctx context.Context, password credential.Secret) (bool, error)
}

// validate returns p with its defaults, or an error that names the field that is wrong.
func (p Passwords) validate() (Passwords, error) {
	if p.Min == 0 {
		p.Min = DefaultMinPassword
	}
	if p.Min < 8 || p.Min > MaxPassword {
		return p, fmt.Errorf("account: Passwords.Min is not between 8 and %d", MaxPassword)
	}
	return p, nil
}

// A PasswordError says why a user cannot have a password, in a sentence for that user. It
// matches [ErrPassword].
type PasswordError struct{ Why string }

// Error returns Why after the text of [ErrPassword].
func (e *PasswordError) Error() string { return "account: unacceptable password: " + e.Why }

// Answer returns how HTTP answers the error.
func (e *PasswordError) Answer() (status int, code, sentence string) {
	return 400, "bad-password", "Choose another password: " + e.Why + "."
}

// Is reports whether target is [ErrPassword].
func (e *PasswordError) Is(target error) bool { return target == ErrPassword }

var errLength = &PasswordError{fmt.Sprintf("a password has 1 to %d bytes", MaxPassword)}

// A password is the text that was presented, raw and in Unicode's form C.
type password struct{ raw, text string }

// normalise returns ok false for text that cannot be a password, before anything expensive is
// done with it.
func normalise(s credential.Secret) (pw password, ok bool) {
	raw := s.Reveal()
	if raw == "" || len(raw) > MaxPassword {
		return password{}, false
	}
	// Form C can be longer than the original.
	text := norm.NFC.String(raw)
	return password{raw, text}, len(text) <= MaxPassword
}

// ValidPassword returns nil if text could be somebody's password: 1 to [MaxPassword] bytes, as it
// is and in Unicode's form C. Otherwise it returns a [*PasswordError]. A new one must satisfy the
// [Directory] as well.
func ValidPassword(text credential.Secret) error {
	if _, ok := normalise(text); !ok {
		return errLength
	}
	return nil
}

// Check returns nil if a user of this name and e-mail address, which may be "", can have the
// password from now on, and otherwise a [*PasswordError] or the error of Blocked. A [Directory]
// calls it; a host with Users of its own does so where these get a password.
func (p Passwords) Check(ctx context.Context, secret credential.Secret, name, email string) error {
	p, err := p.validate()
	if err != nil {
		return err
	}
	pw, ok := normalise(secret)
	if !ok {
		return errLength
	}
	if utf8.RuneCountInString(pw.text) < p.Min {
		return &PasswordError{fmt.Sprintf("it has fewer than %d characters", p.Min)}
	}
	lower := strings.ToLower(pw.text)
	if email != "" && lower == strings.ToLower(email) {
		return &PasswordError{"it is the e-mail address"}
	}
	// npm refuses a password "mostly made of the user name": without the name less than half is
	// left.
	if rest := strings.ReplaceAll(lower, name, ""); name != "" && 2*utf8.RuneCountInString(rest) < utf8.RuneCountInString(lower) {
		return &PasswordError{"it is mostly the user name"}
	}
	if guessable(pw.text, aboutUser(name, email)...) {
		return errGuessable
	}
	if p.Blocked == nil {
		return nil
	}
	switch blocked, err := p.Blocked(ctx, credential.NewSecret(pw.text)); {
	case err != nil:
		return fmt.Errorf("account: Passwords.Blocked: %w", err)
	case blocked:
		return errGuessable
	}
	return nil
}

var errGuessable = &PasswordError{"it is one of those that are tried first"}
