package authz

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// tooManyCodes is why a credential ends that guessed.
const tooManyCodes = "too-many-codes"

// PageFactors are the challenges as the pages see them. Codes typed into a page
// count for the credential that was challenged, and end it like those of a header.
type PageFactors struct {
	*twofactor.Manager
	a *Authorizer
}

// PageFactors returns the second factors for package web.
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
	if errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) {
		return nil // by somebody else
	}
	return err
}

// endCredentialTx is endCredential in the caller's commit. One that is not there any more
// is [session.ErrNoSession] or [token.ErrNotFound].
func (a *Authorizer) EndCredentialTx(ctx context.Context, tx *store.Tx, by audit.Actor, cred *policy.Credential, reason string) error {
	switch cred.Kind { // the host's own only the host can end: its codes stay counted
	case policy.KindSession:
		return a.Sessions.EndTx(ctx, tx, by, cred.User, cred.ID, reason)
	case policy.KindToken:
		return a.Tokens.RevokeTx(ctx, tx, by, cred.User, cred.ID, reason)
	}
	return nil
}

// unknownChange is the error of a challenge to a request of which it is not known yet what it
// would do. It leaves nothing but the guard of publishes, which reads on.
type UnknownChange struct{ Wrong bool }

func (*UnknownChange) Error() string { return "npmauth: what the request would do is not known" }

// challenge opens a page on which the credential's user can answer, and returns
// it as the error that WriteError shows. Nothing is opened for the anonymous:
// they never get this far.
func (a *Authorizer) Challenge(ctx context.Context, j *Request, wrong bool) error {
	op, use := j.Operation, j.use()
	if use.Change.IsZero() {
		return &UnknownChange{Wrong: wrong}
	}
	c, err := a.Factors.Challenge(ctx, twofactor.NewChallenge{
		User: j.Actor.Credential.User, Name: j.Actor.Person.Account.Name, Credential: use.Credential, Action: op.Action,
		Items:          []twofactor.Item{{Package: op.Package, Change: use.Change, FollowUps: use.FollowUps, Words: j.Change.Words(op)}},
		CredentialName: j.Actor.Credential.Kind.String() + " " + j.Actor.Credential.ID, Addr: j.Addr, UserAgent: j.agent,
	})
	if err != nil {
		return err
	}
	return Challenged(wire.Challenge{
		AuthURL: a.URL("-/auth/challenge/" + c.PageID), DoneURL: a.URL("-/auth/proof/" + c.PollID), CheckCode: c.CheckCode,
	}, wrong)
}
