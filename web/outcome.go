package web

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"net/http"
	"time"
)

// refused is the outcome of a denied challenge. That of an approved one is its
// typed code, which is stored nowhere: it travels in a cookie of the one browser
// that was told it, sealed, so that no site of the same domain can plant one.
const refused = "refused"

// outcomeAge is how long a browser keeps an outcome: at least as long as the code
// in it can be used.
const outcomeAge = 5 * time.Minute

// carry returns the cookie with which the page of v, loaded again, shows outcome.
func (p *Pages) carry(aead cipher.AEAD, v visit, outcome string) *http.Cookie {
	return &http.Cookie{
		Name: p.outcomeName(), Value: base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, []byte(outcome), v.outcomeOf())),
		Path: v.path, MaxAge: int(outcomeAge / time.Second),
		Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// outcome returns what the cookies of r say of the page of v, "" if nothing.
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

// outcomeKey is asked for before anything is decided: what is decided cannot be
// answered with an error any more.
func (p *Pages) outcomeKey(ctx context.Context) (cipher.AEAD, error) {
	key, err := p.cfg.Keys.Derive(ctx, "web: outcome")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// outcomeOf is what an outcome is bound to.
func (v visit) outcomeOf() []byte { return []byte(v.kind + "/" + v.id) }

func (p *Pages) outcomeName() string {
	if p.secure {
		return "__Secure-npmauth-outcome" // not __Host-: it is for one path
	}
	return "npmauth-outcome"
}
