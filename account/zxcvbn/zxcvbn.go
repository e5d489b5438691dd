// Package zxcvbn refuses new passwords that zxcvbn estimates to be guessed soon: what is made of
// words, names and passwords from breaches, of dates, of keys in a row and of repetitions.
//
//	cfg.Passwords = account.Passwords{Blocked: zxcvbn.Below(3)}
//
// It goes beyond what [account.Passwords] refuses by itself, and asks no service. The lists and the
// estimate are those of github.com/ccojocar/zxcvbn-go, for which the package is a module of its own.
package zxcvbn

import (
	"context"
	"fmt"
	"unicode/utf8"

	zxcvbn "github.com/ccojocar/zxcvbn-go"

	"github.com/npmauth/npmauth/credential"
)

// maxLength is how many characters of a password are looked at: the work grows faster than their
// number. A password is no easier to guess for what follows them.
const maxLength = 72

// Below returns a function for [account.Passwords].Blocked. It blocks passwords of a lower score
// than least, which is 1 to 4; with any other Below panics. The scale is that of the library: half
// of the passwords below 1 are found by 10^6 guesses, below 2 by 10^8, below 3 by 10^10 and below 4
// by 10^12. Guesses at a registry are few (package session, Guesses), those at a stolen database
// are not.
//
// Of a password longer than 72 characters the first 72 count, and a character outside ASCII counts
// as a rare symbol: the lists are English.
func Below(least int) func(context.Context, credential.Secret) (bool, error) {
	if least < 1 || least > 4 {
		panic(fmt.Sprintf("zxcvbn: Below(%d): a score is 1 to 4", least))
	}
	return func(ctx context.Context, password credential.Secret) (bool, error) {
		var text []byte // the library counts bytes
		for _, r := range password.Reveal() {
			if r >= utf8.RuneSelf {
				r = '\x7f' // in no list
			}
			if text = append(text, byte(r)); len(text) == maxLength {
				break
			}
		}
		return zxcvbn.PasswordStrength(string(text), nil).Score < least, ctx.Err()
	}
}
