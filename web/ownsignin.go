package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
)

// A SignIn is the host's own way to sign people in, such as a company's login, in place of the password:
// its forms have a button that leads there, and a password in one counts for nothing. For ten minutes
// after, whatever takes the password besides, such as a new token, takes none ([session.Session.Fresh]).
// Second factors are asked for as ever; a passkey is one of them, and not the whole sign-in. The CouchDB
// login needs a password: a host without any turns it off.
type SignIn struct {
	// Name is what the button calls it: Sign in with <Name>. Required.
	Name string

	// Origin is the scheme and host of the address that Begin leads to, such as
	// https://login.acme.test, which the pages allow their forms to lead to. Required.
	Origin string

	// Begin sends the browser there, with a redirect. It comes back to <base URL>/-/auth/signin, with
	// GET, and brings the state along, as the parameter of that name of OAuth 2.0 does. Required.
	Begin func(w http.ResponseWriter, r *http.Request, state string)

	// Finish returns the state and the user of a request that comes back. [session.ErrDenied] means
	// that nobody has signed in; any other error means that it could not tell. Required.
	Finish func(r *http.Request) (state string, user session.User, err error)
}

func (s *SignIn) validate() error {
	if s == nil {
		return nil
	}
	origin, err := url.Parse(s.Origin)
	switch {
	case s.Name == "":
		return errors.New("web: Config.SignIn.Name is empty")
	case err != nil || origin.Scheme != "https" && origin.Scheme != "http" || origin.Host == "" || origin.Scheme+"://"+origin.Host != s.Origin ||
		strings.ContainsAny(s.Origin, ";,*"): // which would say more in the pages' policy
		return fmt.Errorf("web: Config.SignIn.Origin %q is not a scheme and a host", s.Origin)
	case s.Begin == nil || s.Finish == nil:
		return errors.New("web: Config.SignIn lacks Begin or Finish")
	}
	return nil
}

func (s *SignIn) name() string {
	if s == nil {
		return ""
	}
	return s.Name
}

// signInSegment is the path segment to which a browser comes back.
const signInSegment = "signin"

// maxSignIn is how long a person may take for it.
const maxSignIn = 10 * time.Minute

// A way is what a browser keeps while it is at the host's login, in a sealed cookie: a redirect from
// another site brings no cookie that is Strict, so this one is Lax.
type way struct {
	State string `json:"state"`
	Path  string `json:"path"` // of the page that it goes on to
	Began int64  `json:"began"`
	Was   string `json:"was,omitempty"` // secret of the session that the browser has until then
}

func (p *Pages) wayCookie(value string, seconds int) *http.Cookie {
	c := p.newCookie(p.cookieName()+"-way", value, seconds)
	c.SameSite = http.SameSiteLaxMode
	return c
}

// beginSignIn sends the browser to the host's login, from which it goes on to the page of v.
func (p *Pages) beginSignIn(w http.ResponseWriter, r *http.Request, v visit) {
	aead, err := p.key(r.Context(), "web: way")
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	to := way{State: rand.Text(), Path: v.path, Began: v.client.At.Unix()}
	if v.member != nil {
		to.Was = v.member.secret.Reveal()
	}
	text, err := json.Marshal(to)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	http.SetCookie(w, p.wayCookie(base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, nil)), int(maxSignIn/time.Second)))
	p.cfg.SignIn.Begin(w, r, to.State)
}

// finishSignIn signs in the person with whom the browser comes back. That it does so with GET is the
// host's protocol; only the browser that was sent there has the state.
func (p *Pages) finishSignIn(w http.ResponseWriter, r *http.Request, v visit) {
	to, err := p.wayOf(r, v)
	var state string
	var user session.User
	if err == nil {
		state, user, err = p.cfg.SignIn.Finish(r)
	}
	if err == nil && subtle.ConstantTimeCompare([]byte(state), []byte(to.State)) == 0 {
		err = session.ErrDenied
	}
	if err != nil {
		p.refuseSignIn(w, r, err)
		return
	}
	aead, err := p.key(r.Context(), "web: member")
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	secret, _, err := p.cfg.Sessions.Admit(r.Context(), user, v.client)
	if err != nil {
		p.refuseSignIn(w, r, err)
		return
	}
	if to.Was != "" {
		p.replace(r, v, &member{secret: credential.NewSecret(to.Was)})
	}
	http.SetCookie(w, p.wayCookie("", -1))
	http.SetCookie(w, p.memberCookie(aead, secret, v.client.At))
	// Not with a redirect: a browser would count it as coming from the other site still, and send no
	// cookies along.
	p.write(w, http.StatusOK, page{template: "signedin.html", Title: "Signed in", Action: to.Path})
}

func (p *Pages) refuseSignIn(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, session.ErrDenied) {
		p.refuse(w, r, err)
		return
	}
	http.SetCookie(w, p.wayCookie("", -1))
	p.write(w, http.StatusForbidden, notSignedIn)
}

// wayOf returns what the browser has kept.
func (p *Pages) wayOf(r *http.Request, v visit) (to way, err error) {
	aead, err := p.key(r.Context(), "web: way")
	if err != nil {
		return way{}, err
	}
	all := r.CookiesNamed(p.cookieName() + "-way")
	if len(all) != 1 {
		return way{}, session.ErrDenied
	}
	sealed, err := base64.RawURLEncoding.DecodeString(all[0].Value)
	if err != nil {
		return way{}, session.ErrDenied
	}
	text, err := aead.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(text, &to) != nil {
		return way{}, session.ErrDenied
	}
	if age := v.client.At.Sub(time.Unix(to.Began, 0)); age < -time.Minute || age >= maxSignIn {
		return way{}, session.ErrDenied
	}
	return to, nil
}
