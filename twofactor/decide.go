package twofactor

import (
	"context"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// UseFor returns the Use of a second factor that arrived at a time for req, which must have a
// credential. Its Change is zero for a write of which it is not known yet what it would do.
func UseFor(req *policy.Request, at time.Time) Use {
	op, c := req.Operation, req.Change
	u := Use{
		Credential: req.Credential.ID, Action: op.Action, Package: op.Package, FollowUps: c.FollowUps(op), At: at, Addr: req.Addr,
	}
	if c != nil || !op.Action.Write() {
		u.Change = c.Digest(op)
	}
	return u
}

// BeginFor is [Manager.Begin] for a request about which p decided Challenge, with the value of
// its npm-otp header, which arrived at a time; zero means now. Errors are also
// [subject.ErrFactorRequired] if there is no value, and ErrWrong, without an attempt, for a value
// that would not lead to an Allow: nobody loses a recovery code over a request that stays denied.
//
//	attempt, err := factors.BeginFor(ctx, p, req, arrived, value)
//	…
//	err = store.Transact(ctx, st, func(tx *store.Tx) error {
//		…                                           // req once more, from rows of tx
//		d, err := attempt.Decide(ctx, tx, p, &req)
//		…                                           // refuse what d does not allow, or write
//	})
func (m *Manager) BeginFor(ctx context.Context, p *policy.Policy, req policy.Request, at time.Time, value credential.Secret) (*Attempt, error) {
	switch {
	case req.Anonymous():
		return nil, ErrNoFactor
	case value.IsZero():
		return nil, subject.ErrFactorRequired
	}
	req.Proof = FormOf(value.Reveal()).Proof()
	if req.Proof == policy.NoProof || p.Decide(req).Effect != policy.Allow {
		return nil, wrong(reasonForm)
	}
	return m.Begin(ctx, req.Credential.User, UseFor(&req, at), value)
}

// Decide decides about req in the caller's commit. If p asks for a second factor and would allow
// req with what the attempt proves, Decide spends the value, sets req.Proof, and returns the
// Allow. An error means that the value was not spent, and the request must be refused; so must
// every request whose Decision is not Allow. A nil Attempt is none.
func (a *Attempt) Decide(ctx context.Context, tx *store.Tx, p *policy.Policy, req *policy.Request) (policy.Decision, error) {
	d := p.Decide(*req)
	if a == nil || d.Effect != policy.Challenge {
		return d, nil
	}
	proven := *req
	proven.Proof = a.Proof()
	if d = p.Decide(proven); d.Effect != policy.Allow {
		return d, nil
	}
	if err := a.Spend(ctx, tx, UseFor(&proven, a.at)); err != nil {
		return policy.Decision{}, err
	}
	*req = proven
	return d, nil
}
