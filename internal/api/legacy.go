package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/wire"
)

// legacySignIn is the sign-in of the CouchDB login.
func (a *API) legacySignIn(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
	secret, s, err := a.Sessions.SignIn(ctx, session.SignIn{
		Name: in.Name, Password: in.Password, OTP: in.OTP, Client: session.Client(in.Client), Via: "legacy", Carry: true,
	})
	if errors.Is(err, session.ErrDenied) {
		err = fmt.Errorf("%w: %w", legacy.ErrDenied, err)
	}
	notice := s.Notice
	if err == nil {
		notice = authz.Notices(notice, a.LoginNotice(ctx, s.User))
	}
	if notice != "" {
		in.Notice(notice)
	}
	return secret, err
}

// legacySignUp is the sign-up of the CouchDB login.
func (a *API) legacySignUp(ctx context.Context, name, email string, pw credential.Secret) error {
	err := a.admitSignUp(ctx, pw)
	if err == nil {
		err = a.signUp(ctx, name, email, pw)
	}
	if errors.Is(err, host.ErrNameTaken) {
		return fmt.Errorf("%w: %w", legacy.ErrNameTaken, err)
	}
	if err == nil {
		return nil
	}
	if answer := authz.Answer(err); answer.Status == http.StatusBadRequest {
		// npm login replaces the sentence of a 400 by one of its own, that there is no such user.
		e := *answer
		e.Status = http.StatusUnprocessableEntity
		return &e
	}
	return err
}

// legacyFail answers a refused CouchDB login, and says where people get an account if they can
// have one. The answer is the same for a name that nobody has and for a wrong password.
func (a *API) legacyFail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case a.signUpPage == "" || !errors.Is(err, legacy.ErrDenied):
	case errors.Is(err, legacy.ErrNameTaken):
		err = &wire.Error{
			Status: http.StatusUnauthorized, Code: "name-taken",
			Sentence: "That user name is taken, and the password is not the one of its account. Choose another name, or log in with the right password.",
		}
	default:
		err = &wire.Error{
			Status: http.StatusUnauthorized, Code: "wrong-login",
			Sentence: "The user name or the password is wrong. If you have no account yet, create one at " + a.signUpPage + " and log in again.",
		}
	}
	a.Fail(w, r, err)
}

// LegacySchedule is [legacy.Handler.Schedule] now.
func (a *API) LegacySchedule() string { return a.legacy.Schedule(a.Now()) }

// readUser answers who asks for a user's document, as npm owner add does.
func (a *API) readUser(r *http.Request, name string) (legacy.User, error) {
	if _, err := a.CheckRead(r, protocol.Operation{Action: protocol.ReadUser, User: name}); err != nil {
		return legacy.User{}, err
	}
	u, err := a.Users.Lookup(r.Context(), name)
	if errors.Is(err, host.ErrNoUser) {
		return legacy.User{}, &wire.Error{Status: http.StatusNotFound, Code: "no-such-user", Sentence: "There is no such user."}
	}
	if err != nil {
		return legacy.User{}, err
	}
	return legacy.User{Name: u.Name, Email: u.Email}, nil
}
