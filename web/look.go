package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Look changes how the pages look, and what they say. The zero value is how they are.
type Look struct {
	// Style is CSS that follows the pages' own, which is made of variables:
	//
	//	:root { --accent: #0b5fff; --accent-ink: #ffffff; }
	//
	// Those of the dark mode are in a media query. It can load nothing: the pages' policy forbids it.
	Style string

	// Logo is an image at the top of each page, beside the name of the registry. LogoType is its media
	// type: image/svg+xml, image/png, image/webp or image/jpeg. Empty means none.
	Logo     []byte
	LogoType string

	// Files has files that take the place of some of [Files], by their names. Templates get the same
	// data as those that they replace, which may change between minor versions before 1.0: compare
	// yours with the new one. One that cannot be carried out is an error of New. Nil means none.
	Files fs.FS

	// Texts has other words for what no template says: titles, results, problems. The keys are the
	// English sentences, with %s where something is filled in, as the source of this package has them.
	// What the registry answers to a form is not among them: it is what npm prints, too. Nil means
	// none.
	Texts map[string]string
}

//go:embed assets
var assets embed.FS

// Files returns the templates, the style sheet and the script of the pages, to begin with for [Look].
func Files() fs.FS {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	return files
}

// The files below /-/auth/.
const (
	scriptFile = "copy.js"
	styleFile  = "style.css"
	logoFile   = "logo"
)

var logoTypes = []string{"image/svg+xml", "image/png", "image/webp", "image/jpeg"}

// A design is a Look that was checked.
type design struct {
	look      Look
	style     []byte
	script    []byte
	keys      []byte                        // script for security keys
	templates map[string]*template.Template // for each page, all in the same frame
}

// samples are data of each template, with which New tries it.
var samples = map[string]any{
	"login.html": nil, "signup.html": nil, "challenge.html": nil, "result.html": nil, "index.html": nil, "signin.html": nil, "signedin.html": nil,
	"tokens.html": tokenList{Tokens: []shownToken{{}}}, "token.html": shownToken{}, "sessions.html": sessionList{Sessions: []shownSession{{}}},
	"orgs.html":     []orgAnswer{{MaySet: true}, {MaySet: true, Requires: true, Trust: "trust"}, {Own: true, MaySetKeysOnly: true, MaySetPublishersOnly: true, MaySetStaging: true}},
	"packages.html": packageState{Package: "name", Mode: "none", Choices: publishChoices, Own: []packageLink{{}}, More: 1, Trust: "trust"},
	"trust.html": &trustState{
		Package: "name", Name: "name", Publishers: &[]shownPublisher{{Facts: []eventFact{{}}}, {Scope: "name"}}, Remove: new(shownPublisher), Systems: []systemLink{{}, {}},
		Fields: []shownField{{}, {trustField: trustField{Hint: "hint", Options: []string{""}}}, {trustField: trustField{Box: true, More: true}}}, Permissions: []shownBox{{Hint: "hint"}},
		Checked: &shownCheck{Problem: "problem", Used: true, Token: true, Publishers: []checkedPublisher{{Matches: true}, {Differences: []difference{{}}}}},
		Own:     []packageLink{{}}, Left: 1,
	},
	"staged.html": stagedList{Package: "name", Versions: []shownStaged{{}}, Newer: "newer", Older: "older"},
	"stagedversion.html": stagedVersion{shownStaged: shownStaged{Access: "public", Integrity: "sha512", Run: []eventFact{{}}, Approvers: []shownApprover{{}}}, Difference: shownDifference{
		Offered: true, From: "1.0.0", Values: []shownValue{{From: "a", Install: true}, {To: "b"}}, More: 1, Kinds: []shownKind{{Total: 2, Old: true, Files: []shownFile{{}}}, {New: true, Old: true}},
	}},
	"activity.html": eventList{Events: []shownEvent{{More: []eventFact{{}}}}, Older: "older"},
	"security.html": securityState{Mode: "auth-only", Factors: []shownFactor{{}, {Used: new(moment)}}, Registration: "{}", AddsApp: true, NoDomain: true}, "profile.html": userAnswer{},
}

