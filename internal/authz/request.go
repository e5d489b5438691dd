package authz

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// A Request is one npm request on its way from the header to the commit.
type Request struct {
	Actor Actor
	policy.Request
	policy  *policy.Policy // that decides about it
	Service host.User      // that the operation names
	Fill    Fill           // says what else is to be known, at each decision; nil is nothing

	agent    string // what the client calls itself
	takesKey bool   // it has a security key sign

	began   time.Time // by the real clock; zero without metrics
	Arrived time.Time // when the header came: second factors are dated by it

	Password    *credential.Secret // that the commit needs; nil for most
	passwordFor subject.Numbers    // of sessions, read before the password was right
	Attempt     *twofactor.Attempt // at the second factor; nil until one is needed
	proven      policy.Proof       // by an attempt that was spent

	pass       *Pass         // that the request goes on with if it is allowed
	HandedOver bool          // what is allowed the host does
	Limit      time.Duration // of the final decision; 0 is none
}

// NewRequest returns the Request of r. It is called when the header has arrived: the time of
// its second factor counts from there.
func (a *Authorizer) NewRequest(r *http.Request, op protocol.Operation) *Request {
	client := a.SessionClient(r) // of an endpoint of ours as it was before the body was read
	// Both in one allocation.
	both := new(struct {
		Request
		Pass
	})
	q := &both.Request
	q.Operation, q.Addr, q.agent, q.Arrived, q.pass = op, client.Addr, client.UserAgent, client.At, &both.Pass
	q.policy, q.takesKey = a.Policy(), wire.TakesKey(r.Header)
	if a.Observe != nil {
		q.began = time.Now()
	}
	return q
}

// Check makes the first decision about r, without a proof. c is what r would do, nil if that is
// not known yet. Only a Deny is an error.
func (a *Authorizer) Check(r *http.Request, op protocol.Operation, c *protocol.Change) (*Request, policy.Decision, error) {
	return a.CheckWith(r, op, c, nil)
}

// A Fill sets further fields of the policy's request, at the first decision and at the final one. At the
// final one tx is its commit, in which it reads what is in the store; at the first one tx is nil.
type Fill func(ctx context.Context, tx *store.Tx, req *policy.Request) error

// CheckWith is Check with a Fill.
func (a *Authorizer) CheckWith(r *http.Request, op protocol.Operation, c *protocol.Change, fill Fill) (*Request, policy.Decision, error) {
	q := a.NewRequest(r, op)
	q.Change, q.Fill = c, fill
	d, err := a.Filter(r, q)
	return q, d, err
}

// CheckRead authorizes a request that changes nothing: the first decision is the final one.
func (a *Authorizer) CheckRead(r *http.Request, op protocol.Operation) (*Request, error) {
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return nil, err
	}
	if d.Effect != policy.Allow {
		err = Denied(q, d)
	}
	return q, a.Conclude(r.Context(), q, err)
}

// Filter makes the first decision about q, and concludes q if that is a Deny.
func (a *Authorizer) Filter(r *http.Request, q *Request) (d policy.Decision, err error) {
	if err = a.Find(r, q); err == nil {
		d, err = a.Decide(q)
	}
	if err != nil {
		return d, a.Conclude(r.Context(), q, err)
	}
	return d, nil
}

// Find sets all fields of q that the first decision takes. What is not offered is called that, also
// with a credential that is not valid. An exchange presents none of ours, so that nobody looks for it.
func (a *Authorizer) Find(r *http.Request, q *Request) (err error) {
	if err := a.lacks(q.Operation.Action); err != nil { // whatever is presented
		return err
	}
	d, unoffered := q.policy.Unoffered(q.Operation)
	if q.Operation.Action == protocol.ExchangeToken {
		q.Now = a.Now()
		if q.Service, err = a.Consult(r.Context(), &q.Request); err == nil && q.Fill != nil {
			err = q.Fill(r.Context(), nil, &q.Request)
		}
		return err
	}
	q.Actor, q.Service, err = a.Prepare(r.Context(), r.Header, &q.Request)
	if invalid, ok := errors.AsType[*InvalidError](err); ok && unoffered {
		invalid.Answer = wire.Refusal(q.Operation, d, true)
	}
	if err != nil {
		return err
	}
	if q.Actor.Credential != nil {
		budget.From(r.Context()).SetSender(q.Actor.sender())
	}
	if q.Fill != nil {
		return q.Fill(r.Context(), nil, &q.Request)
	}
	return nil
}

// Notify sets the header npm-notice, if the credential of the request has ended and its sender
// is to be told: err is the refusal, nil for what is allowed.
func (q *Request) Notify(h http.Header, err error) {
	if q.Actor.Notice != "" && (err != nil || q.printed(q.Actor.first)) {
		h.Set("npm-notice", q.Actor.Notice)
	}
}

// printed reports whether a notice goes with a public read that is allowed. An installation sends
// hundreds. npm prints nothing of what it puts in its cache, which is all but the audit; Bun
// prints each, so the others have it only if they are the first.
func (q *Request) printed(first bool) bool { return first || q.Operation.Action == protocol.Audit }

// Decision evaluates the policy.
func (q *Request) Decision() policy.Decision { return q.policy.Decide(q.Request) }

// ExplainToSender says what each rule says of q, as its sender may know it.
func (q *Request) ExplainToSender() policy.Trace { return q.policy.ExplainToSender(q.Request) }

// Decide makes the first decision: it evaluates the policy, and refuses what it would allow and
// nothing serves. Only a Deny is an error.
func (a *Authorizer) Decide(q *Request) (policy.Decision, error) {
	d := q.Decision()
	if d.Effect != policy.Allow && d.Effect != policy.Challenge {
		return d, Denied(q, d)
	}
	return d, a.Offered(q)
}

// Offered returns nil unless q takes what the registry does not have.
func (a *Authorizer) Offered(q *Request) error {
	switch action := q.Operation.Action; {
	case (action == protocol.Deprecate || action == protocol.Unpublish) && a.Documents == nil:
		return ErrNoDocuments
	case action == protocol.WriteProfile && a.Profiles == nil, action == protocol.SetPassword && a.Passwords == nil:
		return errNotOffered
	case action == protocol.ListMemberships && !a.ListsOrgs(), action == protocol.SetOrgFactor && a.FactorRules == nil && q.Change != nil && q.Change.RequireFactor != nil:
		return errNotOffered
	case action == protocol.ListEvents && a.AuditLog == nil:
		return errNoLog
	}
	return a.lacks(q.Operation.Action)
}

// lacks returns an error for an action on trusted publishers or staged versions where there are none.
func (a *Authorizer) lacks(action protocol.Action) error {
	switch action {
	case protocol.ReadTrust, protocol.CheckTrust, protocol.WriteTrust, protocol.ReadOrgTrust, protocol.WriteOrgTrust, protocol.ExchangeToken:
		if a.Trust == nil {
			return errNoTrust
		}
	case protocol.Stage, protocol.ListStaged, protocol.ReadStaged, protocol.ApproveStaged, protocol.RejectStaged:
		if a.Stage == nil {
			return errNoStaging
		}
	}
	return nil
}

// Denied returns the refusal of q as an error.
func Denied(q *Request, d policy.Decision) error {
	return &host.DeniedError{Operation: q.Operation, Decision: d, Anonymous: q.Actor.Credential == nil}
}

// touch records that a token was used.
func (a *Authorizer) touch(q *Request) {
	if q.Actor.Credential != nil && q.Actor.Credential.Kind == policy.KindToken {
		a.Tokens.Touch(q.Actor.Credential, q.Now)
	}
}
