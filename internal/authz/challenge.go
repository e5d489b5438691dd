package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// tooManyCodes is the reason that a credential ends for after too many wrong codes.
const tooManyCodes = "too-many-codes"

// PageFactors are the second factors for package web. Wrong codes typed into a page count for the
// credential that was challenged, as those of a header do.
type PageFactors struct {
	*twofactor.Manager
	a *Authorizer
}

// PageFactors returns them.
func (a *Authorizer) PageFactors() PageFactors { return PageFactors{a.Factors, a} }

// Approve approves a challenge, see [twofactor.Manager.Approve].
func (f PageFactors) Approve(ctx context.Context, in twofactor.Approval) (credential.Secret, error) {
	req, err := f.Pending(ctx, in.PageID)
	if err != nil {
		return credential.Secret{}, err
	}
	typed, err := f.Manager.Approve(ctx, in)
	if errors.Is(err, twofactor.ErrTooMany) {
		by := audit.Actor{Addr: in.Addr}
		for _, kind := range []policy.Kind{policy.KindSession, policy.KindToken} {
			if end := f.a.endCredential(ctx, by, &policy.Credential{ID: req.Credential, User: req.User, Kind: kind}, tooManyCodes); end != nil {
				return credential.Secret{}, end
			}
		}
	}
	return typed, err
}

// endCredential ends a session or a token for good, and records why.
func (a *Authorizer) endCredential(ctx context.Context, by audit.Actor, cred *policy.Credential, reason string) error {
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error { return a.EndCredentialTx(ctx, tx, by, cred, reason) })
	if Gone(err) { // ended by somebody else
		return nil
	}
	return err
}

// Gone reports whether err says that there is no such credential.
func Gone(err error) bool {
	return errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) || errors.Is(err, trust.ErrNotFound)
}

// EndCredentialTx is endCredential in the caller's commit. The error for one that is not there
// any more is [Gone].
func (a *Authorizer) EndCredentialTx(ctx context.Context, tx *store.Tx, by audit.Actor, cred *policy.Credential, reason string) error {
	switch cred.Kind { // the host's own only the host can end: its codes stay counted
	case policy.KindSession:
		return a.Sessions.EndTx(ctx, tx, by, cred.User, cred.ID, reason)
	case policy.KindToken:
		return a.Tokens.RevokeTx(ctx, tx, by, cred.User, cred.ID, reason)
	case policy.KindPublisher:
		_, err := a.Trust.RevokeTokenTx(ctx, tx, by, cred.ID, reason)
		return err
	}
	return nil
}

// An UnknownChange is the error of a challenge to a write whose Change is not known yet: the
// guard reads the rest of a publish then. Refused is why a value was, nil if there was none.
type UnknownChange struct{ Refused error }

func (*UnknownChange) Error() string { return "npmauth: what the request would do is not known" }

// Challenge opens a challenge for the user of q's credential, and returns it as an error. refused is
// why a value that was presented was refused, nil if none was. q must have a credential. Where the
// account has nothing left that would do, the error is a refusal.
func (a *Authorizer) Challenge(ctx context.Context, q *Request, refused error) error {
	op, use := q.Operation, twofactor.UseFor(&q.Request, q.Arrived)
	if use.Change.IsZero() {
		return &UnknownChange{Refused: refused}
	}
	accepts := func(p policy.Proof) bool {
		proven := q.Request
		proven.Proof = p
		return q.policy.Decide(proven).Effect == policy.Allow
	}
	status, err := a.Factors.Status(ctx, a.Store, q.Actor.Credential.User)
	if err != nil {
		return err
	}
	codes, app := enterable(status, accepts)
	if status.Locked && refused == nil {
		refused = twofactor.ErrLocked
	}
	key := status.Keys && accepts(policy.ProofKey)
	switch page := app && accepts(policy.ProofWeb) || key; {
	case !status.Enabled:
		return twofactor.ErrNoFactor
	case key && q.takesKey:
		options, err := a.Factors.KeyOptions(ctx, q.Actor.Credential.User, use)
		if err != nil {
			return err
		}
		return challenged(wire.Challenge{Codes: codes, Key: options}, twofactor.Sentence(refused, a.Now()))
	case !page && len(codes) > 0:
		return challenged(wire.Challenge{Codes: codes}, twofactor.Sentence(refused, a.Now()))
	case !page && status.Locked:
		return errLocked
	case !page:
		return Denied(q, q.Decision())
	}
	name, err := a.describe(ctx, q.Actor.Credential)
	if err != nil {
		return err
	}
	c, err := a.Factors.Challenge(ctx, twofactor.NewChallenge{
		User: q.Actor.Credential.User, Name: q.Actor.Person.Account.Name, Credential: use.Credential, Action: op.Action,
		Items:          []twofactor.Item{{Package: op.Package, Change: use.Change, FollowUps: use.FollowUps, Words: q.Change.Words(op)}},
		CredentialName: name, Addr: q.Addr, UserAgent: q.agent, KeysOnly: !(app && accepts(policy.ProofWeb)),
	})
	if err != nil {
		return err
	}
	return challenged(wire.Challenge{
		AuthURL: a.URL("-/auth/challenge/" + c.PageID), DoneURL: a.URL("-/auth/proof/" + c.PollID), CheckCode: c.CheckCode, Codes: codes,
	}, twofactor.Sentence(refused, a.Now()))
}

// ChallengeUnread is the challenge to a request of which too much would have to be read for a page.
func (a *Authorizer) ChallengeUnread(refused error) error {
	return challenged(wire.Challenge{Codes: []policy.Proof{policy.ProofTOTP}}, twofactor.Sentence(refused, a.Now()))
}

// challenged returns the error that asks for a second factor, and says why.
func challenged(c wire.Challenge, why string) error {
	return &wire.Error{Challenge: &c, Sentence: why}
}

// describe returns what the page of a challenge calls the challenged credential, so that its
// user knows it from a stolen one: when a session was opened, and from where, and what a token
// is called.
func (a *Authorizer) describe(ctx context.Context, cred *policy.Credential) (string, error) {
	text := cred.Kind.String() + " " + cred.ID
	switch cred.Kind {
	case policy.KindToken:
		if cred.Name != "" {
			text = fmt.Sprintf("token %q, %s", cred.Name, cred.ID)
		}
	case policy.KindSession:
		s, err := a.Sessions.Get(ctx, cred.User, cred.ID)
		if errors.Is(err, session.ErrNoSession) {
			return text, nil // ended since: its challenge is good for nothing
		}
		if err != nil {
			return "", err
		}
		text += s.Created.UTC().Format(", a login of 2 January 2006, 15:04 UTC")
		if s.Addr.IsValid() {
			text += ", from " + s.Addr.Unmap().WithZone("").String()
		}
	}
	return text, nil
}
