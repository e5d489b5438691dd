// Package token creates, lists and revokes granular access tokens: credentials that can access
// named packages, scopes and organizations, until they expire, perhaps from some networks only.
//
//	m, err := token.New(token.Config{Store: st})
//	…
//	secret, tok, err := m.Create(ctx, audit.Actor{}, token.Spec{
//		User:   user,
//		Name:   "ci",
//		Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}},
//	})
//
// The secret is shown to its user once. Only its digest is stored, so that nobody can read the
// secret later. The [audit.Actor] is the account that makes the request, the zero one the
// operator, and goes into the event that is recorded with every change.
//
// # Authorization
//
// Whether a request may create a token is for package policy to decide; a Manager does not
// check it. A Manager checks the token: its name, lifetime, number of targets and networks, and
// how many tokens its user has. What a token may do is decided at every request, from the
// [policy.Credential] that [Open] makes of the stored record and the present rights of its
// user: no restriction is enforced only at creation.
//
// # Verifying
//
// [Manager.Verify] is the whole check of a presented token. A program that caches records makes
// it of parts: one Get of [KeyOf], decoded by [Open], which compares the digest. The token is
// alive until Expires, the first instant at which it is dead, and while its numbers are those of
// its user: [subject.Subject.Alive]. Then there are the ranges, its own and its account's.
//
// # Revoking
//
// To revoke all tokens of a user is one write of a new number, and package subject revokes in
// the same way. The records of the revoked tokens remain until [Manager.Sweep], and nothing
// here finds, counts or lists them.
//
// # Older tokens
//
// A registry may have had tokens before npmauth. [Manager.ImportRevoked] records those that are
// revoked, which are refused for good and whose holders are told so.
//
// # Committing
//
// Each method that changes tokens has a form with a [store.Tx], for a caller that commits more
// than the token: the second factor that was spent on it, and the rows that the decision
// depends on. [ReadsOf] says what it reads.
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

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Errors to branch on.
var (
	// ErrNotFound means that the user has no such token. It is the same error for another
	// user's token and for one that does not exist.
	ErrNotFound = errors.New("token: not found")
	// ErrAmbiguous means that several of the user's tokens begin with the characters that were
	// given.
	ErrAmbiguous = errors.New("token: several tokens begin like this")
	// ErrTooMany means that the user has as many tokens as Limits.Tokens allows.
	ErrTooMany = errors.New("token: too many tokens")
	// ErrDisabled means that the user's account is disabled: it gets no token.
	ErrDisabled = errors.New("token: the account is disabled")
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the tokens. Required.
	Store store.Store

	// Limits returns the limits of new tokens that hold now: those of a policy are its method
	// Limits. Nil means [policy.DefaultLimits], which are npm's.
	Limits func() policy.Limits

	// Events records every token that is created or revoked. Nil records nothing.
	Events *audit.Recorder

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Manager creates and ends tokens. Make one with [New].
type Manager struct {
	store  store.Store
	limits func() policy.Limits
	events *audit.Recorder
	now    func() time.Time
	used   *usage
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("token: Config.Store is missing")
	}
	if cfg.Limits == nil {
		cfg.Limits = policy.DefaultLimits
	}
	if err := cfg.Limits().Validate(); err != nil {
		return nil, fmt.Errorf("token: Config.Limits: %w", err)
	}
	limits := func() policy.Limits { return cfg.Limits().OrNPM() }
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Manager{cfg.Store, limits, cfg.Events, cfg.Now, newUsage()}, nil
}

// instant returns the current time as a record keeps it.
func (m *Manager) instant() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// Create is [Manager.CreateTx] in a commit of its own. An error that wraps
// [store.ErrUnknown] means that the token may exist, though nobody knows its secret.
func (m *Manager) Create(ctx context.Context, by audit.Actor, spec Spec) (secret credential.Secret, t Token, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		secret, t, err = m.create(ctx, tx, by, spec)
		return err
	})
	return made("create", secret, t, err)
}

// CreateTx creates, in the caller's commit, the token that spec describes, under the revocation
// numbers that its user has then, and returns its secret, which cannot be shown a second time.
// A spec that is not allowed is a [*SpecError], [ErrTooMany] means that the user has too many
// tokens, and [ErrDisabled] that the account is disabled.
//
// Each run of a transaction draws a new secret: only the secret that the last run returned is
// the token's, and only once the commit has happened.
func (m *Manager) CreateTx(ctx context.Context, tx *store.Tx, by audit.Actor, spec Spec) (credential.Secret, Token, error) {
	secret, t, err := m.create(ctx, tx, by, spec)
	return made("create", secret, t, err)
}

func (m *Manager) create(ctx context.Context, tx *store.Tx, by audit.Actor, spec Spec) (credential.Secret, Token, error) {
	fail := func(err error) (credential.Secret, Token, error) { return credential.Secret{}, Token{}, err }
	now := m.instant()
	expires, err := m.check(spec, now)
	if err != nil {
		return fail(err)
	}
	items, err := tx.Get(ctx, ReadsOf(spec.User, "")...)
	if err != nil {
		return fail(err)
	}
	sub, err := subject.Decode(spec.User, items[:2])
	if err != nil {
		return fail(err)
	}
	if sub.Disabled {
		return fail(ErrDisabled)
	}
	if err := m.recount(ctx, tx, sub, now, nil, []int64{expires.UnixMicro()}); err != nil {
		return fail(err)
	}
	secret := credential.New(credential.PrefixToken)
	t := Token{
		User:        spec.User,
		Name:        spec.Name,
		Description: spec.Description,
		Grants:      spec.Grants,
		Bypass:      spec.Bypass,
		CIDRs:       spec.CIDRs,
		Created:     now,
		Expires:     expires,
		CreatedBy:   by.Credential,
		Numbers:     sub.Numbers(policy.KindToken),
	}.clone()
	t.named(secret)
	if err := tokens.Insert(ctx, tx, recordOf(t)); err != nil {
		return fail(err)
	}
	return secret, t, m.tell(ctx, tx, by, created(t))
}

// named sets the fields of t that follow from its secret.
func (t *Token) named(secret credential.Secret) {
	t.Digest, t.Hint = credential.Sum(secret), secret.Reveal()[:hintSize]
	t.ID = IDOf(t.Digest)
}

// made returns the secret and the token, or neither with an error.
func made(what string, secret credential.Secret, t Token, err error) (credential.Secret, Token, error) {
	if spec, ok := errors.AsType[*SpecError](err); ok {
		return credential.Secret{}, Token{}, spec // its text is for the client
	}
	if err != nil {
		return credential.Secret{}, Token{}, outward(what, err)
	}
	return secret, t, nil
}
