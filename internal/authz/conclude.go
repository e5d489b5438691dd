package authz

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/policy"
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
// that refused it.
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
	if v := q.Actor.Verified; v != nil {
		e.Detail = v.job()
	}
	var refused *host.DeniedError
	var own *wire.Error
	switch {
	case err == nil:
		a.Events.Record(ctx, e)
		return audit.Done, ""
	case canceled(ctx, err):
		return audit.Canceled, ""
	case errors.As(err, &refused):
		e.Outcome, e.Reasons = q.refusal(refused.Decision), []string{"denied"}
		if len(refused.Decision.Reasons) > 0 {
			e.Reasons = nil
			for _, why := range refused.Decision.Reasons {
				e.Reasons = append(e.Reasons, why.Code)
			}
		}
		a.Events.Record(ctx, e)
		return e.Outcome, e.Reason()
	case errors.Is(err, host.ErrInvalidToken) && q.Actor.Credential != nil: // ended while the request was on its way
		e.Type, e.Outcome, e.Reasons = audit.BadCredential, audit.Denied, []string{"invalid-token"}
		a.Events.Record(ctx, e)
		return audit.Denied, e.Reason()
	case errors.As(err, &own) && own.Challenge != nil:
		return audit.Challenged, ""
	case errors.Is(err, ErrUnread):
		return audit.Rejected, ""
	}
	// No rule refused: the request is not one that can be done. Of a wrong password or code
	// there is an event already.
	why := Answer(err)
	e.Outcome, e.Reasons = outcomeOf(err, why), []string{why.Code}
	if q.Actor.Credential != nil && op.Action.Write() && why.Status < 500 && why.Status != http.StatusUnauthorized {
		a.Events.Record(ctx, e)
	}
	return e.Outcome, ""
}

// refusal returns the outcome of a decision that refuses q. It is Denied if a reason is about the
// credential: the anonymous have none, and what does not exist, or is served to nobody, would be
// refused whatever it permits.
func (q *Request) refusal(d policy.Decision) audit.Outcome {
	if q.Actor.Credential == nil {
		return audit.Rejected
	}
	for _, why := range d.Reasons {
		absent := why.Conceal && !q.exists() || why.Code == codeUnknown || why.Code == policy.CodeNotOffered
		if !absent {
			return audit.Denied
		}
	}
	return audit.Rejected
}

// exists reports whether there is what q is about.
func (q *Request) exists() bool {
	switch action := q.Operation.Action; {
	case action.OfOrg():
		return q.Org.ID != "" || q.Org.Own
	case action.OfService():
		return q.Service.ID != ""
	}
	return q.Package.ID != ""
}

// outcomeOf returns the outcome of what err refused, which no rule did, and which why answers.
func outcomeOf(err error, why *wire.Error) audit.Outcome {
	switch {
	case errors.Is(err, account.ErrBusy), errors.Is(err, budget.ErrFull): // which it takes a flood to get
		return audit.Denied
	case why.Status >= http.StatusInternalServerError:
		return audit.Failed
	case why.Status == http.StatusUnauthorized, why.Status == http.StatusForbidden && why.Code != policy.CodeNotOffered:
		return audit.Denied
	}
	return audit.Rejected
}
