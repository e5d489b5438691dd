package twofactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A factor is the active second factor of a user.
type factor struct {
	User      protocol.UserID     `json:"user"`
	Enrolment string              `json:"enrolment"` // random: records of reuse and challenges end with their enrolment
	Key       []byte              `json:"key"`       // of the app; none: there are only security keys
	Step      int64               `json:"step"`      // the highest that was accepted; only grows
	Recovery  []credential.Digest `json:"recovery"`
	Since     time.Time           `json:"since"`
}

var factors = store.NewTable("twofactor", 1, func(f *factor) string { return string(f.User) })

// Key returns the store key of the record that says whether user has a second factor, for a cache
// that is to drop what it has when the record changes.
func Key(user protocol.UserID) string { return factors.Key(string(user)) }

// UserOf returns the user whose record has this key, and false for any other key.
func UserOf(key string) (protocol.UserID, bool) {
	id, ok := factors.ID(key)
	return protocol.UserID(id), ok
}

// factorOf returns the factor of user, or ErrNoFactor.
func factorOf(ctx context.Context, r store.Reader, user protocol.UserID) (*factor, error) {
	f, err := found(factors.Get(ctx, r, string(user)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("twofactor: factor: %w", err)
	case f == nil:
		return nil, ErrNoFactor
	case f.User != user || f.Enrolment == "":
		return nil, errors.New("twofactor: factor: record of another account")
	}
	return f, nil
}

// A Status is the public state of an account's second factor. It has no secret.
type Status struct {
	Enabled      bool
	App          bool                   // an authenticator app is enrolled
	Keys         bool                   // there is a security key, and the registry has them
	KeysOnly     bool                   // nothing but a key counts, and recovery codes to repair the account
	Pending      bool                   // an enrolment waits for its first code
	PendingMode  protocol.TwoFactorMode // the mode of the waiting enrolment; TwoFactorUnknown without one
	Locked       bool                   // too many wrong TOTP codes, see ErrLocked
	RecoveryLeft int                    // unused recovery codes
}

// Status returns the state of user's second factor, read from r. A nil r means the Manager's own
// store. For an account without a factor it is the zero Status. What needs the factor is in package
// subject.
func (m *Manager) Status(ctx context.Context, r store.Reader, user protocol.UserID) (Status, error) {
	if user == "" {
		return Status{}, fmt.Errorf("twofactor: status: %w", subject.ErrNoUser)
	}
	keys := append([]string{factors.Key(string(user)), enrolments.Key(string(user)), failed.Key(string(user))}, subject.Keys(user)...)
	items, err := store.ReaderOr(r, m.store).Get(ctx, keys...)
	if err != nil {
		return Status{}, fmt.Errorf("twofactor: status: %w", err)
	}
	f, err := found(factors.Decode(items[0]))
	if err != nil {
		return Status{}, fmt.Errorf("twofactor: status: %w", err)
	}
	e, err := found(enrolments.Decode(items[1]))
	if err != nil {
		return Status{}, fmt.Errorf("twofactor: status: %w", err)
	}
	n, err := found(failed.Decode(items[2]))
	if err != nil {
		return Status{}, fmt.Errorf("twofactor: status: %w", err)
	}
	sub, err := subject.Decode(user, items[3:])
	if err != nil {
		return Status{}, fmt.Errorf("twofactor: status: %w", err)
	}
	var s Status
	if f != nil {
		s.Enabled, s.RecoveryLeft = true, len(f.Recovery)
		s.App, s.Keys, s.KeysOnly = len(f.Key) > 0, sub.Keys && m.devices != nil, sub.KeysOnly
		s.Locked = n != nil && n.TOTP >= m.hard
	}
	if e.open(m.now()) {
		s.Pending, s.PendingMode = true, e.Mode
	}
	return s, nil
}

// Disable is [Manager.DisableTx] in a commit of its own.
func (m *Manager) Disable(ctx context.Context, by audit.Actor, user protocol.UserID) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error { return m.DisableTx(ctx, tx, by, user) })
}

