package strictjson

import (
	"unicode"
	"unicode/utf8"
)

// fold appends key to dst with every rune replaced by the first of those that
// differ from it only in case. Two keys fold to the same bytes exactly if
// encoding/json could take one for the other. That includes U+017F, which folds
// with s, and U+212A, which folds with k.
func fold(dst, key []byte) []byte {
	for i := 0; i < len(key); {
		if c := key[i]; c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(key[i:])
		first := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			first = min(first, o)
		}
		dst = utf8.AppendRune(dst, first)
		i += n
	}
	return dst
}
