package twofactor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

const (
	enrolmentTTL   = 10 * time.Minute
	enrolmentTries = 10
	maxLabel       = 256 // bytes
)

// An enrolment is a TOTP key that was shown and not yet confirmed.
type enrolment struct {
	User    policy.UserID        `json:"user"`
	Key     []byte               `json:"key"`
	Mode    policy.TwoFactorMode `json:"mode"`
	Expires time.Time            `json:"expires"`
	Tries   int                  `json:"tries"` // reserved before they are verified
}

var enrolments = store.NewTable("twofactor-enrolment", 1, func(e *enrolment) string { return string(e.User) }).
	Expiring(func(e *enrolment) time.Time { return e.Expires })

// open reports whether e can still be confirmed.
func (e *enrolment) open(now time.Time) bool {
	return e != nil && e.Tries < enrolmentTries && now.Before(e.Expires)
}

// Enrol makes a TOTP key for user and returns the otpauth URI that shows it to an
// authenticator app under label, the user's name. The key counts only after
// [Manager.Confirm], for which there are ten minutes and ten tries; a second
// enrolment replaces the first. mode is what the factor will be asked for. An
// account that has a factor gets ErrEnrolled: it must be disabled first, which
// takes the factor.
func (m *Manager) Enrol(ctx context.Context, user policy.UserID, label string, mode policy.TwoFactorMode) (credential.Secret, error) {
	if mode != policy.AuthOnly && mode != policy.AuthAndWrites {
		return credential.Secret{}, errors.New("twofactor: enrol: mode is neither auth-only nor auth-and-writes")
	}
	if user == "" || label == "" || len(label) > maxLabel {
		return credential.Secret{}, fmt.Errorf("twofactor: enrol: user must not be empty and label have 1 to %d bytes", maxLabel)
	}
	key := make([]byte, keySize)
	rand.Read(key)
	now := m.now()
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := absent(ctx, tx, user); err != nil {
			return err
		}
		_, err := enrolments.Upsert(ctx, tx, string(user), func(e *enrolment, _ bool) error {
			*e = enrolment{User: user, Key: key, Mode: mode, Expires: now.Add(enrolmentTTL)}
			return nil
		})
		return err
	})
	if err != nil {
		return credential.Secret{}, fmt.Errorf("twofactor: enrol: %w", err)
	}
	m.record(ctx, audit.Event{Time: now, Type: audit.FactorPending, Outcome: audit.Done, User: user})
	return credential.NewSecret(keyURI(m.issuer, label, key)), nil
}

// absent returns ErrEnrolled if user has a factor.
func absent(ctx context.Context, r store.Reader, user policy.UserID) error {
	switch _, err := factorOf(ctx, r, user); {
	case errors.Is(err, ErrNoFactor):
		return nil
	case err != nil:
		return err
	}
	return ErrEnrolled
}

// Confirm activates the enrolment of user with its first code and returns five
// recovery codes, which are shown this once. The code counts as used. A wrong one
// is ErrWrong and the enrolment goes on; ErrNoFactor means that none waits or that
// it was tried too often, and ErrEnrolled that the account has a factor already.
func (m *Manager) Confirm(ctx context.Context, user policy.UserID, code credential.Secret) ([]credential.Secret, error) {
	form, text := parse(code.Reveal())
	if user == "" || form != FormTOTP {
		return nil, wrong(reasonForm)
	}
	leave, err := m.lanes.enter(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("twofactor: confirm: %w", err)
	}
	defer leave()

	now := m.now()
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := absent(ctx, tx, user); err != nil {
			return err
		}
		_, err := enrolments.Update(ctx, tx, string(user), func(e *enrolment) error {
			if !e.open(now) {
				return ErrNoFactor
			}
			e.Tries++
			return nil
		})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoFactor
	}
	if err != nil {
		return nil, fmt.Errorf("twofactor: confirm: %w", err)
	}

	codes, digests := newRecoveryCodes(m.codes)
	id := rand.Text()
	var mode policy.TwoFactorMode
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := absent(ctx, tx, user); err != nil {
			return err
		}
		e, err := found(enrolments.Get(ctx, tx, string(user)))
		if err != nil {
			return err
		}
		// The try was counted a moment ago, so it may be the last one.
		if e == nil || e.Tries > enrolmentTries || !now.Before(e.Expires) {
			return ErrNoFactor
		}
		step, err := accept(e.Key, text, now, 0)
		if err != nil {
			return err
		}
		f := &factor{User: user, Enrolment: id, Key: e.Key, Step: step, Recovery: digests, Since: now}
		if err := factors.Insert(ctx, tx, f); err != nil {
			return err
		}
		if err := enrolments.Delete(ctx, tx, string(user)); err != nil {
			return err
		}
		mode = e.Mode
		return m.setMode(ctx, tx, user, e.Mode)
	})
	if err != nil {
		return nil, fmt.Errorf("twofactor: confirm: %w", err)
	}
	m.record(ctx, audit.Event{
		Time: now, Type: audit.FactorEnrolled, Outcome: audit.Done, User: user,
		Detail: map[string]string{"mode": mode.String()},
	})
	return codes, nil
}
