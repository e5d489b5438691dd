package authz

import (
	"context"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
)

// checkOwnPassword checks the password that npm sends along when an account is changed, and
// records under which of the subject's numbers it was right.
func (a *Authorizer) checkOwnPassword(ctx context.Context, q *Request) error {
	numbers := q.Actor.Person.Subject.Numbers(policy.KindSession)
	right, err := a.Users.CheckPassword(ctx, q.Actor.Credential.User, *q.Password)
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
