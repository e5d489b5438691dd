// Package typed reads what a person typed or pasted as what they meant: two spellings that look
// alike to them are one text. Whatever is compared, counted or stored of such a text is what this
// package returns.
package typed

import (
	"strings"
	"unicode"
)

// Line returns s without white space around it and without the marks that nobody sees, such as
// those that a copied text begins with, and in ASCII where it was typed in full width. It is for
// names and addresses, never for a password, of which every character counts.
func Line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case '！' <= r && r <= '～': // an East Asian keyboard types these for ASCII
			return r - '！' + '!'
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// Code returns [Line] of s without what only groups it, which is white space and dashes, and with
// the digits of all scripts as ASCII. Upper and lower case stay apart.
func Code(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '−': // the minus sign is no dash to Unicode
			return -1
		case unicode.IsDigit(r):
			return digit(r)
		}
		return r
	}, Line(s))
}

// digit returns the ASCII digit that has the value of r. Unicode puts the ten digits of a script
// side by side, from zero on.
func digit(r rune) rune {
	zero := r
	for unicode.IsDigit(zero - 1) {
		zero--
	}
	return '0' + (r-zero)%10
}

// What a security key has signed is the one second factor that nobody types. KeyPrefix begins it, and
// MaxKey is how many bytes it has at most.
const (
	KeyPrefix = "webauthn."
	MaxKey    = 24 << 10
)
