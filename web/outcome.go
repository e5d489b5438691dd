package web

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"net/http"
	"time"
)

// refused is the outcome of a denied challenge. That of an approved one is its typed code,
// which is stored nowhere: it is in a cookie of the browser that approved, sealed, so that no
// site of the same domain can set one.
const refused = "refused"

// outcomeAge is how long a browser keeps an outcome: at least as long as the code
// in it can be used.
const outcomeAge = 5 * time.Minute

// carry returns the cookie with which the page of v, loaded once more, shows outcome.
func (p *Pages) carry(aead cipher.AEAD, v visit, outcome string) *http.Cookie {
	return &http.Cookie{
		Name: p.outcomeName(), Value: base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, []byte(outcome), v.outcomeOf())),
		Path: v.path, MaxAge: int(outcomeAge / time.Second),
		Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// dropOutcome returns the cookie that takes the one of [Pages.carry] away.
func (p *Pages) dropOutcome(v visit) *http.Cookie {
	return &http.Cookie{
		Name: p.outcomeName(), Path: v.path, MaxAge: -1,
		Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// outcome returns the outcome in the cookies of r for the page of v, "" if there is none.
func (p *Pages) outcome(ctx context.Context, r *http.Request, v visit) (string, error) {
	all := r.CookiesNamed(p.outcomeName())
	if len(all) == 0 {
		return "", nil
	}
	aead, err := p.outcomeKey(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range all {
		sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
		if err != nil {
			continue
		}
		if text, err := aead.Open(nil, nil, sealed, v.outcomeOf()); err == nil {
			return string(text), nil
		}
	}
	return "", nil
}

// outcomeKey is read before anything is decided: after the decision an error would be too late.
func (p *Pages) outcomeKey(ctx context.Context) (cipher.AEAD, error) {
	return p.key(ctx, "web: outcome")
}

// key returns the key that seals one kind of cookie.
func (p *Pages) key(ctx context.Context, kind string) (cipher.AEAD, error) {
	key, err := p.cfg.Keys.Derive(ctx, kind)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// outcomeOf returns the data that an outcome is bound to: the page, and the session, since the next
// person who signs in to the browser must not see what the page has shown to the one before.
func (v visit) outcomeOf() []byte { return []byte(v.kind + "/" + v.id + "/" + v.session()) }

func (p *Pages) outcomeName() string {
	if p.secure {
		return "__Secure-npmauth-outcome" // not __Host-, whose path would be /
	}
	return "npmauth-outcome"
}
