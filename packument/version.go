package packument

import "strings"

// ValidVersion reports whether v is a version of semver.org 2.0.0 that npm's own
// parser reads: at most 256 characters, numbers of at most 16 digits. The version
// becomes part of file names, so nothing else may pass.
func ValidVersion(v string) bool {
	if len(v) > 256 {
		return false
	}
	v, build, hasBuild := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(v, "-")
	if hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return false
	}
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if !numeric(p) || len(p) > 16 || len(p) > 1 && p[0] == '0' {
			return false
		}
	}
	return true
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

// ValidTag reports whether tag can be a dist-tag: 1 to 128 characters that stand
// for themselves in a URL, and no version, which a tag would hide from installs.
func ValidTag(tag string) bool {
	if tag == "" || len(tag) > 128 || ValidVersion(strings.TrimPrefix(tag, "v")) {
		return false
	}
	for _, c := range []byte(tag) {
		if !alphanumeric(c) && !strings.ContainsRune("-_.!~*'()", rune(c)) {
			return false
		}
	}
	return tag != "." && tag != ".."
}
