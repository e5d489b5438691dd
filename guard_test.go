package npmauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// What a client calls its request decides between two sentences of a refusal, and
// nothing else: a publish that calls itself a star is challenged as a publish.
func TestCommandHeaderGrantsNothing(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	for _, command := range []string{"publish", "deprecate", "undeprecate", "star", "unstar", "owner", "unpublish", "access"} {
		a := w.do(call{
			method: "PUT", path: "/plain", bearer: s, header: map[string]string{"Npm-Command": command},
			body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0"),
		})
		assert.Equal(t, 401, a.Code, command)
		assert.Equal(t, "otp-required", a.text("code"), command)
	}
	assert.Empty(t, w.host.written())
}

// AU-52: a host is not given the second factor, of a write that took it as of a read that did not,
// and the request that its server has keeps it. It is given the credential, which it may have reasons
// to look at, and every other header.
func TestHostGetsNoSecondFactor(t *testing.T) {
	var got []http.Header
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Clone())
		r.Header.Set("X-Host", "1")
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
	})
	for _, tt := range []struct {
		name   string
		c      call
		public bool
	}{
		{"publish", publishOf("plain", "3.0.0"), false},
		{"dist-tag", call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`}, false},
		{"remove a dist-tag", call{method: "DELETE", path: "/-/package/plain/dist-tags/old"}, false},
		{"owner", call{method: "PUT", path: "/-/package/plain/owners", body: `{"user":"carol"}`}, false},
		{"deprecate", putDocument("/plain", `{"_id":"plain","_rev":"7-a","versions":{"1.0.0":{"name":"plain","version":"1.0.0","deprecated":"old"},"2.0.0":{"name":"plain","version":"2.0.0"}}}`), false},
		{"read", call{method: "GET", path: "/plain"}, false},
		{"tarball", call{method: "GET", path: "/plain/-/plain-1.0.0.tgz"}, false},
		{"search", call{method: "GET", path: "/-/v1/search?text=x"}, false},
		{"ping", call{method: "GET", path: "/-/ping"}, false},
		{"what is not npm's", call{method: "GET", path: "/healthz"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.Public = func(r *http.Request) bool { return r.URL.Path == "/healthz" } })
			s := w.alice(protocol.AuthAndWrites)
			got = nil
			var kept http.Header
			outer := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.auth.Wrap(next).ServeHTTP(rw, r)
				kept = r.Header
			})
			c := tt.c
			c.bearer, c.otp, c.header = s, w.code("alice"), map[string]string{"Npm-Command": "x", "Cookie": "a=b"}
			a := w.send(outer, c)
			require.Equal(t, 200, a.Code, a.Body.String())
			require.Len(t, got, 1)
			assert.NotContains(t, got[0], "Npm-Otp")
			assert.Equal(t, "x", got[0].Get("Npm-Command"))
			assert.Equal(t, "a=b", got[0].Get("Cookie"))
			if tt.name != "ping" {
				assert.Equal(t, "Bearer "+s, got[0].Get("Authorization"))
			}
			assert.Equal(t, c.otp, kept.Get("Npm-Otp"), "a handler around npmauth has the request as it was sent")
			assert.Empty(t, kept.Get("X-Host"))
		})
	}
}

// A package is removed as a whole at the revision that its sender read, where there are revisions:
// AU-60 of what takes away everything.
func TestUnpublishAllNamesTheRevision(t *testing.T) {
	w, bypass := documented(t)
	remove := func(rev string) answer {
		return w.do(call{method: "DELETE", path: "/plain/-rev/" + rev, bearer: bypass})
	}
	a := remove("undefined")
	assert.Equal(t, 409, a.Code)
	assert.Contains(t, a.text("error"), "does not say which revision")
	a = remove("6-a")
	assert.Equal(t, 409, a.Code)
	assert.Contains(t, a.text("error"), "has changed since you read it")
	assert.Empty(t, w.host.written())
	require.Equal(t, 200, remove("7-a").Code)
	w.host.revision = ""
	assert.Equal(t, 200, remove("undefined").Code, "a host without revisions")
}

// AU-60: Yarn 1's list of owners has none but those whom it adds. It is refused also where the host
// has no revisions, or no Documents.
func TestOwnersThatWereNotRead(t *testing.T) {
	for name, change := range map[string]func(*npmauth.Config){
		"revisions": func(*npmauth.Config) {}, "no revisions": func(*npmauth.Config) {}, "no documents": func(cfg *npmauth.Config) { cfg.Documents = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := documented(t, change)
			w.enrol("alice", protocol.AuthAndWrites)
			if name == "no revisions" {
				w.host.revision = ""
			}
			put := func(body string) answer {
				return w.do(call{method: "PUT", path: "/plain/-rev/undefined", bearer: w.login("alice"), otp: w.code("alice"), body: body})
			}
			a := put(`{"maintainers":[{"name":"carol","email":"c@acme.test"}]}`)
			assert.Equal(t, 409, a.Code)
			assert.Contains(t, a.text("error"), "Use npm owner")
			assert.Empty(t, w.host.written())
			if name != "revisions" {
				assert.Equal(t, 200, put(`{"_id":"plain","maintainers":[{"name":"alice"},{"name":"carol"}]}`).Code, "npm's, of a host whose documents have no _rev")
			}
		})
	}
}

// AU-66: what is not offered is called that whatever is presented with it: the token of a CI system,
// which a token exchange presents, is no credential of the registry's, and nobody is asked for it.
func TestNotOfferedWhateverIsPresented(t *testing.T) {
	asked := 0
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Foreign = func(context.Context, credential.Secret) (host.ForeignToken, error) {
			asked++
			return host.ForeignToken{}, host.ErrInvalidToken
		}
	})
	w.host.add("plain", false, w.person("alice"))
	live, ended := w.login("alice"), w.login("alice")
	require.NoError(t, w.logOut(ended))
	for path, want := range map[string]int{
		"POST /-/npm/v1/oidc/token/exchange/package/plain": 403,
		"GET /-/package/plain/trust":                       403,
		"POST /-/package/plain/trust":                      403,
		"DELETE /-/package/plain/trust/1":                  403,
		"POST /-/stage/package/plain":                      403,
		"GET /-/stage":                                     403,
		"POST /-/stage/1/approve":                          403,
		"GET /-/npm/v1/hooks":                              403,
		"PUT /-/user/v1/star":                              403,
		"PUT /-/pnpr/v0/publish":                           404, // which pnpm reads as not offered
		"PUT /-/pnpm/v1/publish":                           404,
		"GET /-/npm/v1/other":                              404,
	} {
		for name, bearer := range map[string]string{"nothing": "", "a JWT": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "an ended login": ended, "a login": live} {
			method, path, _ := strings.Cut(path, " ")
			a := w.do(call{method: method, path: path, bearer: bearer, body: map[bool]any{true: "{}"}[method != "GET"]})
			assert.Equal(t, want, a.Code, "%s with %s", path, name)
			assert.Regexp(t, `does not offer (this operation|trusted publishing|staged publishing)|no operation of an npm registry`, a.text("error"), "%s with %s", path, name)
			assert.Equal(t, strings.Contains(path, "oidc"), a.Header().Get("Npm-Notice") != "", "%s with %s", path, name)
		}
	}
	assert.NotZero(t, asked)
	asked = 0
	w.do(call{method: "POST", path: "/-/npm/v1/oidc/token/exchange/package/plain", bearer: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"})
	assert.Zero(t, asked, "an ID token is shown to nobody")
}

// What lies outside of the prefix is none of npm's either.
func TestPublicOutsideOfThePrefix(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.BaseURL = "https://npm.acme.test/npm/"
		cfg.Public = func(r *http.Request) bool { return r.URL.Path == "/healthz" }
	})
	assert.Equal(t, "public", w.do(call{method: "GET", path: "/healthz"}).Body.String())
	for _, path := range []string{"/", "/-/whoami", "/plain", "/%6epm/-/whoami", "/%6epm/plain", "/npm"} {
		assert.Equal(t, 404, w.do(call{method: "GET", path: path}).Code, path)
	}
	rec := w.send(w.auth.Handler(), call{method: "GET", path: "/healthz"})
	assert.Equal(t, 404, rec.Code)
}

func TestRedactPathDecodes(t *testing.T) {
	for _, path := range []string{"/-/user/%74oken/npm_secret", "/%2d/npm/v1/tokens/token/npm_secret", "/-/npm/v1/tokens/%74oken/npm%5Fsecret", "/-/auth%2Fdone/npms_secret"} {
		got := wire.RedactPath(path)
		assert.NotContains(t, got, "secret", path)
		assert.True(t, strings.HasSuffix(got, "[redacted]"), got)
	}
	assert.Equal(t, "/%zz", wire.RedactPath("/%zz"))
}

// What is for programs below /-/auth/ has no page in its place.
func TestAuthAPIHasNoPages(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/-/auth/v1/self", "/-/auth/v1/nothing"} {
		a := w.do(call{method: "PATCH", path: path})
		assert.Equal(t, 404, a.Code)
		assert.NotEmpty(t, a.text("error"), "%s: %s", path, a.Body)
	}
}

// Who is not logged in is not told to log in for what is not to be had at all.
func TestAnonymousHearWhatIsNotOffered(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{method: "GET", path: "/-/npm/v1/hooks"})
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "does not offer")
	assert.Equal(t, 401, w.do(call{method: "PUT", path: "/plain", body: "{}"}).Code)
}

// P-08: a cache in front must not answer one person with what another may read, whether
// the host thinks of that or not.
func TestAnswersVaryByCredential(t *testing.T) {
	w := newWorld(t)
	w.host.add("@acme/private", true, w.person("alice"))
	a := w.do(call{method: "GET", path: "/@acme%2fprivate", bearer: w.login("alice")})
	assert.Equal(t, 200, a.Code)
	assert.Equal(t, []string{"Authorization"}, a.Header()["Vary"])
}

// What the host does to the header of one answer is in no other.
func TestVaryIsOfOneAnswer(t *testing.T) {
	w := newWorld(t)
	w.host.add("plain", false, w.person("alice"))
	var first http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first = w.Header()
		first.Add("Vary", "Accept")
		first["Vary"][0] = "changed"
	})
	w.send(w.auth.Wrap(handler), call{method: "GET", path: "/plain"})
	assert.Equal(t, []string{"changed", "Accept"}, first["Vary"])
	w.send(w.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assert.Equal(t, []string{"Authorization"}, w.Header()["Vary"])
		w.Header()["Vary"][0] = "changed"
	})), call{method: "GET", path: "/plain"})
	assert.Equal(t, []string{"Authorization"}, w.do(call{method: "GET", path: "/plain"}).Header()["Vary"])

	proxy := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Vary", "Accept-Encoding")
		w.handler.ServeHTTP(rw, r)
	})
	a := w.send(proxy, call{method: "GET", path: "/plain"})
	assert.Equal(t, []string{"Accept-Encoding", "Authorization"}, a.Header()["Vary"])
}

// What a guarded request carries is in its context, beside what was there before, and the
// context ends with that of the request.
func TestContextOfAGuardedRequest(t *testing.T) {
	type key struct{}
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	r := httptest.NewRequest("GET", "/plain", nil)
	r.Header.Set("Authorization", "Bearer "+w.login("alice"))
	ctx, stop := context.WithCancelCause(context.WithValue(t.Context(), key{}, "the server's"))
	called := false
	w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called = true
		child, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		for _, ctx := range []context.Context{r.Context(), child, context.WithoutCancel(child)} {
			assert.Equal(t, "the server's", ctx.Value(key{}))
			who, ok := host.IdentityFrom(ctx)
			assert.True(t, ok)
			assert.Equal(t, alice, who.User)
			op, ok := host.OperationFrom(ctx)
			assert.True(t, ok)
			assert.Equal(t, protocol.ReadPackument, op.Action)
			assert.NoError(t, op.Confirm(ctx))
		}
		_, ok := host.OperationFrom(ctx)
		assert.False(t, ok, "of the request as it came")
		stop(io.ErrUnexpectedEOF)
		<-child.Done()
		assert.ErrorIs(t, context.Cause(child), io.ErrUnexpectedEOF)
		assert.ErrorIs(t, r.Context().Err(), context.Canceled)
	})).ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	assert.True(t, called)
}

// The event of a write that was allowed names who did it, and with which credential.
func TestAllowedWritesAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	secret, tok := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	w.events.all = nil
	require.Equal(t, 200, w.publish("plain", "3.0.0", secret, "").Code)
	require.Len(t, w.events.all, 1)
	integrity := w.events.all[0].Change.Integrity
	assert.Regexp(t, "^sha512-", integrity)
	assert.Equal(t, audit.Event{
		Time: w.clock.Now(), Type: audit.Access, Outcome: audit.Done, User: w.ids["alice"], By: w.ids["alice"], Credential: tok.ID, ByCredential: tok.ID,
		Addr: netip.MustParseAddr("192.0.2.1"), Action: protocol.Publish, Package: protocol.PackageName{Name: "plain"},
		Change: &protocol.Change{Version: "3.0.0", Tags: map[string]string{"latest": "3.0.0"}, Integrity: integrity},
	}, w.events.all[0])
}