// DisableTx removes the second factor of user, app and security keys, the recovery codes and a waiting
// enrolment, and unlocks a locked factor, as part of the caller's commit. If there is none of them it returns
// ErrNoFactor. Records of reuse and challenges of the factor end. The caller decides who may do this.
//
// If by is not user, somebody else vouched for them, such as an operator: a factor that is removed
// then is a recovery of the account, and [subject.Recover] is part of the commit.
func (m *Manager) DisableTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID) error {
	active, err := removed(factors.Delete(ctx, tx, string(user)))
	if err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	waiting, err := removed(enrolments.Delete(ctx, tx, string(user)))
	if err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	if _, err := removed(failed.Delete(ctx, tx, string(user))); err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	if !active {
		if !waiting {
			// Another node may have removed it: an observer of the store learns that from this
			// read.
			if keys := subject.Keys(user); store.ValidateKeys(keys...) == nil {
				if _, err := tx.Get(ctx, keys...); err != nil {
					return fmt.Errorf("twofactor: disable: %w", err)
				}
			}
			return ErrNoFactor
		}
		return m.events.Commit(ctx, tx, audit.Event{Time: m.now(), Type: audit.FactorForgotten, Outcome: audit.Done, User: user}.From(by))
	}
	if err := m.removeKeys(ctx, tx, user); err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	if err := subject.SetTwoFactor(ctx, tx, user, protocol.TwoFactorOff); err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	if err := m.recovered(ctx, tx, by, user, "factor-removed"); err != nil {
		return fmt.Errorf("twofactor: disable: %w", err)
	}
	return m.events.Commit(ctx, tx, audit.Event{Time: m.now(), Type: audit.FactorDisabled, Outcome: audit.Done, User: user}.From(by))
}

// recovered records that the account was recovered, if it is somebody else who changes its factors.
func (m *Manager) recovered(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, reason string) error {
	if by.User == user {
		return nil
	}
	if err := subject.Recover(ctx, tx, user, m.now()); err != nil {
		return err
	}
	e := audit.Event{Time: m.now(), Type: audit.AccountRecovered, Outcome: audit.Done, User: user, Reasons: []string{reason}}
	return m.events.Commit(ctx, tx, e.From(by))
}

// SetModeTx sets what needs the factor of user, in the caller's commit. An account without a
// factor is ErrNoFactor.
func (m *Manager) SetModeTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, mode protocol.TwoFactorMode) error {
	if mode != protocol.AuthOnly && mode != protocol.AuthAndWrites {
		return errMode
	}
	if _, err := factorOf(ctx, tx, user); err != nil {
		return err
	}
	if err := subject.SetTwoFactor(ctx, tx, user, mode); err != nil {
		return fmt.Errorf("twofactor: set mode: %w", err)
	}
	return m.events.Commit(ctx, tx, audit.Event{
		Time: m.now(), Type: audit.FactorMode, Outcome: audit.Done, User: user, Detail: map[string]string{"mode": mode.String()},
	}.From(by))
}

// SetTx does, in the caller's commit, what npm profile enable-2fa and disable-2fa send: mode off
// is [Manager.DisableTx], an account with a factor gets [Manager.SetModeTx], and any other is
// enrolled by [Manager.EnrolTx], under label, whose URI it returns. The URI is the zero Secret
// otherwise.
func (m *Manager) SetTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, label string, mode protocol.TwoFactorMode) (uri credential.Secret, err error) {
	if mode == protocol.TwoFactorOff {
		return uri, m.DisableTx(ctx, tx, by, user)
	}
	switch _, err := factorOf(ctx, tx, user); {
	case errors.Is(err, ErrNoFactor):
		return m.EnrolTx(ctx, tx, by, user, label, mode)
	case err != nil:
		return uri, err
	}
	return uri, m.SetModeTx(ctx, tx, by, user, mode)
}

var errMode = errors.New("twofactor: the mode is neither auth-only nor auth-and-writes")

// removed reports whether a deletion found its record.
func removed(err error) (bool, error) {
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
