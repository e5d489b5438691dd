package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// CS-05, CS-07, CS-08, DU-19: every answer of every path carries them.
func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	f := w.startLogin()
	for want, do := range map[int][]string{
		http.StatusOK:                   {http.MethodGet, loginPath(f), ""},
		http.StatusNotFound:             {http.MethodGet, "/registry/-/auth/login/x", ""},
		http.StatusForbidden:            {http.MethodPost, loginPath(f), "decision=deny"},
		http.StatusMethodNotAllowed:     {http.MethodPut, loginPath(f), ""},
		http.StatusSeeOther:             {http.MethodPost, loginPath(f), b.form(loginPath(f), "decision", "deny").Encode()},
		http.StatusUnsupportedMediaType: nil,
	} {
		var h http.Header
		if do == nil {
			b.header.Set("Content-Encoding", "gzip")
			do = []string{http.MethodPost, loginPath(w.startLogin()), ""}
		}
		rec := b.do(do[0], do[1], do[2])
		b.header.Del("Content-Encoding")
		require.Equal(t, want, rec.Code)
		h = rec.Header()
		for field, value := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Frame-Options":              "DENY",
			"X-Content-Type-Options":       "nosniff",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"Cache-Control":                "no-store",
			"X-Robots-Tag":                 "noindex",
		} {
			assert.Equal(t, []string{value}, h.Values(field), "%d %s", want, field)
		}
	}
}

// CS-04: over https the cookie is one that no subdomain and no http page can set.
func TestCookie(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	rec := b.get(loginPath(w.startLogin()))
	require.Len(t, rec.Result().Cookies(), 1)
	assert.Regexp(t, `^__Host-npmauth-f0ebb72e=[A-Z2-7]{26}; Path=/; HttpOnly; Secure; SameSite=Strict$`, rec.Header().Get("Set-Cookie"))
	assert.Empty(t, b.get(loginPath(w.startLogin())).Header().Values("Set-Cookie"), "it is kept for the next page")
	b.cookies["__Host-npmauth-f0ebb72e"].Value = "short"
	assert.NotEmpty(t, b.get(loginPath(w.startLogin())).Header().Values("Set-Cookie"), "what is not ours is replaced")
	assert.Empty(t, w.browser().get("/registry/-/auth/login/x").Header().Values("Set-Cookie"), "where there is no form there is no cookie")

	// Over http there is no such prefix, and a browser sends a form with the origin
	// that tells it from a foreign one only under same-origin.
	w = newWorld(t, "http://registry.example:4873/npm/")
	rec = w.browser().get("/npm/-/auth/login/" + w.startLogin().PageID)
	assert.Regexp(t, `^npmauth-[0-9a-f]{8}=[A-Z2-7]{26}; Path=/npm/-/auth/; HttpOnly; SameSite=Strict$`, rec.Header().Get("Set-Cookie"))
	assert.Equal(t, "same-origin", rec.Header().Get("Referrer-Policy"))
}

func TestStyle(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	rec := b.get("/registry/-/auth/style.css")
	require.Equal(t, http.StatusOK, rec.Code)
	assert.Equal(t, "text/css; charset=utf-8", rec.Header().Get("Content-Type"))
	assert.Equal(t, "no-cache", rec.Header().Get("Cache-Control"))
	assert.NotContains(t, rec.Body.String(), "url(", "it loads nothing")
	assert.NotContains(t, rec.Body.String(), "@import")

	b.header.Set("If-None-Match", rec.Header().Get("Etag"))
	rec = b.get("/registry/-/auth/style.css")
	assert.Equal(t, http.StatusNotModified, rec.Code)
	assert.Empty(t, rec.Body.String())
}
