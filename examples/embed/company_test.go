package main

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

var fields = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// People sign in where the company does, and make a token with no password.
func TestCompany(t *testing.T) {
	a := newApp()
	var shelf, login http.Handler
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { shelf.ServeHTTP(w, r) }))
	defer registry.Close()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { login.ServeHTTP(w, r) }))
	defer provider.Close()
	c := newCompany(a, provider.URL, registry.URL+"/")
	login = c
	auth, err := adopt(a, registry.URL+"/", store.NewMemory(), c.signIn())
	require.NoError(t, err)
	shelf = auth.Wrap(a)

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	var at *url.URL
	load := func(res *http.Response, err error) string {
		t.Helper()
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		at = res.Request.URL
		return string(body)
	}
	submit := func(page, decision string, more url.Values) string {
		t.Helper()
		i := strings.Index(page, `name="decision" value="`+decision+`"`)
		require.GreaterOrEqual(t, i, 0, page)
		form := url.Values{"decision": {decision}}
		for _, f := range fields.FindAllStringSubmatch(page[strings.LastIndex(page[:i], "<form"):i], -1) {
			form.Set(f[1], html.UnescapeString(f[2]))
		}
		for k, v := range more {
			form[k] = v
		}
		r, err := http.NewRequest(http.MethodPost, at.String(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", registry.URL)
		return load(browser.Do(r))
	}

	page := load(browser.Get(registry.URL + "/-/auth/tokens"))
	page = submit(page, "sign-in", nil)
	require.Contains(t, page, "Who are you?")
	assert.Contains(t, load(browser.PostForm(at.String(), url.Values{"name": {"nobody"}})), "Who are you?")
	page = load(browser.PostForm(at.String(), url.Values{"name": {"ada"}}))
	require.Contains(t, page, "You are signed in.")
	page = load(browser.Get(registry.URL + "/-/auth/tokens"))
	require.Contains(t, page, "Signed in as <strong>ada</strong>")
	page = submit(page, "create", url.Values{"name": {"ci"}, "permission": {"read-only"}, "all": {"yes"}, "days": {"30"}})
	assert.Contains(t, page, "The token is made")
}
