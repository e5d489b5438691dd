package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/twofactor"
)

// login is the page of a web login.
type login struct{ *Pages }

func (l login) page(ctx context.Context, r *http.Request, v visit) (page, bool, error) {
	req, err := l.cfg.Sessions.Page(ctx, v.id)
	if err != nil {
		return page{}, false, err
	}
	var factor *factors
	if v.member != nil && req.State == session.Pending {
		factor, err = caller{l.Pages, r, v, false}.hasFactor(ctx)
		if err != nil && !errors.Is(err, errSignedOut) && !refuses(err) { // that the session is not good here, the form finds out
			return page{}, false, err
		}
	}
	switch req.State {
	case session.Pending:
		signUpPath := ""
		if l.cfg.SignUp != nil {
			signUpPath = l.prefix + "/-/auth/" + signUpSegment + "/" + v.id
		}
		return page{
			template: "login.html", SignUp: signUpPath, Factor: factor, Offers: l.cfg.Factors.OffersKeys(), Stay: l.cfg.API != nil, Title: l.say("Log in to %s", l.cfg.Name), Action: v.path, CheckCode: req.CheckCode,
			Requester: newRequester(req.Client.Addr, req.Client.UserAgent, req.Started, req.Expires, v.client),
			wrong:     wrongSignIn,
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

// offersPasskey reports whether the page of v takes a passkey: not from who is signed in, as whom it says that it logs in.
func (l login) offersPasskey(v visit) bool { return v.member == nil && l.offersPasskeys() }

// approve also signs the person in to the browser, if the form says so.
func (l login) approve(ctx context.Context, v visit, form url.Values) ([]*http.Cookie, error) {
	in := l.presented(v, typed.Line(form.Get("name")), form)
	if !in.Passkey.IsZero() && !l.offersPasskey(v) {
		return nil, errMalformed
	}
	if v.member != nil || l.cfg.API == nil || form.Get("stay") == "" {
		if v.member != nil {
			in.Session = v.member.secret
		}
		if err := l.cfg.Sessions.Approve(ctx, v.id, in); err != nil {
			return nil, err
		}
		return []*http.Cookie{l.browserCookie(v)}, nil
	}
	aead, err := l.key(ctx, "web: member")
	if err != nil {
		return nil, err
	}
	secret, _, err := l.cfg.Sessions.ApproveAndStay(ctx, v.id, in)
	if err != nil {
		return nil, err
	}
	return []*http.Cookie{l.browserCookie(v), l.memberCookie(aead, secret, v.client.At)}, nil
}

// presented is what the form of v presents. Where the host's own login takes the place of the password, no form brings one.
func (p *Pages) presented(v visit, name string, form url.Values) session.SignIn {
	in := session.SignIn{
		Name: name, OTP: credential.NewSecret(form.Get("code")),
		Browser: credential.NewSecret(v.browser), Client: v.client, Via: "web",
	}
	if p.cfg.SignIn == nil {
		in.Password = credential.NewSecret(form.Get("password"))
	}
	switch key := twofactor.KeyValue([]byte(form.Get("key"))); {
	case key.IsZero():
	case form.Get("by") == byPasskey:
		in.Passkey = key
	default:
		in.OTP = key
	}
	return in
}

func (l login) options(ctx context.Context, _ *http.Request, v visit, form url.Values) ([]byte, error) {
	switch _, err := l.cfg.Sessions.Page(ctx, v.id); {
	case err != nil:
		return nil, err
	case form.Get("by") == byPasskey && !l.offersPasskey(v):
		return nil, errMalformed
	case form.Get("by") == byPasskey:
		return l.cfg.Factors.PasskeyOptions(ctx, v.id)
	case v.member != nil:
		return l.ownOptions(ctx, v.member.User, v.id)
	}
	return l.keyOptions(ctx, l.presented(v, typed.Line(form.Get("name")), form), v.id)
}

func (l login) deny(ctx context.Context, v visit) ([]*http.Cookie, error) {
	return nil, l.cfg.Sessions.Deny(ctx, v.id, v.client)
}
