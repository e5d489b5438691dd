package authz

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// Conclude records what became of q, and returns err. It is called once for each request.
func (a *Authorizer) Conclude(ctx context.Context, q *Request, err error) error {
	outcome, rule := a.record(ctx, q, err)
	if a.Observe != nil {
		a.observe(ctx, q.Operation.Action, outcome, rule, time.Since(q.began))
	}
	return err
}

// observe calls Observe. A panic there must not change the answer: the request may be committed.
func (a *Authorizer) observe(ctx context.Context, action protocol.Action, outcome audit.Outcome, rule string, d time.Duration) {
	defer func() {
		if recover() != nil {
			a.Log.ErrorContext(ctx, "npmauth: panic of the metrics", "stack", string(debug.Stack()))
		}
	}()
	a.Observe(action, outcome, rule, d)
}

// record records the event of q, if it has one, and returns its outcome and the code of the rule
// that denied it.
func (a *Authorizer) record(ctx context.Context, q *Request, err error) (outcome audit.Outcome, rule string) {
	op := q.Operation
	if err == nil {
		a.touch(q)
		if !q.HandedOver || !op.Action.Write() {
			return audit.Done, ""
		}
	}
	e := audit.Event{
		Type: audit.Access, Outcome: audit.Done, Action: op.Action, Package: op.Package, Change: q.Change.Recorded(),
	}.From(q.Actor.By(q.Addr))
	e.User, e.Credential = e.By, e.ByCredential
	var refused *host.DeniedError
	var own *wire.Error
	switch {
	case err == nil:
		a.Events.Record(ctx, e)
		return audit.Done, ""
	case errors.As(err, &refused):
		e.Outcome, e.Reasons = audit.Denied, []string{"denied"}
		if len(refused.Decision.Reasons) > 0 {
			e.Reasons = nil
			for _, why := range refused.Decision.Reasons {
				e.Reasons = append(e.Reasons, why.Code)
			}
		}
		a.Events.Record(ctx, e)
		return audit.Denied, e.Reason()
	case errors.Is(err, host.ErrInvalidToken) && q.Actor.Credential != nil: // ended while the request was on its way
		e.Type, e.Outcome, e.Reasons = audit.BadCredential, audit.Denied, []string{"invalid-token"}
		a.Events.Record(ctx, e)
		return audit.Denied, e.Reason()
	case errors.As(err, &own) && own.Challenge != nil:
		return audit.Challenged, ""
	case Outage(err):
		return audit.Failed, ""
	}
	// No rule refused: the request is not one that can be done. Of a wrong password or code
	// there is an event already.
	if why := Answer(err); q.Actor.Credential != nil && op.Action.Write() && why.Status < 500 && why.Status != http.StatusUnauthorized {
		e.Outcome, e.Reasons = audit.Denied, []string{why.Code}
		a.Events.Record(ctx, e)
	}
	return audit.Denied, ""
}
