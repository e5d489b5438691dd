package main

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// frontMost is how many packages the front page shows.
const frontMost = 100

// isFront returns the Public of npmauth's Config: it reports whether a request is a browser's for
// the front page, at the path of base, or at / where the path was removed. A program that asks
// there gets npmauth's answer, as at every path that is none of npm's.
func isFront(base *url.URL) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.URL.Path == base.Path || r.URL.Path == "/") && acceptsHTML(r.Header)
	}
}

// acceptsHTML reports whether text/html is named in Accept, as browsers do and npm's clients do
// not.
func acceptsHTML(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		kind, _, err := mime.ParseMediaType(part)
		if err == nil && kind == "text/html" {
			return true
		}
	}
	return false
}

//go:embed front.html
var frontText string

var frontTemplate = template.Must(template.New("front").Parse(frontText))

// A frontPage is what the template shows.
type frontPage struct {
	Registry string // its host and port
	URL      string
	Host     string // without the port, if the URL is not https: Yarn asks for it
	Prefix   string // of paths, with a slash at its end
	Packages []frontPackage
	More     int // that everybody may read
}

// A frontPackage is one that everybody may read.
type frontPackage struct{ Name, Version, Description string }

// front serves the front page, which is the same for everybody.
func (s *registry) front(w http.ResponseWriter, r *http.Request) error {
	base := s.view.base
	page := frontPage{Registry: base.Host, URL: base.String(), Prefix: base.EscapedPath()}
	if base.Scheme != "https" {
		page.Host = base.Hostname()
	}
	all, err := s.db.search(r.Context(), "", nil)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Private {
			continue
		}
		if len(page.Packages) == frontMost {
			page.More++
			continue
		}
		f, err := s.finding(r.Context(), one.Name, 1)
		if errors.Is(err, errNoPackage) { // since it was found
			continue
		}
		if err != nil {
			return err
		}
		page.Packages = append(page.Packages, frontPackage{f.Package.Name, f.Package.Version, f.Package.Description})
	}
	var body bytes.Buffer
	if err := frontTemplate.Execute(&body, page); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	_, _ = w.Write(body.Bytes()) // an error means that the browser has disconnected
	return nil
}
