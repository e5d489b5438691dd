package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// BringsApproval reports whether the npm-otp header has the form of what a page hands out.
func BringsApproval(h http.Header) bool {
	value, err := wire.OTP(h)
	return err == nil && twofactor.FormOf(value.Reveal()).Approval()
}

// BeginFactor counts an attempt at the second factor with the value of the npm-otp header, which
// the commit spends. Without an acceptable value its error is the challenge, and for a kind of value
// that the policy does not accept here the refusal of its rule.
func (a *Authorizer) BeginFactor(ctx context.Context, h http.Header, q *Request) error {
	if q.Actor.Credential == nil || q.Actor.Credential.Kind == policy.KindPublisher { // nobody who could have a factor
		return Denied(q, q.Decision())
	}
	value, err := wire.OTP(h)
	if err != nil {
		return err
	}
	q.Attempt, err = a.Factors.BeginFor(ctx, q.policy, q.Request, q.Arrived, value)
	switch {
	case errors.Is(err, subject.ErrFactorRequired):
		return a.Challenge(ctx, q, nil)
	case errors.Is(err, twofactor.ErrWrong), errors.Is(err, twofactor.ErrLocked):
		return a.Challenge(ctx, q, err)
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
		return a.Challenge(ctx, q, err)
	}
	return err
}

// enterable returns the kinds of code that the account of s has and that accepts allows, and whether
// its app can be used at all.
func enterable(s twofactor.Status, accepts func(policy.Proof) bool) (codes []policy.Proof, app bool) {
	app = s.App && !s.Locked
	if app && accepts(policy.ProofTOTP) {
		codes = append(codes, policy.ProofTOTP)
	}
	if s.RecoveryLeft > 0 && accepts(policy.ProofRecovery) {
		codes = append(codes, policy.ProofRecovery)
	}
	return codes, app
}
