package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each segment that cut lets through passes the check that it leaves out for plain ones.
func FuzzCut(f *testing.F) {
	for _, path := range []string{
		"/@acme%2fwidget", "/@acme%2F.", "/@acme%2f..", "/..%2fwidget", "/.%2f.", "/a%2f%2e%2e", "/a%2f%2f..", "/a%2f", "/%2f.", "/%2f%2f/x%2f",
		"/.", "/..", "/...", "/.a", "/a%2fb%2f./c", "/@a%2fb%00", "/@a%2fb%", "/a%2e%2fb", "/%40a%2fb", "/%c3%a9%2fb", "/%ff%2fb", "//", "/a//b%2f../",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		var w route
		if w.cut(path) != nil {
			return
		}
		for s := range strings.SplitSeq(path[1:], "/") {
			require.NoError(t, checkEscapes(s), "%q of %q", s, path)
		}
	})
}

// What the shortest way knows is what the long way says.
func TestPlainPaths(t *testing.T) {
	for path, read := range map[string]Action{
		"/-/whoami": Whoami, "/-/ping": Ping, "/-/npm/v1/user": ReadProfile, "/-/npm/v1/tokens": ListTokens,
	} {
		as := ofPlainPath(path)
		require.NotNil(t, as, path)
		require.Equal(t, read, as[get], path)
		for _, v := range []verb{0, get, put, post, remove} {
			want, err := classify(v, path)
			require.NoError(t, err, path)
			require.Equal(t, want, Operation{Action: as[v]}, path)
		}
	}
	for _, path := range []string{"", "/", "/-/whoami/", "/-/whoami%20", "/-/Whoami", "/-/%77hoami", "/-/npm/v1", "-/ping", "//-/ping"} {
		require.Nil(t, ofPlainPath(path), path)
	}
}

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
			short := Operation{Action: ofDocument[v], Package: n}
			if short.Action == Unknown {
				short = Operation{}
			}
			require.Equal(t, long, short, path)
		}
	})
}
