package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/session"
)

// login is the page of a web login.
type login struct{ *Pages }

func (l login) page(ctx context.Context, _ *http.Request, v visit) (page, bool, error) {
	req, err := l.cfg.Sessions.Page(ctx, v.id)
	if err != nil {
		return page{}, false, err
	}
	switch req.State {
	case session.Pending:
		signUpPath := ""
		if l.cfg.SignUp != nil {
			signUpPath = l.prefix + "/-/auth/" + signUpSegment + "/" + v.id
		}
		return page{
			template: "login.html", SignUp: signUpPath, Title: "Log in to " + l.cfg.Name, Action: v.path, CheckCode: req.CheckCode,
			Requester: newRequester(req.Client.Addr, req.Client.UserAgent, req.Started, req.Expires, v.client),
			wrong: "The user name, the password or the second factor is wrong. If the account has a second factor, it cannot be left empty. " +
				"After too many wrong codes wait for some minutes, or use a recovery code.",
		}, true, nil
	case session.Done:
		return page{
			template: "result.html", Title: "Login approved", Done: true,
			Text: "The program that asked is logged in now, or will be in a moment.",
			Next: "Go back to it. You can close this page.",
		}, false, nil
	default:
		return page{
			template: "result.html", Title: "Login refused",
			Text: "The program that asked is not logged in.",
			Next: "If you did not ask for this, there is nothing more to do: without your password and second factor nobody was let in.",
		}, false, nil
	}
}

func (l login) approve(ctx context.Context, v visit, form url.Values) (*http.Cookie, error) {
	if err := l.cfg.Sessions.Approve(ctx, v.id, signIn(v, typed.Line(form.Get("name")), form)); err != nil {
		return nil, err
	}
	return l.browserCookie(v), nil
}

// signIn is what the form of v presents.
func signIn(v visit, name string, form url.Values) session.SignIn {
	return session.SignIn{
		Name: name, Password: credential.NewSecret(form.Get("password")), OTP: credential.NewSecret(form.Get("code")),
		Browser: credential.NewSecret(v.browser), Client: v.client, Via: "web",
	}
}

func (l login) deny(ctx context.Context, v visit) (*http.Cookie, error) {
	return nil, l.cfg.Sessions.Deny(ctx, v.id, v.client)
}
