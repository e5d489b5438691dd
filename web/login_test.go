package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/subject"
)

// A recovery code is recorded in the account's row, which the approval depends on.
func TestLoginWithARecoveryCode(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	form := []string{"decision", "approve", "name", "alice", "password", alicePassword, "code", w.recovery[0].Reveal()}
	require.Equal(t, http.StatusSeeOther, w.browser().submit(loginPath(f), form...).Code)
	sub, err := subject.Get(t.Context(), w.store, "u-alice")
	require.NoError(t, err)
	assert.Equal(t, w.now, sub.Recovered)
	poll, err := w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	require.Equal(t, session.Done, poll.State)
	_, err = w.sessions.Verify(t.Context(), poll.Secret)
	assert.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, w.browser().submit(loginPath(w.startLogin()), form...).Code, "once")
}

func TestLoginIsApproved(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()

	page := b.get(loginPath(f)).Body.String()
	for _, shown := range []string{f.CheckCode, "192.0.2.7", "npm/11.19.1", "23 November 2026, 09:01:00 UTC"} {
		assert.Contains(t, page, shown)
	}
	assert.NotContains(t, page, "You are at", "the browser is where npm is")

	// A group of digits as an app shows it, a name with a keyboard's blank.
	code := w.code()[:3] + " " + w.code()[3:]
	rec := b.submit(loginPath(f), "decision", "approve", "name", "alice ", "password", alicePassword, "code", code)
	require.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body) // RD-02
	require.Equal(t, loginPath(f), rec.Header().Get("Location"))

	rec = b.get(loginPath(f))
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Contains(t, rec.Body.String(), "Login approved")
	assert.NotContains(t, rec.Body.String(), "<form")

	poll, err := w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	assert.Equal(t, session.Done, poll.State)
	assert.Equal(t, "alice", poll.Session.Name)
}

func TestLoginWithoutFactor(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	rec := w.browser().submit(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword, "code", "")
	assert.Equal(t, http.StatusSeeOther, rec.Code)
}

func TestLoginIsRefused(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	rec := b.submit(loginPath(f), "decision", "deny")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	assert.Contains(t, b.get(loginPath(f)).Body.String(), "Login refused")
	poll, err := w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	assert.Equal(t, session.Over, poll.State)
}

// DU-07: a client at another IP address is marked.
func TestLoginFromElsewhere(t *testing.T) {
	w := newWorld(t, prefixed)
	f, err := w.sessions.Start(t.Context(), session.Client{Addr: npmClient.Addr.Next()})
	require.NoError(t, err)
	page := w.browser().get(loginPath(f)).Body.String()
	assert.Contains(t, page, "You are at <strong>192.0.2.7</strong>, and the request came from <strong>192.0.2.8</strong>")
	assert.Contains(t, page, "not named")

	// A machine has several addresses of its own.
	f, err = w.sessions.Start(t.Context(), session.Client{Addr: netip.MustParseAddr("127.0.0.1")})
	require.NoError(t, err)
	for addr, warns := range map[string]bool{"[::1]:1": false, "[2001:db8::1]:1": true} {
		r := httptest.NewRequest(http.MethodGet, "http://npm.acme.test"+loginPath(f), nil)
		r.RemoteAddr = addr
		rec := httptest.NewRecorder()
		w.pages.ServeHTTP(rec, r)
		assert.Equal(t, warns, strings.Contains(rec.Body.String(), "You are at"), addr)
	}
}

// DU-08: a browser that approved one login a moment ago has nothing that approves the next.
func TestLoginAsksEveryTime(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	rec := b.submit(loginPath(w.startLogin()), "decision", "approve", "name", "bob", "password", bobPassword)
	require.Equal(t, http.StatusSeeOther, rec.Code)

	f := w.startLogin()
	require.Contains(t, b.get(loginPath(f)).Body.String(), `type="password"`)
	rec = b.submit(loginPath(f), "decision", "approve", "name", "bob", "password", "")
	assert.Equal(t, http.StatusForbidden, rec.Code)
	poll, err := w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	assert.Equal(t, session.Pending, poll.State)
}

