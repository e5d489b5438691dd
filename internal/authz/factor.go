package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// BringsApproval reports whether the npm-otp header has the form of what a page hands out.
func BringsApproval(h http.Header) bool {
	value, err := wire.OTP(h)
	return err == nil && twofactor.FormOf(value.Reveal()).Proof() == policy.ProofWeb
}

// use returns what a proof for q is spent on. Its digest is zero while it is not known what a
// write would do; of a read the operation says all.
func (q *Request) use() twofactor.Use {
	op, c := q.Operation, q.Change
	u := twofactor.Use{
		Credential: q.Actor.Credential.ID, Action: op.Action, Package: op.Package, FollowUps: c.FollowUps(op), At: q.Arrived, Addr: q.Addr,
	}
	if c != nil || !op.Action.Write() {
		u.Change = c.Digest(op)
	}
	return u
}

// acceptable reports whether value, if it verifies, leads to an Allow. It is called before
// anything is spent, so that nobody loses a recovery code over a request that stays denied.
func (a *Authorizer) acceptable(q *Request, value credential.Secret) bool {
	req := q.Request
	req.Proof = twofactor.FormOf(value.Reveal()).Proof()
	return req.Proof != policy.NoProof && a.Policy.Decide(req).Effect == policy.Allow
}

// BeginFactor counts an attempt at the second factor with the value of the npm-otp header, which
// the commit spends. Without an acceptable value its error is the challenge.
func (a *Authorizer) BeginFactor(ctx context.Context, h http.Header, q *Request) error {
	if q.Actor.Credential == nil { // nobody who could have a factor
		return Denied(q, a.Policy.Decide(q.Request))
	}
	value, err := wire.OTP(h)
	if err != nil {
		return err
	}
	if value.IsZero() || !a.acceptable(q, value) {
		return a.Challenge(ctx, q, !value.IsZero())
	}
	q.Attempt, err = a.Factors.Begin(ctx, q.Actor.Credential.User, q.use(), value)
	if errors.Is(err, twofactor.ErrWrong) {
		return a.Challenge(ctx, q, true)
	}
	return err
}

// Unproven returns what a refused second factor is answered with: the next challenge, or after
// too many the end of the credential. Any other error it returns as it is.
func (a *Authorizer) Unproven(ctx context.Context, q *Request, err error) error {
	switch {
	case errors.Is(err, twofactor.ErrTooMany):
		if end := a.endCredential(ctx, q.Actor.By(q.Addr), q.Actor.Credential, tooManyCodes); end != nil {
			return end
		}
	case errors.Is(err, twofactor.ErrWrong) && q.Attempt != nil:
		return a.Challenge(ctx, q, true)
	}
	return err
}
