package credential

import "encoding/binary"

// checkAlphabet has no vowels, so that no code is a word (RFC 8628 section 6.1).
const checkAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

// CheckCode returns eight letters of d for a person to compare, such as "BCDF-GHJK": a terminal and
// a page that show the same letters are about the same request. It authenticates nothing.
func CheckCode(d Digest) string {
	// 20^8 is less than 2^35: the remainders of 64 bits are even enough.
	n := binary.BigEndian.Uint64(d[:])
	var code [9]byte
	for i := range code {
		if i == 4 {
			code[i] = '-'
			continue
		}
		code[i] = checkAlphabet[n%20]
		n /= 20
	}
	return string(code[:])
}
