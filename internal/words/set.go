package words

import (
	"fmt"
	"strings"
)

// A Set has the texts of an enumeration whose values are sets of up to seven bits.
type Set struct {
	Empty string // of no bit
	Bits  List   // of each, by its number
}

// has reports whether v has no other bits than those that have a text.
func (s Set) has(v uint8) bool { return v < 1<<len(s.Bits) }

// Text returns the texts of the bits of v with plus signs between them, or typ and the number for one
// that has other bits.
func (s Set) Text(v uint8, typ string) string {
	switch {
	case v == 0:
		return s.Empty
	case !s.has(v):
		return fmt.Sprintf("%s(%d)", typ, v)
	}
	var set []string
	for i, w := range s.Bits {
		if v&(1<<i) != 0 {
			set = append(set, w)
		}
	}
	return strings.Join(set, "+")
}

// Marshal returns Text, or an error for bits that have none.
func (s Set) Marshal(v uint8, typ string) ([]byte, error) {
	if !s.has(v) {
		return nil, fmt.Errorf("%s(%d) has no name", typ, v)
	}
	return []byte(s.Text(v, typ)), nil
}

// Parse returns the value of what Text writes, or zero and an error: an unknown or repeated word is no
// what, and neither is an empty text.
func (s Set) Parse(text []byte, what string) (uint8, error) {
	if string(text) == s.Empty {
		return 0, nil
	}
	var v uint8
	for word := range strings.SplitSeq(string(text), "+") {
		i, err := s.Bits.Parse([]byte(word), what)
		if err != nil {
			return 0, err
		}
		if v&(1<<i) != 0 {
			return 0, fmt.Errorf("%s %q twice", what, word)
		}
		v |= 1 << i
	}
	return v, nil
}
