package account

import (
	"fmt"
	"slices"
)

// MaxName is how many bytes a user name may have, as in npm's validation.
const MaxName = 214

// DefaultReserved are names that nobody may register unless [DirectoryConfig].Reserved says
// otherwise: people would take them for the registry's own.
var DefaultReserved = []string{
	"abuse", "admin", "administrator", "hostmaster", "npm", "npmjs", "postmaster",
	"registry", "root", "security", "staff", "support", "system", "webmaster",
}

// unusable are names that mean something else where a user name appears: in a path, as a key of
// a JavaScript object, as a scope beside its packages.
var unusable = []string{
	"constructor", "favicon.ico", "hasownproperty", "node_modules", "org.couchdb.user",
	"package.json", "prototype", "tostring", "undefined", "null", "valueof",
}

// ValidName returns nil if name can be a user's, or an error that wraps [ErrName] and says why
// not. A name has 1 to 214 characters, lower-case ASCII letters, digits, dots, hyphens and
// underscores, begins with a letter or a digit, and has no meaning of its own, as package.json
// does.
//
// It is narrower than npm's validation, which also allows !, ~, * and parentheses, and - and _
// at the beginning: a user name is a scope too, and names with characters that appear alike can
// be confused.
func ValidName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > MaxName:
		return fmt.Errorf("%w: it is longer than %d characters", ErrName, MaxName)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_':
			if i == 0 {
				return fmt.Errorf("%w: it may not begin with %q", ErrName, c)
			}
		default:
			return fmt.Errorf("%w: only lower-case letters, digits, dots, hyphens and underscores are allowed", ErrName)
		}
	}
	if slices.Contains(unusable, name) {
		return fmt.Errorf("%w: %q is reserved", ErrName, name)
	}
	return nil
}
