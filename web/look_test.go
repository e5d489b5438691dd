package web_test

import (
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/web"
)

// look gives the pages another look.
func (w *world) look(look web.Look) error {
	base, err := url.Parse(prefixed)
	require.NoError(w, err)
	cfg := w.config(base)
	cfg.Look = look
	pages, err := web.New(cfg)
	if err == nil {
		w.pages = pages
	}
	return err
}

// A host changes colours, logo, templates and texts, and no page loads anything from elsewhere.
func TestLook(t *testing.T) {
	w := newWorld(t, prefixed)
	svg := `<svg xmlns="http://www.w3.org/2000/svg"/>`
	login, err := fs.ReadFile(web.Files(), "login.html")
	require.NoError(t, err)
	require.NoError(t, w.look(web.Look{
		Style: ":root { --accent: #0b5fff; }", Logo: []byte(svg), LogoType: "image/svg+xml",
		Files: fstest.MapFS{"login.html": {Data: []byte(strings.Replace(string(login), `{{define "main"}}`, `{{define "main"}}<p>Ask <b>us</b>.</p>`, 1))}},
		Texts: map[string]string{"Log in to %s": "Anmelden bei %s", "There is nothing to decide here": "Nichts zu entscheiden", "The form was not accepted": "Nicht angenommen"},
	}))
	b := w.browser()
	page := b.get(loginPath(w.startLogin()))
	require.Equal(t, http.StatusOK, page.Code)
	for _, text := range []string{"<h1>Anmelden bei npm.acme.test</h1>", "<p>Ask <b>us</b>.</p>", `<img src="/registry/-/auth/logo"`} {
		assert.Contains(t, page.Body.String(), text)
	}
	assert.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src 'self'", page.Header().Get("Content-Security-Policy"))
	assert.Contains(t, b.get("/registry/-/auth/login/none").Body.String(), "Nichts zu entscheiden")

	style := b.get("/registry/-/auth/style.css")
	assert.True(t, strings.HasSuffix(style.Body.String(), ":root { --accent: #0b5fff; }"))
	assert.Contains(t, style.Body.String(), "prefers-color-scheme")
	logo := b.get("/registry/-/auth/logo")
	assert.Equal(t, svg, logo.Body.String())
	assert.Equal(t, "image/svg+xml", logo.Header().Get("Content-Type"))
	assert.Contains(t, logo.Header().Get("Content-Security-Policy"), "sandbox", "an SVG can have scripts")
	assert.Equal(t, http.StatusMethodNotAllowed, b.do(http.MethodPost, "/registry/-/auth/logo", "").Code)

	require.NoError(t, w.look(web.Look{Files: fstest.MapFS{"style.css": {Data: []byte("body {}")}}}))
	assert.Equal(t, "body {}", b.get("/registry/-/auth/style.css").Body.String())
	assert.Equal(t, http.StatusNotFound, b.get("/registry/-/auth/logo").Code)
}

// What a page could not show is an error of New.
func TestLookIsTried(t *testing.T) {
	for what, look := range map[string]web.Look{
		"a template that is none":         {Files: fstest.MapFS{"login.html": {Data: []byte("{{")}}},
		"a field that there is not":       {Files: fstest.MapFS{"login.html": {Data: []byte(`{{define "main"}}{{.Nothing}}{{end}}`)}}},
		"a field of tokens there is not":  {Files: fstest.MapFS{"tokens.html": {Data: []byte(`{{define "main"}}{{range .Data.Tokens}}{{.Secret}}{{end}}{{end}}`)}}},
		"a page without what is in it":    {Files: fstest.MapFS{"login.html": {Data: []byte("")}}},
		"a logo of no type":               {Logo: []byte("x")},
		"a logo of a type that is none":   {Logo: []byte("x"), LogoType: "text/html"},
		"the type of a logo and no logo":  {LogoType: "image/png"},
		"a folder in the place of a file": {Files: fstest.MapFS{"style.css/x": {Data: []byte("x")}}},
	} {
		assert.Error(t, newWorld(t, prefixed).look(look), what)
	}
}