// newDesign returns the design of a Look, or an error naming what is wrong.
func newDesign(look Look) (*design, error) {
	if look.Style == "" && look.Logo == nil && look.LogoType == "" && look.Files == nil && look.Texts == nil {
		return plain()
	}
	return makeDesign(look)
}

// plain is the design of the zero Look.
var plain = sync.OnceValues(func() (*design, error) { return makeDesign(Look{}) })

func makeDesign(look Look) (*design, error) {
	d := &design{look: look, templates: map[string]*template.Template{}}
	if (len(look.Logo) > 0) != slices.Contains(logoTypes, look.LogoType) {
		return nil, errors.New("web: Config.Look.LogoType is not that of a Logo")
	}
	read := func(name string) ([]byte, error) {
		if look.Files != nil {
			data, err := fs.ReadFile(look.Files, name)
			if !errors.Is(err, fs.ErrNotExist) {
				return data, err
			}
		}
		return fs.ReadFile(Files(), name)
	}
	var err error
	if d.style, err = read("style.css"); err == nil {
		d.script, err = read("copy.js")
	}
	if err == nil {
		d.keys, err = read("keys.js")
	}
	if err != nil {
		return nil, fmt.Errorf("web: Config.Look.Files: %w", err)
	}
	d.style = append(slices.Clip(d.style), look.Style...)
	for name, data := range samples {
		t := template.New("")
		for _, file := range []string{"page.html", name} {
			text, err := read(file)
			if err == nil {
				_, err = t.New(file).Parse(string(text))
			}
			if err != nil {
				return nil, fmt.Errorf("web: Config.Look.Files: %w", err)
			}
		}
		d.templates[name] = t
		for _, pg := range []page{{}, {Member: "name", Nav: []navItem{{}}, Problem: "problem", Offers: true, Factor: &factors{App: true, Keys: true, Recovery: true}}, {Member: "name", Factor: &factors{Keys: true}}} {
			if pg.Data = data; t.ExecuteTemplate(&bytes.Buffer{}, "page", pg) != nil {
				return nil, fmt.Errorf("web: Config.Look.Files: %w", t.ExecuteTemplate(&bytes.Buffer{}, "page", pg))
			}
		}
	}
	return d, nil
}

// say returns a sentence of the pages, with args in it, in the words of the Look.
func (p *Pages) say(text string, args ...any) string {
	if other, ok := p.design.look.Texts[text]; ok {
		text = other
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

func (p *Pages) serveLogo(w http.ResponseWriter, r *http.Request, _ visit) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox") // an SVG that is opened by itself
	p.serveAsset(w, r, p.design.look.LogoType, p.design.look.Logo)
}

// asset returns what serves a file of the design.
func asset(mediaType string, of func(*design) []byte) func(*Pages, http.ResponseWriter, *http.Request, visit) {
	return func(p *Pages, w http.ResponseWriter, r *http.Request, _ visit) {
		p.serveAsset(w, r, mediaType, of(p.design))
	}
}

// serveAsset serves what is the same for everybody.
func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request, mediaType string, data []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-cache") // cached, and revalidated by its tag
	h.Set("Etag", tagOf(data))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// policyOf returns the content policy of a page.
func (p *Pages) policyOf(pg page) string {
	var images []string
	policy := contentPolicy
	if s := p.cfg.SignIn; s != nil { // where a form leads on to
		policy = strings.Replace(policy, "form-action 'self'", "form-action 'self' "+s.Origin, 1)
	}
	if pg.Logo != "" {
		images = append(images, "'self'")
	}
	if pg.images {
		images = append(images, "data:")
	}
	if pg.Script != "" || pg.Keys != "" {
		policy += "; script-src 'self'"
	}
	if pg.Keys != "" { // it asks what a key signs
		policy += "; connect-src 'self'"
	}
	if images == nil {
		return policy
	}
	return policy + "; img-src " + strings.Join(images, " ")
}
