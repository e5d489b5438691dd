package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// DU-08, DU-18: a program that opens a URL changes nothing, however often and with whatever
// headers.
func TestNothingChangesOnGet(t *testing.T) {
	w := newWorld(t, prefixed)
	f, c := w.startLogin(), w.startChallenge()
	b := w.browser()
	fields := b.form(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword).Encode()
	before := w.dump()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, path := range []string{loginPath(f), challengePath(c), loginPath(f) + "?" + fields, challengePath(c) + "?decision=deny"} {
			rec := b.do(method, path, "")
			assert.Equal(t, http.StatusOK, rec.Code, path)
		}
	}
	assert.Zero(t, w.calls)
	assert.Equal(t, before, w.dump())
}

func TestMethods(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	f := w.startLogin()
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace, "post"} {
		rec := b.do(method, loginPath(f), "")
		assert.Equal(t, http.StatusMethodNotAllowed, rec.Code, method)
		assert.Equal(t, "GET, HEAD, POST", rec.Header().Get("Allow"))
	}
	rec := b.do(http.MethodPost, "/registry/-/auth/style.css", "")
	assert.Equal(t, http.StatusMethodNotAllowed, rec.Code)
	assert.Equal(t, "GET, HEAD", rec.Header().Get("Allow"))
	assert.Zero(t, w.calls)
}

// HS-13, DU-20, RD-01: URLs come from the base URL, and only their path.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ base, prefix string }{
		{"https://npm.acme.test", ""},
		{"https://npm.acme.test/", ""},
		{"https://npm.acme.test/registry/npm", "/registry/npm"},
		{"https://npm.acme.test/registry/npm/", "/registry/npm"},
		{"http://registry.example:4873/", ""},
	} {
		t.Run(tt.base, func(t *testing.T) {
			w := newWorld(t, tt.base)
			b := w.browser()
			b.header.Set("X-Forwarded-Host", "evil.test")
			b.header.Set("X-Forwarded-Proto", "gopher")
			path := tt.prefix + "/-/auth/login/" + w.startLogin().PageID
			r := httptest.NewRequest(http.MethodGet, "http://evil.test"+path+"?next=//evil.test/", nil)
			rec := httptest.NewRecorder()
			w.pages.ServeHTTP(rec, r)
			require.Equal(t, http.StatusOK, rec.Code)
			assert.NotContains(t, rec.Body.String(), "evil")
			assert.NotContains(t, rec.Body.String(), "://", "no address with a host")
			assert.Contains(t, rec.Body.String(), `action="`+path+`"`)
			assert.Contains(t, rec.Body.String(), `href="`+tt.prefix+`/-/auth/style.css"`)

			rec = b.do(http.MethodPost, path+"?next=//evil.test/", b.form(path, "decision", "deny").Encode())
			require.Equal(t, http.StatusSeeOther, rec.Code) // RD-02: never 307
			assert.Equal(t, path, rec.Header().Get("Location"))
			assert.Equal(t, http.StatusOK, b.get(tt.prefix+"/-/auth/style.css").Code)
		})
	}
}

// Pages work behind a proxy or a host that strips the prefix.
func TestStrippedPrefix(t *testing.T) {
	w := newWorld(t, prefixed)
	rec := w.browser().get("/-/auth/login/" + w.startLogin().PageID)
	require.Equal(t, http.StatusOK, rec.Code)
	assert.Contains(t, rec.Body.String(), `action="/registry/-/auth/login/`)
}

func TestOtherPaths(t *testing.T) {
	w := newWorld(t, prefixed)
	for _, path := range []string{
		"/", "/-/auth/login", "/-/auth/done/x", "/-/auth/proof/x", "/-/auth/style.css/", "/-/auth/assets/login.html",
		"/-/auth/" + w.startLogin().PageID, "/login/" + w.startLogin().PageID, "/x/-/auth/login/" + w.startLogin().PageID,
	} {
		assert.Equal(t, http.StatusNotFound, w.browser().get(path).Code, path)
	}

	// A text that cannot be an ID is not looked up.
	w.request = &twofactor.Request{}
	path := "/-/auth/challenge/" + strings.Repeat("a", 1024)
	assert.Equal(t, http.StatusOK, w.browser().get(path).Code)
	assert.Equal(t, http.StatusNotFound, w.browser().get(path+"a").Code)
	assert.Equal(t, http.StatusNotFound, w.browser().get("/-/auth/challenge/a.b").Code)
}

