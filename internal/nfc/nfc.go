// Package nfc normalises text to Unicode's normalization form C, in which
// letters that keyboards and systems compose differently are the same bytes.
// It is here so that the root module need not require golang.org/x/text; its
// tables are generated from there by internal/integration/nfcgen.
//
//	nfc.String("e\u0301") == "\u00e9"
package nfc

import (
	"slices"
	"unicode/utf8"
)

// String returns s in form C (UAX #15, Unicode [Version]). Bytes that are not
// UTF-8 stay as they are, and nothing combines across them. Text that has the
// form already is returned without a copy where that is cheap to tell.
func String(s string) string {
	if plain(s) {
		return s
	}
	rs := make([]rune, 0, len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			// Negative numbers are in no table, so they compose with nothing.
			rs = append(rs, -1-rune(s[i]))
		} else {
			rs = decompose(rs, r)
		}
		i += n
	}
	reorder(rs)
	rs = compose(rs)

	out := make([]byte, 0, len(s))
	for _, r := range rs {
		if r < 0 {
			out = append(out, byte(-1-r))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// plain reports whether all of s lies below U+0300, the first character that
// combines. No such character decomposes any further in form C.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0xCC { // what U+0300 and all that follows begin with
			return false
		}
	}
	return true
}

// A decomposition says that r is canonically a followed by b, or a alone where
// b is 0.
type decomposition struct{ r, a, b rune }

// A classRange gives the characters from lo to hi their canonical combining
// class. Those in no range are starters, class 0.
type classRange struct {
	lo, hi rune
	class  uint8
}

// Hangul syllables are computed, UAX #15 section 16 and the Unicode Standard 3.12.
const (
	hangulS, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7

	countL, countV, countT = 19, 21, 28
	countS                 = countL * countV * countT
)

// decompose appends r's full decomposition.
func decompose(rs []rune, r rune) []rune {
	if i := r - hangulS; 0 <= i && i < countS {
		rs = append(rs, hangulL+i/(countV*countT), hangulV+i%(countV*countT)/countT)
		if t := i % countT; t != 0 {
			rs = append(rs, hangulT+t)
		}
		return rs
	}
	i, ok := slices.BinarySearchFunc(decompositions[:], r, func(d decomposition, r rune) int { return int(d.r - r) })
	if !ok {
		return append(rs, r)
	}
	d := decompositions[i]
	rs = decompose(rs, d.a)
	if d.b != 0 {
		rs = decompose(rs, d.b)
	}
	return rs
}

func class(r rune) uint8 {
	if r < classes[0].lo {
		return 0
	}
	i, _ := slices.BinarySearchFunc(classes[:], r, func(c classRange, r rune) int { return int(c.hi - r) })
	if i < len(classes) && classes[i].lo <= r {
		return classes[i].class
	}
	return 0
}

// reorder sorts each run of combining characters by class, keeping the order
// of those of one class.
func reorder(rs []rune) {
	for i := 0; i < len(rs); {
		if class(rs[i]) == 0 {
			i++
			continue
		}
		j := i + 1
		for j < len(rs) && class(rs[j]) != 0 {
			j++
		}
		slices.SortStableFunc(rs[i:j], func(a, b rune) int { return int(class(a)) - int(class(b)) })
		i = j
	}
}

// compose joins each character with the last starter before it if the pair has
// a composite and nothing between them blocks it. It works in place.
func compose(rs []rune) []rune {
	out := rs[:0]
	starter, last := -1, -1 // last: the highest class since the starter
	for _, r := range rs {
		c := int(class(r))
		if starter >= 0 && last < c {
			if joined, ok := composite(out[starter], r); ok {
				out[starter] = joined
				continue
			}
		}
		if c == 0 {
			starter, last = len(out), -1
		} else {
			last = c
		}
		out = append(out, r)
	}
	return out
}

func composite(a, b rune) (rune, bool) {
	if l, v := a-hangulL, b-hangulV; 0 <= l && l < countL && 0 <= v && v < countV {
		return hangulS + (l*countV+v)*countT, true
	}
	if s, t := a-hangulS, b-hangulT; 0 <= s && s < countS && s%countT == 0 && 0 < t && t < countT {
		return a + t, true
	}
	i, ok := slices.BinarySearchFunc(compositions[:], decomposition{a: a, b: b}, func(i uint16, want decomposition) int {
		d := decompositions[i]
		if d.a != want.a {
			return int(d.a - want.a)
		}
		return int(d.b - want.b)
	})
	if !ok {
		return 0, false
	}
	return decompositions[compositions[i]].r, true
}
