package protocol

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPackageName is the length of the longest package name in bytes, scope, @ and
// slash included, as npm limits it.
const MaxPackageName = 214

// ErrPackageName is returned for a text that is no package name.
var ErrPackageName = errors.New("protocol: invalid package name")

// A PackageName is a package's name in its two parts. Authorization compares the parts and
// never a joined string, so that @acme does not cover @acme-evil. The zero value names no
// package.
type PackageName struct {
	Scope string // without @; "" for an unscoped package
	Name  string
}

// ParsePackageName reads name or @scope/name in npm's grammar: ASCII letters, digits, hyphen,
// dot and underscore, at most [MaxPackageName] bytes. Neither part begins with a dot or a
// hyphen; a scope and an unscoped name do not begin with an underscore either; node_modules and
// favicon.ico are no names. Upper case, which npm has refused for new packages since 2015 and
// keeps for old ones, is accepted and distinct: JSONStream is not jsonstream. The few old names
// with one of !~*'() are not accepted, since a * in a name could be taken for a pattern.
//
// The text is never percent-decoded. The error is [ErrPackageName].
func ParsePackageName(s string) (PackageName, error) {
	var n PackageName
	if rest, scoped := strings.CutPrefix(s, "@"); scoped {
		scope, name, ok := strings.Cut(rest, "/")
		// An empty scope would make @/name an unscoped name.
		if !ok || scope == "" {
			return PackageName{}, ErrPackageName
		}
		n = PackageName{Scope: scope, Name: name}
	} else {
		n = PackageName{Name: s}
	}
	if err := n.Validate(); err != nil {
		return PackageName{}, err
	}
	return n, nil
}

// Validate returns [ErrPackageName] unless [ParsePackageName] could have returned n.
func (n PackageName) Validate() error {
	if n.Scope == "" {
		if len(n.Name) > MaxPackageName || !validPart(n.Name, false) ||
			len(n.Name) == len("node_modules") && strings.EqualFold(n.Name, "node_modules") ||
			len(n.Name) == len("favicon.ico") && strings.EqualFold(n.Name, "favicon.ico") {
			return ErrPackageName
		}
		return nil
	}
	if len(n.Scope)+len(n.Name)+2 > MaxPackageName || !validPart(n.Scope, false) || !validPart(n.Name, true) {
		return ErrPackageName
	}
	return nil
}

// validPart reports whether s can be a scope or a name. The rule on the first byte excludes the
// reserved first segments - and -rev, and dot segments.
func validPart(s string, underscore bool) bool {
	if s == "" || s[0] == '.' || s[0] == '-' || (s[0] == '_' && !underscore) {
		return false
	}
	for i := range len(s) {
		if !partByte[s[i]] {
			return false
		}
	}
	return true
}

var partByte = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") {
		is[c] = true
	}
	return is
}()

// String returns the name as npm writes it, @scope/name or name.
func (n PackageName) String() string {
	if n.Scope == "" {
		return n.Name
	}
	return "@" + n.Scope + "/" + n.Name
}

// IsZero reports whether n names no package.
func (n PackageName) IsZero() bool { return n.Scope == "" && n.Name == "" }

// MarshalText returns String, "" for the zero name.
func (n PackageName) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what [ParsePackageName] reads, and "" as the zero name.
func (n *PackageName) UnmarshalText(text []byte) error {
	*n = PackageName{}
	if len(text) == 0 {
		return nil
	}
	parsed, err := ParsePackageName(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}

// ValidUser reports whether name can be a user's: 1 to [MaxPackageName] bytes of printable
// characters, none of them a space or one of / \ : and %, and no @ at the beginning, which npm
// puts before a scope. A registry may allow less. It is the rule for users, maintainers,
// members and service accounts, whatever the source of the name.
func ValidUser(name string) bool {
	if name == "" || len(name) > MaxPackageName || name[0] == '@' || name == "." || name == ".." || !utf8.ValidString(name) {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(` /\:%`, r) }) < 0
}

// ValidOrg reports whether name can be an organization's or a team's, which have the form of a
// package's scope. It is without npm's @.
func ValidOrg(name string) bool { return len(name) <= MaxPackageName && validPart(name, false) }
