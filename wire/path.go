package wire

import (
	"net/url"
	"strings"
)

// RedactPath returns an escaped path for a log: the two paths in which npm sends a token, and
// the ids of pages and polls, end in [redacted]. Escapes in the segments before do not hide it.
func RedactPath(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	for _, secret := range []string{"/-/user/token/", "/-/npm/v1/tokens/token/", "/-/auth/"} {
		if i := strings.Index(plain, secret); i >= 0 {
			return (&url.URL{Path: plain[:i+len(secret)]}).EscapedPath() + "[redacted]"
		}
	}
	return path
}
