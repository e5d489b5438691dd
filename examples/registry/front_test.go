package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browsers is what they send.
const browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func (w *world) frontPage(header ...string) (int, http.Header, string) {
	w.t.Helper()
	res := w.do("GET", "/", "", nil, header...)
	body, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	return res.StatusCode, res.Header, string(body)
}

func TestFrontPage(t *testing.T) {
	w := newWorld(t)
	status, _, page := w.frontPage("Accept", browsers)
	require.Equal(t, http.StatusOK, status, page)
	assert.Contains(t, page, "There is none yet")
	for _, command := range []string{
		"npm config set registry http://registry.example/<", "pnpm config set registry http://registry.example/<",
		"yarn config set --home npmRegistryServer http://registry.example/<", "&#39;[&#34;registry.example&#34;]&#39;", `href="/-/auth/"`,
	} {
		assert.Contains(t, page, command)
	}

	w.mustPublish("widget", "1.2.0", func(_, manifest map[string]any) { manifest["description"] = `<script>alert(1)</script>` })
	w.mustPublish("@alice/secret", "1.0.0", nil)
	_, h, page := w.frontPage("Accept", browsers)
	assert.Contains(t, page, "widget")
	assert.Contains(t, page, "1.2.0")
	assert.Contains(t, page, "&lt;script&gt;")
	assert.NotContains(t, page, "<script")
	assert.NotContains(t, page, " style=")
	assert.NotContains(t, page, "secret", "a private package")
	assert.Equal(t, "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"))
	assert.Equal(t, "Accept", h.Get("Vary"))

	_, _, same := w.frontPage("Accept", browsers, "Authorization", "Bearer "+w.alice)
	assert.Equal(t, page, same, "nobody's credential makes it another page")
}

// Programs get at / what they get at any path that is none of npm's.
func TestFrontPageIsForBrowsers(t *testing.T) {
	w := newWorld(t)
	for _, accept := range []string{"", "*/*", "application/json", "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"} {
		status, h, body := w.frontPage("Accept", accept)
		assert.Equal(t, http.StatusNotFound, status, accept)
		assert.Equal(t, "application/json", h.Get("Content-Type"))
		assert.Contains(t, body, `"error"`)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		assert.GreaterOrEqual(t, w.do(method, "/", "", nil, "Accept", browsers).StatusCode, 400, method)
	}
	assert.Equal(t, http.StatusNotFound, w.do("GET", "/widget", "", nil, "Accept", browsers).StatusCode)
}

func TestFrontPageBelowAPath(t *testing.T) {
	base, err := url.Parse("https://registry.example/npm/")
	require.NoError(t, err)
	front := isFront(base)
	for path, want := range map[string]bool{"/npm/": true, "/": true, "/npm": false, "/npm/x": false, "/npm/npm/": false} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept", browsers)
		assert.Equal(t, want, front(r), path)
	}
}

func TestFrontPageIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range frontMost + 2 {
		w.mustPublish(fmt.Sprintf("p%03d", i), "1.0.0", nil)
	}
	_, _, page := w.frontPage("Accept", browsers)
	assert.Contains(t, page, "p099")
	assert.NotContains(t, page, "p100")
	assert.Contains(t, page, "And 2 more")
}
