package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// Lookup returns the user who may sign in under name. A name of nobody, of a disabled user and
// of a service account is [session.ErrDenied].
func (a *Authorizer) Lookup(ctx context.Context, name string) (session.User, error) {
	user, err := a.Users.Lookup(ctx, name)
	switch {
	case errors.Is(err, host.ErrNoUser):
		return session.User{}, session.ErrDenied
	case err != nil:
		return session.User{}, err
	case user.ID == "" || user.Service || user.Disabled:
		return session.User{}, session.ErrDenied
	}
	return session.User{ID: user.ID, Name: user.Name}, nil
}

// MaySignIn is [session.ErrDenied] for a user who is gone or disabled, and for a service account.
func (a *Authorizer) MaySignIn(ctx context.Context, id protocol.UserID) error {
	user, err := a.Users.User(ctx, id)
	switch {
	case errors.Is(err, host.ErrNoUser):
		return session.ErrDenied
	case err != nil:
		return err
	case user.Disabled || user.Service || user.ID != id:
		return session.ErrDenied
	}
	return nil
}

// SecondFactor checks the second factor of a login, after the password was right. That the account
// uses the CouchDB login, whose code Yarn 1 presents once more, is noted in the commit that opens
// the session.
func (a *Authorizer) SecondFactor(ctx context.Context, sub subject.Subject, f subject.Factor) (subject.Spend, error) {
	spend, err := a.Factors.SignIn(ctx, sub, f)
	if err != nil {
		return nil, a.challengeSignIn(ctx, a.Store, sub.ID, err)
	}
	if spend == nil && !f.Carry {
		return nil, nil
	}
	client, _ := ClientFrom(ctx)
	return func(ctx context.Context, tx *store.Tx, id string) error {
		if spend != nil {
			if err := spend(ctx, tx, id); err != nil {
				return a.challengeSignIn(ctx, tx, sub.ID, err)
			}
		}
		if !f.Carry {
			return nil
		}
		return a.noteLegacyUse(ctx, tx, sub.ID, client)
	}, nil
}

// SignInNotice warns of a password that nobody could choose any more.
func (a *Authorizer) SignInNotice(ctx context.Context, user session.User, pw credential.Secret) (string, error) {
	if a.Directory == nil {
		return "", nil
	}
	err := a.Directory.CheckStrength(ctx, user.ID, pw)
	if why, bad := errors.AsType[*account.PasswordError](err); bad {
		return "Your password is not safe: " + why.Why + ". Choose another one with npm profile set password.", nil
	}
	return "", err
}

// Verifies reports whether an account accepts a second factor now, see [twofactor.Manager.Verifies].
func (a *Authorizer) Verifies(ctx context.Context, sub subject.Subject, f subject.Factor) (right, guessable bool, err error) {
	return a.Factors.Verifies(ctx, sub, f)
}

// Passkey returns who presents what a passkey has signed at a page, see [twofactor.Manager.Passkey].
func (a *Authorizer) Passkey(ctx context.Context, f subject.Factor) (session.User, subject.Spend, error) {
	id, spend, err := a.Factors.Passkey(ctx, f)
	switch {
	case errors.Is(err, twofactor.ErrWrong), errors.Is(err, twofactor.ErrNoKeys):
		return session.User{}, nil, fmt.Errorf("%w: %w", subject.ErrFactorRequired, err)
	case err != nil:
		return session.User{}, nil, err
	}
	user, err := a.Users.User(ctx, id)
	if errors.Is(err, host.ErrNoUser) {
		err = session.ErrDenied
	}
	if err != nil {
		return session.User{}, nil, err
	}
	return session.User{ID: id, Name: user.Name}, spend, nil
}

// challengeSignIn returns err, of a second factor that a sign-in did not bring or that was refused,
// together with the challenge that answers it. Whoever reads that has proved the password.
func (a *Authorizer) challengeSignIn(ctx context.Context, from store.Reader, id protocol.UserID, err error) error {
	if !errors.Is(err, subject.ErrFactorRequired) {
		return err
	}
	status, failed := a.Factors.Status(ctx, from, id)
	if failed != nil {
		return failed
	}
	codes, _ := enterable(status, func(p policy.Proof) bool { return p == policy.ProofRecovery || !status.KeysOnly })
	why := twofactor.Sentence(err, a.Now())
	if why == "" && status.Keys && (!status.App || status.KeysOnly) {
		why = "The account has a security key: log in on the registry's page, with npm login --auth-type=web."
	}
	return fmt.Errorf("%w: %w", err, challenged(wire.Challenge{Codes: codes}, why))
}

// NamesOrg reports whether an organization has the name, so that no user gets it.
func (a *Authorizer) NamesOrg(ctx context.Context, name string) (bool, error) {
	if a.Orgs == nil {
		return false, nil
	}
	org, err := a.Orgs.OrgFacts(ctx, name, "")
	return org.ID != "", err
}

// EndSessionsTx ends all sessions of a user in the caller's commit.
func (a *Authorizer) EndSessionsTx(ctx context.Context, tx *store.Tx, by audit.Actor, id protocol.UserID, reason string) error {
	sub, err := subject.Revoke(ctx, tx, id, subject.Sessions, a.Now())
	if err != nil {
		return err
	}
	return a.Sessions.KeepTx(ctx, tx, by, sub, "", reason)
}
