package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
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

// tagOf returns the tag by which a browser asks whether what it has is still the same.
func tagOf(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
