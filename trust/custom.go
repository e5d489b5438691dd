package trust

import (
	"maps"
	"slices"
)

// validateClaims checks the claims of a publisher by themselves.
func validateClaims(kind Kind, claims map[string]string) error {
	if len(claims) == 0 || len(claims) > 64 {
		return invalid("claims must have 1 to 64 claims.")
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if !plain(name, 128) || kind == KindOIDC && name != "sub" {
			return invalid("claims has a name that is not known here.")
		}
		if !plain(claims[name], maxValue) {
			return invalid("claims.%s must be 1 to %d bytes without white space around them.", name, maxValue)
		}
	}
	return nil
}

// checkPublisher checks that a publisher names the claims that the issuer wants, and no others.
func (i Issuer) checkPublisher(claims map[string]string) error {
	known := 0
	for _, c := range i.claims() {
		_, named := claims[c.Name]
		switch {
		case named && c.OneOf != nil:
			return invalid("claims.%s is what the registry's operator decides.", c.Name)
		case !named && c.needed():
			return invalid("claims.%s is required.", c.Name)
		case named:
			known++
		}
	}
	if known != len(claims) {
		return invalid("claims has a name that is not known here.")
	}
	return nil
}

// match compares the claims of a publisher of an issuer of kind oidc or custom.
func (i Issuer) match(m *matcher, claims map[string]string) {
	for _, c := range i.claims() {
		value, named := claims[c.Name]
		switch {
		case c.OneOf != nil:
			m.oneOf(c.Name, c.OneOf)
		case named && c.Fold:
			m.folded(c.Name, value)
		case named:
			m.exact(c.Name, value)
		case c.Pin:
			m.pin(c.Name)
		}
	}
}
