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

// MaxGrace is the longest that a token lives on beside the one that takes its place.
const MaxGrace = 7 * Day

// A Rotation gives a token a new secret, and the old one a time to be replaced
// wherever it is in use.
type Rotation struct {
	User policy.UserID // whose token it must be; required
	ID   string        // of the token; required

	// Grace is how long the old secret goes on, but never longer than it would have
	// anyway. Zero ends it at once; more than [MaxGrace] is a [*SpecError].
	Grace time.Duration

	// Days and Until end the new token, as in [Spec]. With neither it lives as long as
	// the old one was made for.
	Days  int
	Until time.Time

	// Service says that User is a service account, as in [Spec].
	Service bool

	// CreatedBy is the public ID of the credential that asked for it.
	CreatedBy string
}

// Rotate makes a token like the one that r names, with a secret and an ID of its own,
// and lets the old one end. All of it happens, or nothing. What the new one may do is
// exactly what the old one may: nothing is asked for anew, so nothing can be added. A
// token that is not the user's, or is dead, is [ErrNotFound].
//
// For spend and the errors see [Manager.Create].
func (m *Manager) Rotate(ctx context.Context, r Rotation, spend func(ctx context.Context, tx *store.Tx, id string) error) (credential.Secret, Token, error) {
	if r.Grace < 0 || r.Grace > MaxGrace {
		return credential.Secret{}, Token{}, wrong("grace", "must be between nothing and %d days", days(MaxGrace))
	}
	now := m.now().UTC().Truncate(time.Microsecond)
	secret, id := credential.New(credential.PrefixToken), credential.NewID()
	var fresh Token
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		old, err := owned(r.User)(byID.Get(ctx, tx, r.ID))
		if err != nil {
			return err
		}
		if !now.Before(old.Expires) {
			return store.ErrNotFound
		}
		if fresh, err = m.successor(Token(*old), r, secret, id, now); err != nil {
			return err
		}
		if err := m.retire(ctx, tx, old, now.Add(r.Grace), now); err != nil {
			return err
		}
		if err := m.count(ctx, tx, r.User, now, fresh.Expires); err != nil {
			return err
		}
		if spend != nil {
			if err := spend(ctx, tx, id); err != nil {
				return spendError{err}
			}
		}
		rec := record(fresh)
		return tokens.Insert(ctx, tx, &rec)
	})
	if spent, ok := errors.AsType[spendError](err); ok {
		return credential.Secret{}, Token{}, spent.error
	}
	if errors.Is(err, store.ErrNotFound) {
		return credential.Secret{}, Token{}, ErrNotFound
	}
	if err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("token: rotate: %w", err)
	}
	if r.Grace == 0 {
		m.used.drop(r.ID)
	}
	return secret, fresh.clone(), nil
}

// successor returns the token that takes the place of old.
func (m *Manager) successor(old Token, r Rotation, secret credential.Secret, id string, now time.Time) (Token, error) {
	spec := Spec{
		User: old.User, Name: old.Name, Description: old.Description, Grants: old.Grants, Bypass: old.Bypass, CIDRs: old.CIDRs,
		Days: r.Days, Until: r.Until, Service: r.Service,
	}
	if r.Days == 0 && r.Until.IsZero() {
		spec.Until = now.Add(old.Expires.Sub(old.Created))
	}
	// Whatever was allowed when old was made: what is not allowed now is not renewed.
	expires, err := m.check(spec, now)
	if err != nil {
		return Token{}, err
	}
	next := old.clone()
	next.ID, next.Digest, next.Hint = id, credential.Sum(secret), secret.Reveal()[:hintSize]
	next.Created, next.Expires, next.CreatedBy = now, expires, r.CreatedBy
	return next, nil
}

// retire ends old at a time, or at once if that has come.
func (m *Manager) retire(ctx context.Context, tx *store.Tx, old *record, at, now time.Time) error {
	if !at.Before(old.Expires) {
		return nil // it ends earlier by itself
	}
	if err := uncount(ctx, tx, old.User, old.Expires); err != nil {
		return err
	}
	if !at.After(now) {
		tx.Delete(usedPrefix + old.ID)
		return tokens.Delete(ctx, tx, old.Digest.String())
	}
	if err := m.count(ctx, tx, old.User, now, at); err != nil {
		return err
	}
	_, err := tokens.Update(ctx, tx, old.Digest.String(), func(r *record) error {
		r.Expires = at
		return nil
	})
	return err
}
