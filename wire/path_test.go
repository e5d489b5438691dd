package wire_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/wire"
)

// A secret in a path is in no log, however its path is spelled.
func FuzzRedactPath(f *testing.F) {
	for _, seed := range []string{"/-/user/token/", "/-/npm/v1/tokens/token/", "/-/auth/done/", "/%2d/user/token/", "/x/-/auth%2flogin/", "/@acme%2fwidget", "/%", "//-/auth/%zz/"} {
		f.Add(seed)
	}
	const secret = "npm_Zecret"
	f.Fuzz(func(t *testing.T, path string) {
		fuzzbound.Check(t, path, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10, PerByte: 32}, Work: fuzzbound.Limit{Base: len("[redacted]"), PerByte: 3}}, func(path string) int {
			return len(wire.RedactPath(path))
		})
		got := wire.RedactPath(path + secret)
		plain, err := url.PathUnescape(path)
		if err != nil {
			plain = path
		}
		for _, before := range []string{"/-/user/token/", "/-/npm/v1/tokens/token/", "/-/auth/"} {
			if strings.HasSuffix(plain, before) {
				require.NotContains(t, got, secret)
			}
		}
	})
}
