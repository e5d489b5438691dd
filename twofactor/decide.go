package twofactor

import (
	"context"
	"errors"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Authorize decides about a request by p, verifies and spends its second factor, and writes what it
// changes, for a program that composes the parts. Call it when the whole body was read.
//
// ask returns the request, with everything that it reads from a store read from from. The first
// decision is made with the Manager's store. If it is Deny, Authorize returns. If it is Challenge,
// an attempt is counted with value, the npm-otp header of the request, which arrived at the time
// at; zero means now: see [Manager.BeginFor]. Then one commit makes the final decision, on what ask
// reads from its [store.Tx], spends the second factor and calls write, which writes what the
// request changes; nil writes nothing. ask and write may run several times.
//
// Errors are a [*policy.DeniedError] for Deny; [subject.ErrFactorRequired] if a second factor is
// needed and missing, wrong or locked, of which [Sentence] tells; [ErrTooMany], after which the caller must end the
// credential; [ErrNoFactor] if p challenges an anonymous request or an account that has no factor
// here; and those of ask, of write and of the store. After an error nothing was written but counted
// attempts, unless it wraps [store.ErrUnknown].
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
			return m.needed(err)
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
			return m.needed(err)
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
func (m *Manager) needed(err error) error {
	if errors.Is(err, ErrWrong) || errors.Is(err, ErrLocked) {
		return m.required(err)
	}
	return err
}

// A requiredError is [subject.ErrFactorRequired] for a value that was refused with err.
type requiredError struct {
	err      error
	sentence string
}

func (m *Manager) required(err error) error { return &requiredError{err, Sentence(err, m.now())} }

func (e *requiredError) Error() string {
	return subject.ErrFactorRequired.Error() + ": " + e.err.Error()
}

func (e *requiredError) Unwrap() []error { return []error{subject.ErrFactorRequired, e.err} }

// Sentence returns what [Sentence] does of the value.
func (e *requiredError) Sentence() string { return e.sentence }

// UseFor returns the Use of a second factor that arrived at the time at for req, which must have a
// credential. Its Change is zero for a write whose Change is not known yet.
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

// BeginFor is [Manager.Begin] for a request about which p decided Challenge, with the value of its
// npm-otp header, which arrived at the time at; zero means now. Errors are also
// [subject.ErrFactorRequired] if value is zero, [ErrNoFactor] if req is anonymous, and a
// [*policy.DeniedError] if p would not allow req with a right value of this kind, such as a recovery
// code for a publish: its reasons say why. Nothing is verified, counted or spent then.
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
	if req.Proof == policy.NoProof {
		return nil, wrong(reasonForm)
	}
	if d := p.Decide(req); d.Effect != policy.Allow {
		return nil, policy.Denied(&req, d)
	}
	return m.Begin(ctx, req.Credential.User, UseFor(&req, at), value)
}

// Decide decides about req by p in the caller's commit. If p challenges req and would allow it with
// the attempt's proof, Decide spends the value, sets req.Proof and returns Allow. The attempt proves
// nothing for a request of another user or credential. If Decide returns an error, or a Decision
// other than Allow, the caller must return an error from the commit and refuse the request. On a nil
// Attempt Decide is [policy.Policy.Decide].
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
