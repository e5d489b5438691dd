package manifest

import (
	"regexp"
	"strings"
)

// space is what JavaScript's trim removes.
const space = " \t\n\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

// loose is a version as node-semver reads it when it is lenient, which npm's publish is: after =, v
// and space, with zeros before its numbers, without the hyphen before a prerelease, and with build
// metadata, which npm leaves out.
var loose = regexp.MustCompile(`^[v=\s]*([0-9]+)\.([0-9]+)\.([0-9]+)(?:-?([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// publishedAs reports whether npm publishes a package.json of the written version as that version.
func publishedAs(version, written string) bool {
	m := loose.FindStringSubmatch(strings.TrimLeft(strings.Trim(written, space), "=v"))
	return m != nil && version == cleanVersion(m)
}

// cleanVersion returns the version that loose has found.
func cleanVersion(m []string) string {
	clean := cleanNumber(m[1]) + "." + cleanNumber(m[2]) + "." + cleanNumber(m[3])
	if m[4] == "" {
		return clean
	}
	parts := strings.Split(m[4], ".")
	for i, p := range parts {
		if strings.Trim(p, "0123456789") == "" {
			parts[i] = cleanNumber(p)
		}
	}
	return clean + "-" + strings.Join(parts, ".")
}

func cleanNumber(digits string) string {
	if n := strings.TrimLeft(digits, "0"); n != "" {
		return n
	}
	return "0"
}
