package authz

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
)

// tooManyPasswords is the reason that a credential ends for after too many wrong passwords.
const tooManyPasswords = "too-many-passwords"

// checkOwnPassword checks the password that npm sends along when an account is changed, and
// records under which of the subject's numbers it was right.
func (a *Authorizer) checkOwnPassword(ctx context.Context, q *Request) error {
	numbers := q.Actor.Person.Subject.Numbers(policy.KindSession)
	err := a.OwnPassword(ctx, q, func(ctx context.Context) (bool, error) {
		return a.Users.CheckPassword(ctx, q.Actor.Credential.User, *q.Password)
	})
	if err != nil {
		return err
	}
	q.passwordFor = numbers
	return nil
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