// EN-01, EN-03: every refusal is one page, byte for byte except for the name that was typed.
func TestLoginDenials(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	form := b.form(loginPath(f), "decision", "approve")
	var first string
	for _, tt := range []struct{ why, name, password, code string }{
		{"wrong password", "alice", "wrong", w.code()},
		{"wrong password and no code", "alice", "wrong", ""},
		{"unknown name", "nobody", alicePassword, w.code()},
		{"empty name", "", alicePassword, ""},
		{"empty password", "bob", "", ""},
		{"no code", "alice", alicePassword, ""},
		{"wrong code", "alice", alicePassword, "000000"},
		{"no code at all", "alice", alicePassword, "abc"},
		{"recovery code that is none", "alice", alicePassword, strings.Repeat("0", 64)},
		{"password with a blank", "bob", bobPassword + " ", ""}, // as received: ASVS 6.2.8
	} {
		form.Set("name", tt.name)
		form.Set("password", tt.password)
		form.Set("code", tt.code)
		rec := b.do(http.MethodPost, loginPath(f), form.Encode())
		assert.Equal(t, http.StatusForbidden, rec.Code, tt.why)
		assert.Empty(t, rec.Header().Values("WWW-Authenticate"), tt.why)
		body := strings.Replace(rec.Body.String(), `name="name" value="`+tt.name+`"`, `name="name" value=""`, 1)
		if first == "" {
			first = body
			assert.Contains(t, body, `role="alert"`)
		}
		assert.Equal(t, first, body, tt.why)
		assert.NotContains(t, body, alicePassword, tt.why)
	}
	// The returned form works.
	form.Set("name", "bob")
	form.Set("password", bobPassword)
	form.Set("code", "")
	assert.Equal(t, http.StatusSeeOther, b.do(http.MethodPost, loginPath(f), form.Encode()).Code)
}

// distance is how far a time of a page is.
var distance = regexp.MustCompile(`</time> <span class="whole">\([^)]*\)</span>`)

// EN-06: a locked second factor gets the answer of a wrong code.
func TestLoginLocked(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	form := b.form(loginPath(f), "decision", "approve", "name", "alice", "password", alicePassword, "code", "000000")
	send := func() string { // time goes on, and the page says so
		return distance.ReplaceAllString(b.do(http.MethodPost, loginPath(f), form.Encode()).Body.String(), "</time>")
	}
	first := send()
	for range 8 { // more than one sign-in may try
		w.now = w.now.Add(30e9)
		assert.Equal(t, first, send())
	}
	form.Set("code", w.code())
	assert.Equal(t, first, send(), "not even a right one")
}

func TestLoginIsDecidedOnce(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	form := b.form(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword)
	require.Equal(t, http.StatusSeeOther, b.do(http.MethodPost, loginPath(f), form.Encode()).Code)
	before := w.dump()
	form.Set("decision", "deny")
	rec := b.do(http.MethodPost, loginPath(f), form.Encode())
	assert.Equal(t, http.StatusSeeOther, rec.Code, "the page says what came of it")
	assert.Equal(t, before, w.dump())
	assert.Contains(t, b.get(loginPath(f)).Body.String(), "Login approved")
}

func TestLoginExpires(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	form := b.form(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword)
	w.now = f.Expires.Add(-1)
	assert.Equal(t, http.StatusOK, b.get(loginPath(f)).Code)
	w.now = f.Expires
	gone := b.get(loginPath(f))
	assert.Equal(t, http.StatusNotFound, gone.Code)
	assert.Equal(t, http.StatusNotFound, b.do(http.MethodPost, loginPath(f), form.Encode()).Code)
	// Forged, damaged and expired get one answer.
	for _, path := range []string{"/registry/-/auth/login/forged", "/registry/-/auth/login/", "/registry/-/auth/login/" + f.PageID + "x", "/registry/-/auth/login/a%2Fb", loginPath(f) + "/"} {
		rec := b.get(path)
		assert.Equal(t, http.StatusNotFound, rec.Code, path)
		assert.Equal(t, gone.Body.String(), rec.Body.String(), path)
	}
}
