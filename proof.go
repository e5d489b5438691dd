package npmauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// tooManyCodes is why a credential ends that guessed.
const tooManyCodes = "too-many-codes"

// unproven turns the refusal of a second factor into what the client hears: the
// next challenge, or the end of a credential that guessed too often.
func (a *Auth) unproven(r *http.Request, j judgement, err error) error {
	switch {
	case errors.Is(err, twofactor.ErrTooMany):
		if end := a.endCredential(r.Context(), j.act.cred, tooManyCodes); end != nil {
			return end
		}
		return err
	case errors.Is(err, twofactor.ErrWrong):
		return a.challenge(r, j, true)
	}
	return err
}

// pageFactors are the challenges as the pages see them. Codes typed into a page
// count for the credential that was challenged, and end it like those of a header.
type pageFactors struct {
	*twofactor.Manager
	a *Auth
}

// Approve approves a challenge, see [twofactor.Manager.Approve].
func (f pageFactors) Approve(ctx context.Context, pageID string, user policy.UserID, value credential.Secret) (credential.Secret, error) {
	req, err := f.Pending(ctx, pageID)
	if err != nil {
		return credential.Secret{}, err
	}
	typed, err := f.Manager.Approve(ctx, pageID, user, value)
	if errors.Is(err, twofactor.ErrTooMany) {
		for _, kind := range []policy.Kind{policy.KindSession, policy.KindToken} {
			if end := f.a.endCredential(ctx, &policy.Credential{ID: req.Use.Credential, User: req.User, Kind: kind}, tooManyCodes); end != nil {
				return credential.Secret{}, end
			}
		}
	}
	return typed, err
}

// endCredential ends a session or a token for good, and records why.
func (a *Auth) endCredential(ctx context.Context, cred *policy.Credential, reason string) error {
	var err error
	switch cred.Kind { // the host's own only the host can end: its codes stay counted
	case policy.KindSession:
		err = a.sessions.End(ctx, cred.User, cred.ID)
	case policy.KindToken:
		if err = a.tokens.End(ctx, cred.ID); err == nil {
			a.record(ctx, audit.Event{Type: audit.TokenRevoked, Outcome: audit.Done, User: cred.User, Credential: cred.ID, Reasons: []string{reason}})
		}
	}
	if errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) {
		return nil
	}
	return err
}

// challenge opens a page on which the credential's user can answer, and returns
// it as the error that WriteError shows. Nothing is opened for the anonymous:
// they never get this far.
func (a *Auth) challenge(r *http.Request, j judgement, wrong bool) error {
	c, err := a.factors.Challenge(r.Context(), twofactor.NewChallenge{
		User: j.act.cred.User, Name: j.act.who.account.Name, Use: j.use(), Action: j.req.Operation.Action,
		CredentialName: j.act.cred.Kind.String() + " " + j.act.cred.ID, Addr: j.req.Addr, UserAgent: r.UserAgent(),
	})
	if err != nil {
		return err
	}
	return &challengeError{wrong: wrong, challenge: Challenge{
		AuthURL: a.url("-/auth/challenge/" + c.PageID), DoneURL: a.url("-/auth/proof/" + c.PollID), CheckCode: c.CheckCode,
	}}
}
