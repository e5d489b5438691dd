package subject

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A Scope says which credentials of an account a revocation ends. The zero value is refused.
type Scope uint8

// The scopes.
const (
	noScope    Scope = iota
	Everything       // sessions, tokens, and bearer tokens of the host
	Sessions         // sessions and web logins under way
	Tokens           // granular tokens
)

// Revoke ends, in the caller's commit, all credentials of the account in scope that exist when
// the commit happens, and returns the subject after it: the caller rewrites a credential that
// must survive under its [Subject.Numbers] in the same commit. A credential that is created at
// the same time is dead, or was created after the commit. With [Everything] now is stored as
// well, for a host's own bearer tokens: see [Subject].Revoked.
func Revoke(ctx context.Context, tx *store.Tx, id protocol.UserID, scope Scope, now time.Time) (Subject, error) {
	if scope < Everything || scope > Tokens {
		return Subject{}, fmt.Errorf("subject: revoke: unknown scope %d", scope)
	}
	err := update(ctx, tx, id, func(r *record) {
		switch scope {
		case Everything:
			r.Numbers.All, r.Revoked = draw(), later(r.Revoked, now)
		case Sessions:
			r.Numbers.Sessions = draw()
		case Tokens:
			r.Numbers.Tokens = draw()
		}
	})
	if err != nil {
		return Subject{}, err
	}
	return Get(ctx, tx, id)
}

// RevokeEveryone ends, in the caller's commit, every credential of every account.
func RevokeEveryone(ctx context.Context, tx *store.Tx, now time.Time) error {
	_, err := epochs.Upsert(ctx, tx, everyone, func(e *epoch, _ bool) error {
		e.ID, e.Number, e.Revoked = everyone, draw(), later(e.Revoked, now)
		return nil
	})
	if err != nil {
		return fmt.Errorf("subject: row of all accounts: %w", err)
	}
	return nil
}

// Begin writes, in the caller's commit, a number of all accounts if there is none yet. It belongs
// into the commit that first uses a store, since it ends every credential in it; the time of
// [Subject.Revoked] does not change. A program of the first release, which revokes without numbers,
// refuses every credential from then on, so that it cannot seem to revoke one that stays alive.
func Begin(ctx context.Context, tx *store.Tx) error {
	_, err := epochs.Upsert(ctx, tx, everyone, func(e *epoch, _ bool) error {
		if e.ID = everyone; e.Number == 0 {
			e.Number = draw()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("subject: epoch: %w", err)
	}
	return nil
}

// SetTwoFactor records, in the caller's commit, what needs the account's second factor. The
// caller enrols or removes the factor in the same commit. TwoFactorOff is also the end of [SetKeys].
func SetTwoFactor(ctx context.Context, tx *store.Tx, id protocol.UserID, mode protocol.TwoFactorMode) error {
	text, err := formatMode(mode)
	if err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return update(ctx, tx, id, func(r *record) {
		if r.TwoFactor = text; mode == protocol.TwoFactorOff {
			r.Keys, r.KeysOnly = false, false
		}
	})
}

// ErrNoKeys means that an account without a security key cannot have [Subject].KeysOnly.
var ErrNoKeys = errors.New("subject: no security key")

// SetKeys records, in the caller's commit, whether a security key is among the account's second
// factors, and whether nothing else counts: see [Subject].Keys. The caller adds or removes the keys in
// the same commit. only without has is ErrNoKeys.
func SetKeys(ctx context.Context, tx *store.Tx, id protocol.UserID, has, only bool) error {
	if only && !has {
		return ErrNoKeys
	}
	return update(ctx, tx, id, func(r *record) { r.Keys, r.KeysOnly = has, only })
}

// Recover records, in the caller's commit, that the account was recovered, or may have been: a
// recovery code was used, somebody other than its user removed the second factor or set the
// password, or the e-mail address changed. An account with [Subject].HighImpact
// can only read for a while then, see [policy.Limits].HighImpactHold.
func Recover(ctx context.Context, tx *store.Tx, id protocol.UserID, now time.Time) error {
	return update(ctx, tx, id, func(r *record) { r.Recovered = later(r.Recovered, now) })
}

// draw returns a number that no row has had: random, so that a store that was restored from a
// backup does not count up to the same numbers.
func draw() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// maxSkew is by how much the clocks of two nodes may differ, one in a wrong time zone included.
// A broken clock set a stored instant that is further ahead.
const maxSkew = 24 * time.Hour

// later returns the instant to store in place of was. It is the later of the two, so that a
// node whose clock is behind revives no credential that another node ended; but a time more
// than maxSkew ahead is replaced, since it would last for years.
func later(was, now time.Time) time.Time {
	now = cut(now)
	if was.After(now) && was.Sub(now) <= maxSkew {
		return was
	}
	return now
}

// cut returns t as a store keeps it.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func update(ctx context.Context, tx *store.Tx, id protocol.UserID, fn func(*record)) error {
	if id == "" {
		return ErrNoUser
	}
	// Both rows in one request, since most callers that change a subject read all of it.
	if _, err := tx.Get(ctx, Keys(id)...); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	_, err := subjects.Upsert(ctx, tx, string(id), func(r *record, _ bool) error {
		r.ID = string(id)
		// A row that cannot be decoded must not be overwritten.
		if _, err := r.open(); err != nil {
			return err
		}
		r.SessionsNotBefore, r.SessionKept = time.Time{}, ""
		fn(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}
