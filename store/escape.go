package store

import "strings"

const upperHex = "0123456789ABCDEF"

// plain reports whether a byte of an id stands for itself in a key. The slash
// separates parts, the percent sign escapes, and a space is easily lost.
func plain(c byte) bool {
	return c > ' ' && c < 0x7f && c != '/' && c != '%'
}

// escape turns any text into one part of a key: printable ASCII without a
// slash. unescape is its inverse.
func escape(s string) string {
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// unescape returns the text whose escape is s. It accepts nothing else, so that
// no text has two keys.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, escape(s) == s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), escape(string(b)) == s
}

// validName reports whether s may name a table or an index.
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
