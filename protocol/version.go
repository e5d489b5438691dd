package protocol

import "strings"

// ValidVersion reports whether v is a version of semver.org 2.0.0 that npm's own parser reads: at
// most 256 characters, numbers of at most 16 digits. A version becomes part of file names, so
// nothing else is valid.
func ValidVersion(v string) bool {
	if len(v) > 256 {
		return false
	}
	v, build, hasBuild := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(v, "-")
	if hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return false
	}
	for n := 1; ; n++ {
		number, rest, more := strings.Cut(core, ".")
		if !numeric(number) || len(number) > 16 || len(number) > 1 && number[0] == '0' || more != (n < 3) {
			return false
		}
		if core = rest; !more {
			return true
		}
	}
}

// isRange reports whether npm reads s as a version or a range: 1.2.3, v1, ~1.2, 2.x, *.
func isRange(s string) bool {
	s = strings.TrimLeft(s, "v~")
	for n := 1; ; n++ {
		number, rest, more := strings.Cut(s, ".")
		if n == 3 {
			var pre string
			number, pre, more = strings.Cut(s, "-")
			if more && !identifiers(pre, false) {
				return false
			}
			more = false
		}
		if !numeric(number) && number != "x" && number != "X" && number != "*" {
			return false
		}
		if s = rest; !more {
			return true
		}
	}
}

// identifiers reports whether s is a list of semver identifiers. In a prerelease a
// number has no leading zero.
func identifiers(s string, prerelease bool) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" || prerelease && numeric(id) && len(id) > 1 && id[0] == '0' {
			return false
		}
		for _, c := range []byte(id) {
			if !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func numeric(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// ValidTag reports whether tag can be a dist-tag: 1 to 128 characters that need no escape in a
// URL, and no version or range, which npm would take it for: npm's own rule. It does not begin
// with a hyphen, which is reserved in paths.
func ValidTag(tag string) bool {
	if tag == "" || len(tag) > 128 || tag[0] == '-' || isRange(tag) {
		return false
	}
	for _, c := range []byte(tag) {
		if !alphanumeric(c) && !strings.ContainsRune("-_.!~*'()", rune(c)) {
			return false
		}
	}
	return tag != "." && tag != ".."
}
