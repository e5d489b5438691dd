package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/session"
)

// maxForm is how much of a form is read.
const maxForm = 64 << 10 // bytes

// A form that is not accepted, whatever its content.
var (
	errForeign   = errors.New("web: the form does not come from its page")
	errElse      = errors.New("web: the form was given to somebody else, or to nobody")
	errMalformed = errors.New("web: the form is malformed")
	errMediaType = errors.New("web: the body is not a form")
)

// readForm returns the fields of a POST that came from the page of v, in the browser that loaded it.
// The error is errElse if somebody else was signed in there then: one person's form must do nothing for
// the next who uses the browser. To sign in and to refuse is nobody's own.
func (p *Pages) readForm(w http.ResponseWriter, r *http.Request, v visit) (url.Values, error) {
	if p.origin.Check(r) != nil {
		return nil, errForeign
	}
	if header.MediaType(r.Header) != "application/x-www-form-urlencoded" || header.Encoded(r.Header) {
		return nil, errMediaType
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, err
		}
		return nil, errMalformed
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, errMalformed
		}
	}
	// For a browser that sends no origin: only the page itself knows the token, and only
	// together with its cookie.
	cookie, ok := p.cookie(r)
	if !ok {
		return nil, errForeign
	}
	want, err := p.token(r.Context(), v, cookie)
	if err != nil {
		return nil, err
	}
	wantPerson, wantPage, _ := strings.Cut(want, ".")
	person, page, _ := strings.Cut(r.PostForm.Get("token"), ".")
	if !hmac.Equal([]byte(wantPage), []byte(page)) {
		return nil, errForeign
	}
	switch r.PostForm.Get("decision") {
	case "sign-in", "deny":
		return r.PostForm, nil
	}
	if !hmac.Equal([]byte(wantPerson), []byte(person)) {
		return nil, errElse
	}
	return r.PostForm, nil
}

// token returns the form token of the page of v in the browser with that cookie: a part for the
// session, and one that is the same whoever is signed in.
func (p *Pages) token(ctx context.Context, v visit, cookie string) (string, error) {
	key, err := p.cfg.Keys.Derive(ctx, "web: form token")
	if err != nil {
		return "", err
	}
	page := v.kind + "/" + v.id + "/" + cookie // none of them has a slash
	part := func(text string) string {
		mac := hmac.New(sha256.New, key[:])
		mac.Write([]byte(text))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return part(page+"/"+v.session()) + "." + part(page), nil
}

// cookie returns the value that identifies this browser. It does not identify a person. Two
// such cookies mean that another site of this domain set one, and neither is accepted.
func (p *Pages) cookie(r *http.Request) (string, bool) {
	all := r.CookiesNamed(p.cookieName())
	if len(all) != 1 || len(all[0].Value) < 26 || !validID(all[0].Value) {
		return "", false
	}
	return all[0].Value, true
}

// giveCookie returns the cookie of r, or makes one and sets it.
func (p *Pages) giveCookie(w http.ResponseWriter, r *http.Request) string {
	if value, ok := p.cookie(r); ok {
		return value
	}
	c := p.newCookie(p.cookieName(), rand.Text(), 0)
	http.SetCookie(w, c)
	return c.Value
}

// browserOf returns the value by which the accounts that signed in with the browser of r know it:
// that of a cookie of its own, or a new one. It opens nothing: who has it has guesses of their own
// at the passwords of those accounts.
func (p *Pages) browserOf(r *http.Request) string {
	all := r.CookiesNamed(p.cookieName() + browserSuffix)
	if len(all) != 1 || len(all[0].Value) != len(rand.Text()) || !validID(all[0].Value) {
		return rand.Text()
	}
	return all[0].Value
}

// browserCookie returns the cookie with which the browser of v is known from now on.
func (p *Pages) browserCookie(v visit) *http.Cookie {
	return p.newCookie(p.cookieName()+browserSuffix, v.browser, int(session.KnownFor/time.Second))
}

const browserSuffix = "-browser"

// newCookie returns a cookie for the pages alone, of that many seconds; 0 is until the browser is
// closed.
func (p *Pages) newCookie(name, value string, seconds int) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds,
		Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if !p.secure {
		c.Path = p.prefix + "/-/auth/"
	}
	return c
}

// cookieName has the prefix of the base URL's path in it, digested: a __Host- cookie is sent to all paths,
// and several registries may share a host.
func (p *Pages) cookieName() string {
	name := "npmauth"
	if p.secure {
		name = "__Host-npmauth" // a browser accepts it from this host only
	}
	if p.prefix != "" {
		sum := sha256.Sum256([]byte(p.prefix))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}
