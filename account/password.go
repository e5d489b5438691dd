package account

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/npmauth/npmauth/credential"
)

// MaxPassword is how many bytes of UTF-8 a password may have.
const MaxPassword = 1024

// DefaultMinPassword is how many characters a password needs if [DirectoryConfig].MinPassword
// is zero: npm requires more than ten.
const DefaultMinPassword = 11

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

// strength returns why a new password is not acceptable for a user of this name and e-mail
// address.
func (d *Directory) strength(secret credential.Secret, name, email string) error {
	pw, ok := normalise(secret)
	if !ok {
		return errLength
	}
	if utf8.RuneCountInString(pw.text) < d.minPassword {
		return &PasswordError{fmt.Sprintf("it has fewer than %d characters", d.minPassword)}
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
	if d.blocked != nil && d.blocked(pw.text) {
		return &PasswordError{"it is one of those that are tried first"}
	}
	return nil
}
