package twofactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Authorize decides about a request and lets it write, for a program that composes the parts: what
// has to happen in a certain order happens here.
//
// ask returns all that p may consult about the request, from the rows of a store. The first
// decision is made on what it says of the Manager's store, and a Deny ends there. If it is
// Challenge, an attempt is counted with value, the npm-otp header of the request, which arrived at
// a time, see [Manager.BeginFor]. Then one commit makes the final decision: ask reads from its
// [store.Tx], so that the decision holds when the commit happens, the second factor is spent, and
// write writes what the request changes; nil writes nothing else. Both may run several times.
//
// Authorize is called when the whole body was read. Errors are a [*policy.DeniedError] for a
// Deny; [subject.ErrFactorRequired] if a second factor is missing, wrong or locked; ErrTooMany,
// upon which the caller must end the credential; and those of ask, of write and of the store. On
// any error nothing was written, unless it wraps [store.ErrUnknown].
func (m *Manager) Authorize(ctx context.Context, p *policy.Policy, at time.Time, value credential.Secret,
	ask func(from store.Reader) (*policy.Request, error), write func(tx *store.Tx) error,
) error {
	req, err := ask(m.store)
	if err != nil {
		return err
	}
	var attempt *Attempt
	switch d := p.Decide(*req); d.Effect {
	case policy.Allow:
	case policy.Challenge:
		if attempt, err = m.BeginFor(ctx, p, *req, at, value); err != nil {
			return needed(err)
		}
		leave, err := attempt.Wait(ctx)
		if err != nil {
			return err
		}
		defer leave()
	default:
		return policy.Denied(req, d)
	}
	return store.Transact(ctx, m.store, func(tx *store.Tx) error {
		req, err := ask(tx)
		if err != nil {
			return err
		}
		d, err := attempt.Decide(ctx, tx, p, req)
		switch {
		case err != nil:
			return needed(err)
		case d.Effect == policy.Challenge: // the account has a factor since, or it would not do any more
			return subject.ErrFactorRequired
		case d.Effect != policy.Allow:
			return policy.Denied(req, d)
		case write == nil:
			return nil
		}
		return write(tx)
	})
}

// needed says of a value that was refused that the request needs another one.
func needed(err error) error {
	if errors.Is(err, ErrWrong) || errors.Is(err, ErrLocked) {
		return fmt.Errorf("%w: %w", subject.ErrFactorRequired, err)
	}
	return err
}

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
// Allow. The attempt proves nothing for a request of another user or credential. An error means that the value was not spent, and the request must be refused; so must
// every request whose Decision is not Allow. A nil Attempt is none.
func (a *Attempt) Decide(ctx context.Context, tx *store.Tx, p *policy.Policy, req *policy.Request) (policy.Decision, error) {
	d := p.Decide(*req)
	if a == nil || d.Effect != policy.Challenge {
		return d, nil
	}
	if req.Anonymous() || req.Credential.User != a.user {
		return policy.Decision{}, errOtherUse
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
