package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// withAPI gives the pages of w an API. The handler sees the requests that pages send.
func (w *world) withAPI(base string, api http.HandlerFunc, change ...func(*web.Config)) {
	u, err := url.Parse(base)
	require.NoError(w, err)
	cfg := w.config(u)
	cfg.API = api
	for _, f := range change {
		f(&cfg)
	}
	w.pages, err = web.New(cfg)
	require.NoError(w, err)
}

const tokensPage = "/registry/-/auth/tokens"

// signedIn is a browser in which bob is signed in.
func (w *world) signedIn() *browser {
	b := w.browser()
	rec := b.submit(tokensPage, "decision", "sign-in", "name", "bob", "password", bobPassword)
	require.Equal(w, http.StatusSeeOther, rec.Code)
	return b
}

// fill returns the fields of the page's own form, below the one for signing out.
func (b *browser) fill(fields ...string) url.Values {
	form := b.form(tokensPage, fields...)
	tokens := tokenField.FindAllStringSubmatch(b.get(tokensPage).Body.String(), -1)
	form.Set("token", tokens[len(tokens)-1][1])
	return form
}

// CS-12: A page sends the API what it means itself, and nothing that the browser claims in headers: only
// from where it comes, and through which proxy, goes along.
func TestHeadersOfPages(t *testing.T) {
	w := newWorld(t, prefixed)
	var seen []*http.Request
	w.withAPI(prefixed, func(rw http.ResponseWriter, r *http.Request) {
		seen = append(seen, r)
		_, _ = io.WriteString(rw, `{"name":"bob","objects":[],"urls":{},"token":"npm_x"}`)
	})
	b := w.signedIn()
	form := b.fill("decision", "create", "name", "ci", "password", bobPassword)
	for name, value := range map[string]string{
		"Authorization": "Bearer npm_of_somebody_else", "Npm-Otp": "123456", "Npm-Auth-Type": "web", "Npm-Command": "publish", "npm-session": "x",
		"Content-Encoding": "gzip", "If-None-Match": "*", "Range": "bytes=0-1", "Expect": "100-continue", "Sec-Fetch-Site": "same-origin",
		"X-Forwarded-For": "198.51.100.1", "Accept": "application/vnd.npm.install-v1+json",
	} {
		b.header.Set(name, value)
	}
	seen = nil
	rec := b.get(tokensPage + "?after=..%2F..%2Fwhoami&perPage=1%26x&%2e=;x")
	require.Equal(t, http.StatusOK, rec.Code)
	b.header.Del("Content-Encoding")
	rec = b.do(http.MethodPost, tokensPage, form.Encode())
	require.Equal(t, http.StatusSeeOther, rec.Code)
	require.Len(t, seen, 3)
	var bearer string
	for i, r := range seen {
		want := []string{"GET /registry/-/npm/v1/tokens", "GET /registry/-/auth/v1/factors", "POST /registry/-/npm/v1/tokens"}[i]
		assert.Equal(t, want, r.Method+" "+r.URL.EscapedPath())
		assert.Equal(t, r.RequestURI, r.URL.RequestURI())
		assert.Equal(t, "192.0.2.7:40000", r.RemoteAddr)
		if bearer == "" {
			bearer = r.Header.Get("Authorization")
		}
		header := http.Header{"Authorization": {bearer}, "Npm-Auth-Type": {"legacy"}, "X-Forwarded-For": {"198.51.100.1"}}
		if r.Method == http.MethodPost {
			header.Set("Content-Type", "application/json")
		}
		assert.Equal(t, header, r.Header, want)
	}
	assert.True(t, strings.HasPrefix(bearer, "Bearer npms_"))
	assert.Equal(t, "../../whoami", seen[0].URL.Query().Get("after"), "a value, and no path")
}

// A path of a page leads to no other of the API.
func TestPathsOfPages(t *testing.T) {
	w := newWorld(t, prefixed)
	var wrote []string
	w.withAPI(prefixed, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			wrote = append(wrote, r.URL.EscapedPath())
		}
		_, _ = io.WriteString(rw, `{"objects":[],"urls":{}}`)
	})
	b := w.signedIn()
	form := b.fill()
	for _, key := range []string{"", "..", "../../user", "a%2fb", "a?b", "a/rotate", "a b", "%2e%2e", strings.Repeat("a", 1025)} {
		form.Set("decision", "revoke:"+key)
		assert.Equal(t, http.StatusBadRequest, b.do(http.MethodPost, tokensPage, form.Encode()).Code, key)
	}
	for _, path := range []string{"/..%2f..%2fuser", "/a%2fb", "/%2e%2e", "/a/b", "//", "/a/"} {
		assert.Equal(t, http.StatusNotFound, b.get(tokensPage+path).Code, path)
	}
	assert.Empty(t, wrote)
}

