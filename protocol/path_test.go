package protocol

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each segment that cut accepts passes checkEscapes, which it skips for plain ones.
func FuzzCut(f *testing.F) {
	for _, path := range []string{
		"/@acme%2fwidget", "/@acme%2F.", "/@acme%2f..", "/..%2fwidget", "/.%2f.", "/a%2f%2e%2e", "/a%2f%2f..", "/a%2f", "/%2f.", "/%2f%2f/x%2f",
		"/.", "/..", "/...", "/.a", "/a%2fb%2f./c", "/@a%2fb%00", "/@a%2fb%", "/a%2e%2fb", "/%40a%2fb", "/%c3%a9%2fb", "/%ff%2fb", "//", "/a//b%2f../",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p path
		if p.cut(text) != nil {
			return
		}
		for s := range strings.SplitSeq(text[1:], "/") {
			require.NoError(t, checkEscapes(s), "%q of %q", s, text)
		}
	})
}
