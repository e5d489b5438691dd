package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSeconds is the last second that has a date of four digits.
const maxSeconds = 253402300799

// claims checks the claims of a token, which nobody has verified yet.
func (v *Verifier) claims(c *compact, now time.Time) (Token, error) {
	t := Token{Claims: c.claims}
	invalid := func(reason Reason, claim string) (Token, error) {
		return Token{}, &InvalidError{Reason: reason, Issuer: t.Issuer, Claim: claim}
	}
	text, ok := str(c.claims["iss"])
	from := v.issuers[text]
	if !ok || from == nil {
		return invalid(ReasonIssuer, "")
	}
	t.Issuer = from.url
	if t.Audience, ok = audience(c.claims["aud"]); !ok || !slices.Contains(v.audiences, t.Audience) {
		return invalid(ReasonAudience, "")
	}
	if t.Subject, ok = str(c.claims["sub"]); !ok || t.Subject == "" {
		return invalid(ReasonClaim, "sub")
	}
	if t.ID, ok = from.id(c); !ok {
		return invalid(ReasonClaim, "jti")
	}
	if t.Issued, ok = date(c.claims["iat"]); !ok {
		return invalid(ReasonClaim, "iat")
	}
	if t.Expires, ok = date(c.claims["exp"]); !ok {
		return invalid(ReasonClaim, "exp")
	}
	if raw, present := c.claims["nbf"]; present {
		if t.NotBefore, ok = date(raw); !ok {
			return invalid(ReasonClaim, "nbf")
		}
	}
	t.Until = t.Expires.Add(v.leeway)
	if lifetime := t.Expires.Sub(t.Issued); lifetime <= 0 || lifetime > from.lifetime || !t.NotBefore.Before(t.Expires) {
		return invalid(ReasonLifetime, "")
	}
	if !now.Before(t.Until) {
		return invalid(ReasonExpired, "")
	}
	if latest := now.Add(v.leeway); latest.Before(t.Issued) || latest.Before(t.NotBefore) {
		return invalid(ReasonEarly, "")
	}
	return t, nil
}

// id returns the jti of a token, or one computed from all that is signed where the issuer gives none. The
// signature is left out of it: an ES256 signature can be changed into another one that is valid.
func (i *issuer) id(c *compact) (string, bool) {
	raw, present := c.claims["jti"]
	if !present && i.withoutID {
		sum := sha256.Sum256([]byte(c.text[:strings.LastIndexByte(c.text, '.')]))
		return "sha256-" + base64.RawURLEncoding.EncodeToString(sum[:]), true
	}
	id, ok := str(raw)
	return id, ok && id != "" && len(id) <= MaxID
}

// audience returns the only audience of a token.
func audience(raw json.RawMessage) (string, bool) {
	if text, ok := str(raw); ok {
		return text, true
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) != 1 {
		return "", false
	}
	return str(list[0])
}

// date reads a time in whole seconds since 1970, as all issuers write it.
func date(raw json.RawMessage) (time.Time, bool) {
	seconds, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || seconds <= 0 || seconds > maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
}
