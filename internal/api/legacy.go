package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/wire"
)

// legacySignIn is the sign-in of the CouchDB login.
func (a *API) legacySignIn(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
	secret, _, err := a.Sessions.SignIn(ctx, session.SignIn{
		Name: in.Name, Password: in.Password, OTP: in.OTP, Client: session.Client(in.Client), Via: "legacy", Carry: true,
	})
	if errors.Is(err, session.ErrDenied) {
		err = fmt.Errorf("%w: %w", legacy.ErrDenied, err)
	}
	return secret, err
}

// legacySignUp is the sign-up of the CouchDB login.
func (a *API) legacySignUp(ctx context.Context, name, email string, pw credential.Secret) error {
	err := a.signUp(ctx, name, email, pw)
	if errors.Is(err, host.ErrNameTaken) {
		err = fmt.Errorf("%w: %w", legacy.ErrNameTaken, err)
	}
	return err
}

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
