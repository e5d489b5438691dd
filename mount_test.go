package npmauth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// mounts are the ways to mount a handler below /npm/, each with whether what is behind sees the
// prefix in the path.
var mounts = map[string]struct {
	mount func(http.Handler) http.Handler
	sees  bool
}{
	"as it came":               {func(h http.Handler) http.Handler { return h }, true},
	"StripPrefix":              {func(h http.Handler) http.Handler { return http.StripPrefix("/npm", h) }, false},
	"StripPrefix with a slash": {func(h http.Handler) http.Handler { return http.StripPrefix("/npm/", h) }, false},
	"ServeMux": {func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/npm/", h)
		return mux
	}, true},
	"ServeMux and StripPrefix": {func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/npm/", http.StripPrefix("/npm", h))
		return mux
	}, false},
}

// AU-41: below a prefix all is the same with and without http.StripPrefix.
func TestMountedWithStripPrefix(t *testing.T) {
	for name, m := range mounts {
		t.Run(name, func(t *testing.T) {
			c := newCast(t, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm/" })
			var seen []string
			h := m.mount(c.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				op, ok := host.OperationFrom(r.Context())
				assert.True(t, ok)
				seen = append(seen, op.Action.String()+" "+op.Package.String()+" "+r.URL.EscapedPath())
				c.host.ServeHTTP(w, r)
			})))
			ask := func(method, path, bearer string, body any) answer {
				return c.send(h, call{method: method, path: path, bearer: bearer, body: body})
			}
			assert.Equal(t, 200, ask("GET", "/npm/-/whoami", c.session, nil).Code)
			assert.Equal(t, 404, ask("GET", "/-/whoami", c.session, nil).Code)
			assert.Equal(t, 404, ask("GET", "/npmfoo/-/whoami", c.session, nil).Code)
			assert.Equal(t, 404, ask("GET", "/plain", c.session, nil).Code)

			assert.Equal(t, 200, ask("GET", "/npm/@acme%2fprivate?write=true", c.reader, nil).Code)
			assert.Equal(t, 404, ask("GET", "/npm/@acme%2fprivate", c.ofPlain, nil).Code)
			assert.Equal(t, 200, ask("PUT", "/npm/@acme%2fwidget", c.ofAcme, body(t, "PUBLISH @acme/widget")).Code)
			assert.Equal(t, 403, ask("PUT", "/npm/@acme%2fwidget", c.ofPlain, body(t, "PUBLISH @acme/widget")).Code)
			// A package that is called like the prefix.
			assert.Equal(t, 404, ask("GET", "/npm/npm", c.session, nil).Code)
			require.Equal(t, 200, ask("PUT", "/npm/npm", c.bypass, body(t, "PUBLISH npm")).Code)
			assert.Equal(t, 200, ask("GET", "/npm/npm", c.session, nil).Code)
			assert.Equal(t, 200, ask("GET", "/npm/npm/plain", c.session, nil).Code, "the prefix once: a tag of that package")
			prefix := ""
			if m.sees {
				prefix = "/npm"
			}
			assert.Equal(t, []string{
				"read-packument @acme/private " + prefix + "/@acme%2fprivate", "publish @acme/widget " + prefix + "/@acme%2fwidget",
				"publish npm " + prefix + "/npm", "read-packument npm " + prefix + "/npm",
				"read-packument npm " + prefix + "/npm/plain",
			}, seen)

			a := ask("POST", "/npm/-/v1/login", "", "{}")
			assert.Equal(t, 202, ask("GET", strings.TrimPrefix(a.text("doneUrl"), "https://npm.acme.test"), "", nil).Code)
			page := ask("GET", strings.TrimPrefix(a.text("loginUrl"), "https://npm.acme.test"), "", nil)
			assert.Equal(t, 200, page.Code)
			assert.Contains(t, page.Body.String(), `"/npm/-/auth/`)
			for _, path := range []string{"/npm/-/auth/v1/self", "/npm/-/auth/v1/tokens"} {
				assert.Equal(t, 404, ask("PATCH", path, "", nil).Code, path)
			}
		})
	}
}

