package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
)

// A NewAccount is what a person filled in to sign up. Nothing of it is checked, but name and e-mail
// address are without what keyboards and clipboards add: white space around them, characters that
// nobody sees, full width.
type NewAccount struct {
	Name     string
	Email    string
	Password credential.Secret
}

// signUp is the page at which a person creates an account. Its ID is that of the web login from
// which the person came, or "".
type signUp struct{ *Pages }

// signUpSegment is the path segment of the page.
const signUpSegment = "signup"

// A step is a command to type next, with a flag.
type step struct {
	Text, Command, Flag string
	URL                 string // in place of a command
}

func (s signUp) page(ctx context.Context, r *http.Request, v visit) (page, bool, error) {
	loginPath := ""
	if v.id != "" {
		loginPath = s.prefix + "/-/auth/login/" + v.id
	}
	// The browser that created an account sees so for a while, also where the login is over.
	name, err := s.outcome(ctx, r, v)
	if err != nil {
		return page{}, false, err
	}
	if name != "" {
		return s.created(name, loginPath), false, nil
	}
	if v.id != "" {
		if _, err := s.cfg.Sessions.Page(ctx, v.id); err != nil {
			return page{}, false, err
		}
	}
	return page{template: "signup.html", Title: s.say("Create an account at %s", s.cfg.Name), Action: v.path, Login: loginPath}, true, nil
}

// created is the page that says what comes next.
func (s signUp) created(name, loginPath string) page {
	registry := "--registry=" + strings.TrimRight(s.cfg.BaseURL.String(), "/") + "/"
	enrol := step{"Turn on two-factor authentication, which publishing asks for. You need an authenticator app:", "npm profile enable-2fa auth-and-writes", registry, ""}
	if s.cfg.NoApps {
		enrol = step{"Turn on two-factor authentication, which publishing asks for. Add a security key or a passkey, in a browser at:", "", "", s.security()}
	}
	pg := page{
		template: "result.html", Done: true, Title: "Account created", Login: loginPath,
		Text:  s.say("The account %s is yours.", printable(name)),
		Steps: []step{enrol},
	}
	if loginPath != "" {
		pg.Next = "The program that led you here still waits. If you started it yourself, log in, and then go back to it."
		return pg
	}
	pg.Steps = append([]step{{"Log in, in a terminal:", "npm login", registry, ""}}, pg.Steps...)
	return pg
}

func (s signUp) approve(ctx context.Context, v visit, form url.Values) ([]*http.Cookie, error) {
	aead, err := s.outcomeKey(ctx)
	if err != nil {
		return nil, err
	}
	in := NewAccount{
		Name: typed.Line(form.Get("name")), Email: typed.Line(form.Get("email")),
		Password: credential.NewSecret(form.Get("password")),
	}
	problem, err := s.cfg.SignUp(ctx, in)
	if err != nil {
		return nil, err
	}
	if problem != "" {
		return nil, problemError(problem)
	}
	return []*http.Cookie{s.carry(aead, v, in.Name)}, nil
}

// deny has no form: who does not want an account leaves.
func (s signUp) options(context.Context, *http.Request, visit, url.Values) ([]byte, error) {
	return nil, errMalformed
}

func (s signUp) deny(context.Context, visit) ([]*http.Cookie, error) { return nil, errMalformed }

// A problemError is a form that is to be filled in again, and the sentence that says why.
type problemError string

func (e problemError) Error() string { return "web: " + string(e) }
