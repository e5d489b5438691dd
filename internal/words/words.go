// Package words has the texts of enumerations. Every enumeration of packages protocol and
// policy prints and parses by such a list, so that a word that is in no list is an error
// wherever it comes from and never the zero value by accident.
package words

import (
	"fmt"
	"slices"
)

// A List has the text of each value of an enumeration, by value.
type List []string

// Text returns the text of v, or typ and the number for a value that has none.
func (l List) Text(v uint8, typ string) string {
	if int(v) < len(l) {
		return l[v]
	}
	return fmt.Sprintf("%s(%d)", typ, v)
}

// Marshal returns the text of v, or an error for a value that has none.
func (l List) Marshal(v uint8, typ string) ([]byte, error) {
	if int(v) < len(l) {
		return []byte(l[v]), nil
	}
	return nil, fmt.Errorf("%s(%d) has no name", typ, v)
}

// Parse returns the value of that text, or zero and an error: text is no what.
func (l List) Parse(text []byte, what string) (uint8, error) {
	if i := slices.Index(l, string(text)); i >= 0 {
		return uint8(i), nil
	}
	return 0, fmt.Errorf("%q is no %s", text, what)
}
