package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/wire"
)

// tooManyPasswords is the reason that a credential ends for after too many wrong passwords.
const tooManyPasswords = "too-many-passwords"

// checkOwnPassword checks the password that npm sends along when an account is changed, and
// records under which of the subject's numbers it was right.
func (a *Authorizer) checkOwnPassword(ctx context.Context, q *Request) error {
	numbers := q.Actor.Person.Subject.Numbers(policy.KindSession)
	if q.Password.IsZero() {
		switch fresh, err := a.signedInAnew(ctx, q); {
		case err != nil:
			return err
		case fresh:
			q.passwordFor = numbers
			return nil
		case a.OwnSignIn:
			return errSignInAgain
		}
	}
	err := a.OwnPassword(ctx, q, func(ctx context.Context) (bool, error) {
		right, err := a.Users.CheckPassword(ctx, q.Actor.Credential.User, *q.Password)
		return right && !q.Password.IsZero(), err // as for a sign-in
	})
	if err != nil {
		return err
	}
	q.passwordFor = numbers
	return nil
}

// signedInAnew reports whether the credential of q is a session that the host's own sign-in has just begun,
// which is as good as the password that its user does not have.
func (a *Authorizer) signedInAnew(ctx context.Context, q *Request) (bool, error) {
	if !a.OwnSignIn || q.Actor.Session() == "" {
		return false, nil
	}
	s, err := a.Sessions.Get(ctx, q.Actor.Credential.User, q.Actor.Session())
	if errors.Is(err, session.ErrNoSession) {
		return false, nil
	}
	return err == nil && s.Fresh(a.Now()), err
}

// errSignInAgain is the answer to what takes a password, of somebody who has none.
var errSignInAgain = &wire.Error{
	Status: http.StatusForbidden, Code: "sign-in-again", Sentence: "Sign in once more on the registry's page, and do it there within ten minutes.",
}

// OwnPassword calls check, which checks the password that comes with q, of the account of q's
// credential. After too many wrong ones the credential ends.
func (a *Authorizer) OwnPassword(ctx context.Context, q *Request, check func(context.Context) (bool, error)) error {
	cred, by := q.Actor.Credential, q.Actor.By(q.Addr)
	err := a.Sessions.OwnPasswordBy(ctx, by, check)
	ended := errors.Is(err, session.ErrGuesses)
	if !ended && !errors.Is(err, session.ErrDenied) {
		return err
	}
	a.Events.Record(ctx, audit.Event{
		Type: audit.Password, Outcome: audit.Denied, User: cred.User, Credential: cred.ID, Addr: q.Addr, Reasons: []string{"wrong-password"},
	})
	if ended {
		return errors.Join(err, a.endCredential(ctx, by, cred, tooManyPasswords)) // it may be another kind
	}
	return errWrongPassword
}
