// Package header reads the headers of a request that a client may send in several lines: what two
// readers could take differently is not taken at all.
package header

import (
	"mime"
	"net/http"
	"strings"
)

// Single returns the value of a header that has one line, and "" for none and for several. name
// is in canonical form.
func Single(h http.Header, name string) string {
	if lines := h[name]; len(lines) == 1 {
		return lines[0]
	}
	return ""
}

// MediaType returns the media type in Content-Type, in lower case and without parameters. It is ""
// if there is none, or one that cannot be read, or several lines.
func MediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(Single(h, "Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// Encoded reports whether Content-Encoding, in all of its lines, names anything but identity. A
// few bytes of what is compressed could become any number, and a coding that is not known could
// become any other body.
func Encoded(h http.Header) bool {
	for _, line := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.Trim(coding, " \t"); coding != "" && !strings.EqualFold(coding, "identity") {
				return true
			}
		}
	}
	return false
}
