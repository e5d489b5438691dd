package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the short way knows is what the long way says.
func FuzzPlain(f *testing.F) {
	for path, want := range map[string]bool{
		"/plain": true, "/@acme/widget": true, "/@acme%2fwidget": true, "/@acme%2Fwidget": true, "/JSONStream": true, "/@a/_b": true,
		"": false, "/": false, "//": false, "/@": false, "/@/": false, "/@/widget": false, "/@%2fwidget": false, "/@acme": false, "/@acme/": false,
		"/@acme%2f": false, "/@acme%2": false, "/@acme%25widget": false, "/@acme%2fa/b": false, "/@acme/a/b": false, "/@acme%2f..": false,
		"/@a%2fb%2fc": false, "/%40acme%2fwidget": false, "/-": false, "/-rev": false, "/..": false, "/.a": false, "/_a": false, "/plain/": false,
		"/plain/1.0.0": false, "/node_modules": false, "/@acme/-/x": false, "/@@acme/x": false, "/a@b": false, "/plain%00": false, "plain": false,
	} {
		_, ok := plain(path)
		require.Equal(f, want, ok, path)
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		n, ok := plain(path)
		if !ok {
			return
		}
		for _, v := range []verb{0, get, put, post, remove} {
			long, err := classify(v, path)
			require.NoError(t, err, path)
			short, err := Operation{Action: ofDocument[v], Package: n}.known()
			require.NoError(t, err)
			require.Equal(t, long, short, path)
		}
	})
}
