package api

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
)

// signUp creates an account, where that is open to anyone.
//
// A taken name is found before any fault of the password: a wrong one, typed for
// an account that exists, must not be checked as a new one.
func (a *API) signUp(ctx context.Context, name, email string, pw credential.Secret) error {
	switch _, err := a.Users.Lookup(ctx, name); {
	case err == nil:
		return host.ErrNameTaken
	case !errors.Is(err, host.ErrNoUser):
		return err
	}
	if a.Directory == nil { // package account asks by itself, when it knows that it could be a name
		switch taken, err := a.NamesOrg(ctx, name); {
		case err != nil:
			return err
		case taken:
			return host.ErrNameTaken
		}
	}
	id, err := a.SignUps.SignUp(ctx, host.NewUser{Name: name, Email: email, Password: pw})
	if err == nil && a.Directory == nil {
		client, _ := authz.ClientFrom(ctx)
		e := audit.Event{Type: audit.SignUp, Outcome: audit.Done, User: id}
		a.Events.Record(ctx, e.From(audit.Actor{Addr: client.Addr}))
	}
	return err
}
