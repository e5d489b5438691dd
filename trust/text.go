package trust

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain reports whether s is a name that a publisher may have: one to most bytes that print, without white
// space around them. U+FFFD is what malformed text is read as, and no name.
func plain(s string, most int) bool {
	if s == "" || len(s) > most || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || r != ' ' && !unicode.IsPrint(r) })
}

// fold returns s with the letters of ASCII in lower case. Other letters stay: none of them is a letter of ASCII in
// another case, as the Kelvin sign is for Unicode.
func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// isName reports whether s has one to most characters, of which all are letters, digits or in others, and is
// not the name of a folder in every folder.
func isName(s, others string, most int) bool {
	if s == "" || len(s) > most || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isNumericID reports whether s is a number as providers count with it: digits, the first of which is not zero.
func isNumericID(s string) bool {
	if s == "" || len(s) > 20 || s[0] == '0' {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// isRef reports whether s is the full name of a branch or of a tag, or a commit. The refs of pull and merge
// requests are neither.
func isRef(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if name, ok := strings.CutPrefix(s, prefix); ok {
			return name != ""
		}
	}
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isHex(c) {
			return false
		}
	}
	return true
}

// isYAML reports whether s is the path of a YAML file: segments between slashes, of which there is one if nested
// is false. An @ would not be told from the one before a ref.
func isYAML(s string, nested bool) bool {
	if !plain(s, 255) || strings.ContainsAny(s, `@\`) || !nested && strings.Contains(s, "/") {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	base := s[strings.LastIndexByte(s, '/')+1:]
	name, ok := strings.CutSuffix(base, ".yml")
	if !ok {
		name, ok = strings.CutSuffix(base, ".yaml")
	}
	return ok && name != ""
}

// cut returns s, which is valid UTF-8, in at most n bytes. It ends in … if that is not all of it.
func cut(s string, n int) string {
	const end = "…"
	if len(s) <= n {
		return s
	}
	n -= len(end)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + end
}
