// Package token makes, lists and ends granular access tokens: credentials that
// reach named packages, scopes and organizations, for a while, perhaps from some
// networks only.
//
//	m, err := token.New(token.Config{Store: st})
//	…
//	secret, tok, err := m.Create(ctx, token.Spec{
//		User:   user,
//		Name:   "ci",
//		Grants: []policy.Grant{{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadOnly}},
//	}, nil)
//
// The secret is shown to its user once. What is stored is its digest, so that
// nobody can read it again.
//
// # Who may
//
// Whether a request may create a token is for package policy to decide; a Manager
// obeys. It judges what the token is: its name, lifetime, number of targets and
// networks, and how many its user has. What a token may do is judged at every
// request, from the [policy.Credential] that [Open] makes of the stored record
// and the live rights of its user: no restriction is enforced only at creation.
//
// # Verifying
//
// A presented token is found by one Get of [Key] and decoded by Open. The caller
// compares the time with Expires, which is the first instant at which the token
// is dead.
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store.
package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// Errors to branch on.
var (
	// ErrNotFound means that the user has no such token. It is the same answer
	// for another user's token and for one that never was.
	ErrNotFound = errors.New("token: not found")
	// ErrTooMany means that the user has as many tokens as Limits.Tokens allows.
	ErrTooMany = errors.New("token: too many tokens")
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the tokens. Required.
	Store store.Store

	// Limits bound what a token may be, by the fields that speak of tokens. The
	// zero value means [policy.DefaultLimits], which are npm's.
	Limits policy.Limits

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Manager creates and ends tokens. Make one with [New].
type Manager struct {
	store  store.Store
	limits policy.Limits
	now    func() time.Time
	used   *usage
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("token: Config.Store is missing")
	}
	if cfg.Limits == (policy.Limits{}) {
		cfg.Limits = policy.DefaultLimits()
	}
	if err := checkLimits(cfg.Limits); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Manager{cfg.Store, cfg.Limits, cfg.Now, newUsage()}, nil
}

// Create makes the token that spec describes and returns its secret, which cannot
// be had again. A spec that is not allowed is a [*SpecError], and ErrTooMany that
// the user has no room for it.
//
// Spend, unless nil, runs inside the commit that creates the token, so that a
// second factor spent on it and the token stand or fall together. It may run more
// than once and must write only through tx. It is given the ID of the new token.
// Its error is returned as it is, and no token exists then.
//
// An error that wraps [store.ErrUnknown] means that the token may exist, though
// nobody knows its secret.
func (m *Manager) Create(ctx context.Context, spec Spec, spend func(ctx context.Context, tx *store.Tx, id string) error) (credential.Secret, Token, error) {
	now := m.now().UTC().Truncate(time.Microsecond)
	expires, err := m.check(spec, now)
	if err != nil {
		return credential.Secret{}, Token{}, err
	}
	secret := credential.New(credential.PrefixToken)
	t := Token{
		ID:          credential.NewID(),
		Digest:      credential.Sum(secret),
		Hint:        secret.Reveal()[:hintSize],
		User:        spec.User,
		Name:        spec.Name,
		Description: spec.Description,
		Grants:      spec.Grants,
		Bypass:      spec.Bypass,
		CIDRs:       spec.CIDRs,
		Created:     now,
		Expires:     expires,
		CreatedBy:   spec.CreatedBy,
	}.clone()
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := m.count(ctx, tx, spec.User, now, expires); err != nil {
			return err
		}
		if spend != nil {
			if err := spend(ctx, tx, t.ID); err != nil {
				return spendError{err}
			}
		}
		rec := record(t)
		return tokens.Insert(ctx, tx, &rec)
	})
	if spent, ok := errors.AsType[spendError](err); ok {
		return credential.Secret{}, Token{}, spent.error
	}
	if err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("token: create: %w", err)
	}
	return secret, t, nil
}

// spendError carries an error of Create's spend out of the transaction unchanged.
type spendError struct{ error }

func (e spendError) Unwrap() error { return e.error }