// AU-41, PC-40: what is not exactly below the prefix stays refused where the prefix was removed,
// and nothing of npm's is public.
func TestStrippedPathsAreJudgedAlike(t *testing.T) {
	var asked []string
	c := newCast(t, func(cfg *npmauth.Config) {
		cfg.BaseURL = "https://npm.acme.test/npm/"
		cfg.Public = func(r *http.Request) bool {
			asked = append(asked, r.URL.EscapedPath())
			return true
		}
	})
	for name, h := range map[string]http.Handler{
		"StripPrefix": http.StripPrefix("/npm", c.handler), "with a slash": http.StripPrefix("/npm/", c.handler),
	} {
		for path, want := range map[string]int{
			"/npm/-/whoami": 401, "/npm/%2d/whoami": 401, "/npm/%2d/unknown": 404, "/npm/-/unknown": 404, "/npm//-/whoami": 400,
			"/npm/../npm/-/whoami": 400, "/npm/%2e%2e/-/whoami": 400, "/%6epm/-/whoami": 404, "/npm/npm/-/whoami": 400,
		} {
			asked = nil
			assert.Equal(t, want, c.send(h, call{method: "GET", path: path}).Code, "%s: %s", name, path)
			for _, path := range asked {
				assert.NotContains(t, path, "whoami", name)
			}
		}
		asked = nil
		assert.Equal(t, "public", c.send(h, call{method: "GET", path: "/npm/healthz"}).Body.String(), name)
		assert.Equal(t, []string{"/healthz"}, asked, name)
	}

	// A path that somebody has changed otherwise is read as it is now, and in no case as it was.
	c = newCast(t, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm/" })
	r := httptest.NewRequest("GET", "/npm/plain", nil)
	r.URL.Path = "/npm/@acme/private"
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	assert.Equal(t, 404, rec.Code)
	r.URL.Path = "/@acme/private" // which is not /plain without the prefix
	r.Header.Set("Authorization", "Bearer "+c.reader)
	rec = httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	assert.NotContains(t, rec.Body.String(), "read")
}

// AU-41: where the prefix was removed by a proxy, or in part, one line says what to do.
func TestMisplacedIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.BaseURL = "https://npm.acme.test/registry/npm/"
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Public = func(r *http.Request) bool { return r.URL.Path == "/healthz" }
	})
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	ask := func(h http.Handler, method, path string) int {
		return w.send(h, call{method: method, path: path, bearer: secret}).Code
	}
	assert.Equal(t, 200, ask(w.handler, "GET", "/registry/npm/plain"))
	for _, path := range []string{"/", "/healthz", "/registry/npm/nothing", "/registry/npm/-/whoami", "//", "/-/unknown"} {
		ask(w.handler, "GET", path)
	}
	ask(w.handler, "POST", "/-/npm/v1/oidc/token/exchange/package/plain")
	assert.Empty(t, log.String(), "none of these is misplaced")

	assert.Equal(t, 404, ask(http.StripPrefix("/registry", w.handler), "GET", "/registry/npm/-/npm/v1/tokens/token/"+secret))
	assert.Equal(t, 404, ask(w.handler, "DELETE", "/-/npm/v1/tokens/token/"+secret))
	assert.Equal(t, 404, ask(w.handler, "GET", "/plain"))
	assert.Equal(t, 404, ask(w.auth.Handler(), "GET", "/-/whoami"))
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	for _, want := range []string{"http.StripPrefix", "Config.BaseURL", "method=DELETE", "path=/-/npm/v1/tokens/token/[redacted]", "base=https://npm.acme.test/registry/npm/"} {
		assert.Contains(t, log.String(), want)
	}
	assert.NotContains(t, log.String(), secret)
}

// A second slash after the prefix leaves a path with one slash where http.StripPrefix is given the prefix with
// its slash. Who sends it must not be let in to one package and served another.
func TestStripPrefixWithTwoSlashes(t *testing.T) {
	for name, m := range mounts {
		c := newCast(t, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm/" })
		seen := false
		h := m.mount(c.auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = true })))
		for _, path := range []string{"/npm//npm/plain", "/npm//npm/-/whoami", "/npm//plain", "/npm///npm/plain", "/npm//npm//npm/plain", "/npm/%2fnpm/plain"} {
			a := c.send(h, call{method: "GET", path: path, bearer: c.session})
			assert.GreaterOrEqual(t, a.Code, 300, "%s: %s", name, path)
			assert.False(t, seen, "%s: %s", name, path)
			seen = false
		}
	}
}
