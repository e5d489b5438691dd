package web

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
)

// maxIdle is how long a browser stays signed in while it loads none of the pages, beside the
// lifetime that every session has.
const maxIdle = 30 * time.Minute

// seenEvery is how old the time in a cookie becomes before it is set anew.
const seenEvery = time.Minute

// A member is who is signed in to the browser of a visit.
type member struct {
	secret credential.Secret // of the session
	session.Session
}

// is reports whether the user is signed in to the browser of v.
func (v visit) is(user protocol.UserID) bool { return v.member != nil && v.member.User == user }

// session returns the public ID of the session in the browser of v, "" if nobody is signed in.
func (v visit) session() string {
	if v.member == nil {
		return ""
	}
	return v.member.ID
}

// The cookie of a browser in which somebody is signed in has the secret of the session, and when it
// was seen last. It is sealed: it opens the pages, where forms have to come from the page itself,
// and is of no use as a token of npm.

// memberOf returns who is signed in to the browser of r; nil is nobody. The cookie that it returns,
// if any, is to be set.
func (p *Pages) memberOf(ctx context.Context, r *http.Request, client session.Client) (*member, *http.Cookie, error) {
	all := r.CookiesNamed(p.memberName())
	if p.cfg.API == nil || len(all) == 0 {
		return nil, nil, nil
	}
	aead, err := p.key(ctx, "web: member")
	if err != nil {
		return nil, nil, err
	}
	out := p.newCookie(p.memberName(), "", -1)
	if len(all) > 1 { // another site of this domain has set one
		return nil, out, nil
	}
	secret, seen, ok := openMember(aead, all[0].Value)
	if age := client.At.Sub(seen); !ok || age >= maxIdle || age < -seenEvery {
		return nil, out, nil
	}
	s, err := p.cfg.Sessions.Verify(ctx, secret)
	switch {
	case errors.Is(err, session.ErrNoSession):
		return nil, out, nil
	case err != nil:
		return nil, nil, err
	}
	m := &member{secret: secret, Session: s}
	if client.At.Sub(seen) < seenEvery {
		return m, nil, nil
	}
	return m, p.memberCookie(aead, secret, client.At), nil
}

func openMember(aead cipher.AEAD, value string) (secret credential.Secret, seen time.Time, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return credential.Secret{}, time.Time{}, false
	}
	text, err := aead.Open(nil, nil, sealed, nil)
	if err != nil || len(text) < 8 {
		return credential.Secret{}, time.Time{}, false
	}
	return credential.NewSecret(string(text[8:])), time.Unix(int64(binary.BigEndian.Uint64(text)), 0), true
}

// memberCookie returns the cookie of a browser in which somebody is signed in. It ends with the
// browser at the latest.
func (p *Pages) memberCookie(aead cipher.AEAD, secret credential.Secret, seen time.Time) *http.Cookie {
	text := binary.BigEndian.AppendUint64(nil, uint64(seen.Unix()))
	text = append(text, secret.Reveal()...)
	return p.newCookie(p.memberName(), base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, nil)), 0)
}

func (p *Pages) memberName() string { return p.cookieName() + "-member" }
