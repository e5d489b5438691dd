package authz

import (
	"context"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
)

// PasswordContext returns ctx for the check of a password that comes with a credential of the
// account: others who guess do not delay that.
func (q *Request) PasswordContext(ctx context.Context) context.Context {
	return account.WithClient(ctx, account.Client{Addr: q.Addr, Known: true})
}

// checkOwnPassword checks the password that npm sends along when an account is changed, and
// records under which of the subject's numbers it was right.
func (a *Authorizer) checkOwnPassword(ctx context.Context, q *Request) error {
	numbers := q.Actor.Person.Subject.Numbers(policy.KindSession)
	right, err := a.Users.CheckPassword(q.PasswordContext(ctx), q.Actor.Credential.User, *q.Password)
	if err != nil {
		return err
	}
	if !right {
		a.Events.Record(ctx, audit.Event{
			Type: audit.Password, Outcome: audit.Denied, User: q.Actor.Credential.User, Credential: q.Actor.Credential.ID, Addr: q.Addr, Reasons: []string{"wrong-password"},
		})
		return errWrongPassword
	}
	q.passwordFor = numbers
	return nil
}