// What is shown once is not lost where the page cannot be shown at first.
func TestShownOnceThoughTheAPIFails(t *testing.T) {
	w := newWorld(t, prefixed)
	fails := false
	w.withAPI(prefixed, func(rw http.ResponseWriter, r *http.Request) {
		if fails && r.Method == http.MethodGet {
			rw.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(rw, `{"error":"not now"}`)
			return
		}
		_, _ = io.WriteString(rw, `{"objects":[],"urls":{},"token":"npm_of_bob"}`)
	})
	b := w.signedIn()
	rec := b.do(http.MethodPost, tokensPage, b.fill("decision", "create", "name", "ci", "password", bobPassword).Encode())
	require.Equal(t, http.StatusSeeOther, rec.Code)
	fails = true
	assert.Equal(t, http.StatusServiceUnavailable, b.get(tokensPage).Code)
	fails = false
	assert.Contains(t, b.get(tokensPage).Body.String(), "npm_of_bob")
	assert.NotContains(t, b.get(tokensPage).Body.String(), "npm_of_bob")
}

// A login's page is one also for who is signed in to a session that the API refuses.
func TestLoginPageThoughTheAPIRefuses(t *testing.T) {
	w := newWorld(t, prefixed)
	status := http.StatusOK
	w.withAPI(prefixed, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, `{"objects":[],"urls":{},"message":"Not from there."}`)
	})
	b := w.signedIn()
	for status = range map[int]bool{http.StatusUnauthorized: true, http.StatusForbidden: true} {
		assert.Equal(t, http.StatusOK, b.get(loginPath(w.startLogin())).Code, status)
	}
	status = http.StatusServiceUnavailable
	assert.Equal(t, http.StatusServiceUnavailable, b.get(loginPath(w.startLogin())).Code)
}

// A browser forgets a session that its person ends, also where the registry cannot end it.
func TestSignOutThoughTheAPIFails(t *testing.T) {
	w := newWorld(t, prefixed)
	w.withAPI(prefixed, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(rw, `{"objects":[],"urls":{}}`)
	})
	for _, broken := range []error{nil, errors.New("the store is away")} {
		b := w.signedIn()
		path := "/registry/-/auth/signout"
		form := b.form(tokensPage) // the first form is the one for it
		b.header.Set("Sec-Fetch-Site", "cross-site")
		assert.Equal(t, http.StatusForbidden, b.do(http.MethodPost, path, form.Encode()).Code)
		b.header.Del("Sec-Fetch-Site")
		assert.Contains(t, b.get(tokensPage).Body.String(), "Signed in as", "no other site signs out")
		w.broken, w.reported = broken, nil
		rec := b.do(http.MethodPost, path, form.Encode())
		w.broken = nil
		assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
		assert.Contains(t, rec.Body.String(), "This browser is signed out")
		assert.Len(t, w.reported, 1)
		last := rec.Result().Cookies()[len(rec.Result().Cookies())-1]
		assert.Equal(t, "__Host-npmauth-f0ebb72e-member", last.Name)
		assert.Negative(t, last.MaxAge)
	}
}

// interrupted runs a function before a challenge is approved.
type interrupted struct {
	challenges
	fn func()
}

func (c interrupted) Approve(ctx context.Context, in twofactor.Approval) (credential.Secret, error) {
	c.fn()
	return c.challenges.Approve(ctx, in)
}

// TK-35: A session ends while it answers a challenge: the challenge is not approved.
func TestChallengeBySessionThatEnds(t *testing.T) {
	w := newWorld(t, prefixed)
	ends := false
	w.withAPI(prefixed, func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"objects":[],"urls":{},"tfa":{"mode":"auth-and-writes"}}`)
	}, func(cfg *web.Config) {
		cfg.Factors = interrupted{challenges{w}, func() {
			if ends {
				list, _, err := w.sessions.List(t.Context(), "u-alice", "", 100)
				require.NoError(t, err)
				for _, s := range list {
					require.NoError(t, w.sessions.End(t.Context(), audit.Actor{}, s.User, s.ID))
				}
			}
		}}
	})
	b := w.browser()
	require.Equal(t, http.StatusSeeOther, b.submit(tokensPage, "decision", "sign-in", "name", "alice", "password", alicePassword, "code", w.code()).Code)
	approve := func() *httptest.ResponseRecorder {
		w.now = w.now.Add(time.Minute)
		path := challengePath(w.startChallenge())
		form := b.form(path, "decision", "approve", "code", w.code())
		tokens := tokenField.FindAllStringSubmatch(b.get(path).Body.String(), -1)
		form.Set("token", tokens[len(tokens)-1][1])
		return b.do(http.MethodPost, path, form.Encode())
	}
	require.Equal(t, http.StatusSeeOther, approve().Code)
	ends = true
	rec := approve()
	assert.Equal(t, http.StatusForbidden, rec.Code)
	assert.Contains(t, rec.Body.String(), "You are not signed in any more")
	assert.Contains(t, rec.Body.String(), `name="password"`)
}

// CS-04: over http, where a sibling domain can set the cookie of a session: two of them are none.
func TestTwoSessionCookies(t *testing.T) {
	const base, name = "http://npm.acme.test/registry/", "npmauth-f0ebb72e-member"
	w := newWorld(t, base)
	w.withAPI(base, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"objects":[],"urls":{}}`) })
	other := w.signedIn()
	b := w.signedIn()
	require.Equal(t, "/registry/-/auth/", b.cookies[name].Path)
	assert.Contains(t, b.get(tokensPage).Body.String(), "Signed in as <strong>bob</strong>")
	b.header.Set("Cookie", name+"="+other.cookies[name].Value)
	rec := b.get(tokensPage)
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Contains(t, rec.Body.String(), "Sign in to")
}