// PW-01 and every outage: a page with 503, and nothing else.
func TestNobodyCanTell(t *testing.T) {
	w := newWorld(t, prefixed)
	w.broken = errors.New("the queue of the password hasher is full")
	for path, form := range map[string][]string{
		loginPath(w.startLogin()):         {"decision", "approve", "name", "bob", "password", bobPassword},
		challengePath(w.startChallenge()): {"decision", "approve", "password", alicePassword, "code", w.code()},
	} {
		w.reported = nil
		rec := w.browser().submit(path, form...)
		assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
		assert.Equal(t, "5", rec.Header().Get("Retry-After"))
		assert.Contains(t, rec.Body.String(), "Nothing was changed")
		assert.NotContains(t, rec.Body.String(), "hasher")
		require.Len(t, w.reported, 1)
		assert.ErrorIs(t, w.reported[0], w.broken)
	}
}

// ST-03: after an unknown outcome the page does not say that nothing was changed.
func TestNobodyKnows(t *testing.T) {
	w := newWorld(t, prefixed)
	w.broken = fmt.Errorf("%w: the connection broke", store.ErrUnknown)
	rec := w.browser().submit(loginPath(w.startLogin()), "decision", "approve", "name", "bob", "password", bobPassword)
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.Contains(t, rec.Body.String(), "not known whether this was done")
	assert.NotContains(t, rec.Body.String(), "Nothing was changed")
}

// Without its key the handler makes no page and accepts no form.
func TestKeysAway(t *testing.T) {
	w := newWorld(t, prefixed)
	base, err := url.Parse(prefixed)
	require.NoError(t, err)
	w.pages, err = web.New(web.Config{
		BaseURL: base, Sessions: logins{w}, Factors: challenges{w}, Keys: credential.NewServerKey(away{w.store}, "web"),
		CheckPassword: w.sessions.CheckPassword, Client: func(*http.Request) session.Client { return npmClient },
	})
	require.NoError(t, err)
	b := w.browser()
	assert.Equal(t, http.StatusServiceUnavailable, b.get(loginPath(w.startLogin())).Code)
	assert.Equal(t, http.StatusServiceUnavailable, b.do(http.MethodPost, loginPath(w.startLogin()), "token=&decision=deny").Code)
	assert.Zero(t, w.calls)
}

type away struct{ store.Store }

func (away) Get(context.Context, ...string) ([]store.Item, error) {
	return nil, errors.New("the store is away")
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t, prefixed)
	at := func(text string) func(*web.Config) {
		return func(c *web.Config) {
			u, err := url.Parse(text)
			require.NoError(t, err)
			c.BaseURL = u
		}
	}
	for _, tt := range []struct {
		field  string
		change func(*web.Config)
	}{
		{"BaseURL", func(c *web.Config) { c.BaseURL = nil }},
		{"BaseURL", at("/registry/")},
		{"BaseURL", at("ftp://npm.acme.test/")},
		{"BaseURL", at("https://alice@npm.acme.test/")},
		{"BaseURL", at("https://npm.acme.test/?a=b")},
		{"BaseURL", at("https://npm.acme.test/#a")},
		{"Sessions", func(c *web.Config) { c.Sessions = nil }},
		{"Factors", func(c *web.Config) { c.Factors = nil }},
		{"Keys", func(c *web.Config) { c.Keys = nil }},
		{"CheckPassword", func(c *web.Config) { c.CheckPassword = nil }},
		{"Client", func(c *web.Config) { c.Client = nil }},
	} {
		cfg := web.Config{
			Sessions: w.sessions, Factors: w.factors, Keys: credential.NewServerKey(w.store, "web"),
			CheckPassword: w.sessions.CheckPassword, Client: func(*http.Request) session.Client { return npmClient },
		}
		at(prefixed)(&cfg)
		_, err := web.New(cfg)
		require.NoError(t, err)
		tt.change(&cfg)
		_, err = web.New(cfg)
		assert.ErrorContains(t, err, "Config."+tt.field)
	}
}

// The documentation of the package has all routes, in their order.
func TestRoutesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("web.go")
	require.NoError(t, err)
	var documented [][2]string
	for _, line := range regexp.MustCompile(`(?m)^//\t([A-Z]+(?:, [A-Z]+)*) +(/-/auth/\S*(?: ID>)?)`).FindAllStringSubmatch(string(source), -1) {
		documented = append(documented, [2]string{line[1], line[2]})
	}
	assert.Equal(t, documented, web.Routes())
}
