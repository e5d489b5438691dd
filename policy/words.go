package policy

import (
	"fmt"
	"slices"
)

// words are the texts of an enumeration by value. Every enumeration of this
// package prints and parses by such a table, so that a word that is in no table
// is an error wherever it comes from and never the zero value by accident.
type words []string

func (w words) text(v uint8, typ string) string {
	if int(v) < len(w) {
		return w[v]
	}
	return fmt.Sprintf("%s(%d)", typ, v)
}

func (w words) marshal(v uint8, typ string) ([]byte, error) {
	if int(v) < len(w) {
		return []byte(w[v]), nil
	}
	return nil, fmt.Errorf("policy: %s(%d) has no name", typ, v)
}

func (w words) parse(text []byte, typ string) (uint8, error) {
	if i := slices.Index(w, string(text)); i >= 0 {
		return uint8(i), nil
	}
	return 0, fmt.Errorf("policy: %q is no %s", text, typ)
}
