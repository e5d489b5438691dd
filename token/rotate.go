package token

import (
	"context"
	"errors"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// MaxGrace is the longest that a token lives on beside the one that takes its place.
const MaxGrace = 7 * Day

// A Rotation gives a token a new secret, and leaves the old secret valid for a while, so that
// it can be replaced wherever it is in use.
type Rotation struct {
	User protocol.UserID // whose token it must be; required
	ID   string          // of the token; required

	// Grace is how long the old secret stays valid, but never longer than without the rotation.
	// Zero ends it at once; more than [MaxGrace] is a [*SpecError].
	Grace time.Duration

	// Days and Until end the new token, as in [Spec]. With neither it lives as long as the old
	// token was to live from its creation.
	Days  int
	Until time.Time

	// Service says that User is a service account, as in [Spec].
	Service bool
}

// A RotatedError says that a token was rotated before and that its successor lives: a second
// rotation would make a second one.
type RotatedError struct {
	Successor string // ID of the token that it was rotated to
}

// Error names the successor.
func (e *RotatedError) Error() string { return "token: rotated already, to " + e.Successor }

// Answer returns how HTTP answers the error, with a sentence for the user.
func (e *RotatedError) Answer() (status int, code, sentence string) {
	return 409, "already-rotated", "This token was rotated already, to " + e.Successor +
		". If you do not have the new token, revoke that one and rotate this one again."
}

// Rotate is [Manager.RotateTx] in a commit of its own. An error that wraps [store.ErrUnknown]
// means that the token may be rotated, though nobody knows the new secret.
func (m *Manager) Rotate(ctx context.Context, by audit.Actor, r Rotation) (secret credential.Secret, fresh Token, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		secret, fresh, err = m.rotate(ctx, tx, by, r)
		return err
	})
	return made("rotate", secret, fresh, err)
}

// RotateTx creates, in the caller's commit, a token like the one that r names, with a secret
// and an ID of its own, and lets the old token end. The new token may do exactly what the old
// one may: r cannot add a right. A token that is not the user's, or is dead, is [ErrNotFound].
// For the secret and the other errors see [Manager.CreateTx].
//
// A token has one successor at a time, however often it is rotated, by however many processes:
// while the successor lives, another rotation is a [*RotatedError]. Once the successor has ended,
// because it was revoked, has expired, or was itself rotated without a grace, the token may be
// rotated again, within what is left of its own grace.
//
// So a program that died before it kept the new secret, or that does not know whether its
// commit happened, has two ways to another one. It revokes the successor, whose secret nobody
// has, and rotates the old token again while that lives. Or it rotates the successor, which takes
// no secret: [RotatedError] names it, and its Replaces is the old token's ID.
func (m *Manager) RotateTx(ctx context.Context, tx *store.Tx, by audit.Actor, r Rotation) (credential.Secret, Token, error) {
	secret, fresh, err := m.rotate(ctx, tx, by, r)
	return made("rotate", secret, fresh, err)
}

func (m *Manager) rotate(ctx context.Context, tx *store.Tx, by audit.Actor, r Rotation) (credential.Secret, Token, error) {
	fail := func(err error) (credential.Secret, Token, error) { return credential.Secret{}, Token{}, err }
	if r.Grace < 0 || r.Grace > MaxGrace {
		return fail(wrong("grace", "must be between nothing and %d days", days(MaxGrace)))
	}
	old, sub, err := m.open(ctx, tx, r.User, r.ID)
	if err != nil {
		return fail(err)
	}
	if sub.Disabled {
		return fail(ErrDisabled)
	}
	if err := m.succeeded(ctx, tx, old); err != nil {
		return fail(err)
	}
	now := m.instant()
	secret := credential.New(credential.PrefixToken)
	fresh, err := m.successor(old, r, secret, now)
	if err != nil {
		return fail(err)
	}
	fresh.CreatedBy = by.Credential

	ends := []int64{fresh.Expires.UnixMicro()}
	until := min(old.Expires, now.Add(r.Grace).UnixMicro())
	if until > now.UnixMicro() {
		ends = append(ends, until)
		_, err = tokens.Update(ctx, tx, r.ID, func(o *record) error {
			o.Life, o.Expires, o.ReplacedBy = o.life().Microseconds(), until, fresh.ID
			return nil
		})
	} else if err = m.remove(ctx, tx, r.ID); err == nil {
		err = m.tell(ctx, tx, by, ended(old, "rotated"))
	}
	if err != nil {
		return fail(err)
	}
	if err := m.recount(ctx, tx, sub, now, []int64{old.Expires}, ends); err != nil {
		return fail(err)
	}
	if err := tokens.Insert(ctx, tx, recordOf(fresh)); err != nil {
		return fail(err)
	}
	return secret, fresh, m.tell(ctx, tx, by, created(fresh))
}

// Rotatable returns the user's live token with this ID, or the error by which Rotate would refuse
// it, before a password or a second factor is spent on the rotation: [ErrNotFound] or a
// [*RotatedError].
func (m *Manager) Rotatable(ctx context.Context, user protocol.UserID, id string) (Token, error) {
	r, err := m.get(ctx, m.store, user, id)
	if err == nil {
		err = m.succeeded(ctx, m.store, r)
	}
	if err != nil {
		return Token{}, outward("look up", err)
	}
	return r.token(), nil
}

// succeeded returns a RotatedError if the successor of t lives.
func (m *Manager) succeeded(ctx context.Context, r store.Reader, t *record) error {
	if t.ReplacedBy == "" {
		return nil
	}
	switch _, err := m.get(ctx, r, t.User, t.ReplacedBy); {
	case err == nil:
		return &RotatedError{Successor: t.ReplacedBy}
	case errors.Is(err, store.ErrNotFound):
		return nil
	default:
		return err
	}
}

// successor returns the token that replaces o.
func (m *Manager) successor(o *record, r Rotation, secret credential.Secret, now time.Time) (Token, error) {
	old := o.token()
	spec := Spec{
		User: old.User, Name: old.Name, Description: old.Description, Grants: old.Grants, Bypass: old.Bypass, CIDRs: old.CIDRs,
		Days: r.Days, Until: r.Until, Service: r.Service,
	}
	if r.Days == 0 && r.Until.IsZero() {
		spec.Until = now.Add(o.life())
	}
	// What was allowed when old was created may not be allowed now: then it is not renewed.
	expires, err := m.check(spec, now)
	if err != nil {
		return Token{}, err
	}
	next := old.clone()
	next.named(secret)
	next.Created, next.Expires, next.Replaces, next.ReplacedBy = now, expires, old.ID, ""
	return next, nil
}
