package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"time"
)

const contentPolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// protect sets the header fields of every answer.
func (p *Pages) protect(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Cache-Control", "no-store")
	// Under no-referrer a form is sent with Origin: null (Fetch, "append a request Origin
	// header"). That is no loss if the browser also sends Sec-Fetch-Site, which it does over
	// https only; over http, only Origin distinguishes the page's form from a foreign one.
	// Nothing leaves the origin under either policy.
	h.Set("Referrer-Policy", "same-origin")
	if p.secure {
		h.Set("Referrer-Policy", "no-referrer")
	}
}

const stylePath = "/-/auth/style.css"

//go:embed assets/style.css
var style []byte

var styleTag = func() string {
	sum := sha256.Sum256(style)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}()

func (p *Pages) serveStyle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p.write(w, http.StatusMethodNotAllowed, badMethod)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "no-cache") // cached, and revalidated by its tag
	h.Set("Etag", styleTag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(style))
}
