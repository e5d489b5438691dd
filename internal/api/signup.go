package api

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/web"
)

// pageSignUp is the sign-up of the page for it.
func (a *API) pageSignUp(ctx context.Context, in web.NewAccount) (problem string, err error) {
	if in.Email == "" { // an operator's account may have none
		return authz.Answer(account.ErrEmail).Sentence, nil
	}
	if err = a.admitSignUp(ctx, in.Password); err == nil {
		// Each form takes a turn in the queue of passwords, as a login does: the page says which
		// names are taken, and not faster than that.
		_, err = a.Users.CheckPassword(ctx, "", in.Password)
	}
	if err == nil {
		err = a.signUp(ctx, in.Name, in.Email, in.Password)
	}
	if errors.Is(err, host.ErrNameTaken) {
		return "That user name is taken. Choose another one.", nil
	}
	if err == nil {
		return "", nil
	}
	answer := authz.Answer(err)
	if answer.Status >= 500 || answer.Sentence == "" { // a problem without words would be none
		return "", err
	}
	return answer.Sentence, nil
}

// admitSignUp comes before [API.signUp], and before anything that costs: it refuses a password that
// no account can have, for which no turn in the queue would be taken, and a network that has signed
// up often.
func (a *API) admitSignUp(ctx context.Context, pw credential.Secret) error {
	if err := account.ValidPassword(pw); err != nil {
		return err
	}
	client, _ := authz.ClientFrom(ctx)
	if wait := a.signUps.Take(client.Addr, 1); wait > 0 {
		return &subject.WaitError{After: wait, Network: true}
	}
	return nil
}

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
