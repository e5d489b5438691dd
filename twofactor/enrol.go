package twofactor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

const (
	enrolmentTTL   = 10 * time.Minute
	enrolmentTries = 10
	maxLabel       = 256 // bytes
)

// An enrolment is a TOTP key that was shown and is not yet confirmed.
type enrolment struct {
	User    protocol.UserID        `json:"user"`
	Key     []byte                 `json:"key"`
	Mode    protocol.TwoFactorMode `json:"mode"`
	Expires time.Time              `json:"expires"`
	Tries   int                    `json:"tries"` // reserved before they are verified
}

var enrolments = store.NewTable("twofactor-enrolment", 1, func(e *enrolment) string { return string(e.User) }).
	Expiring(func(e *enrolment) time.Time { return e.Expires })

// open reports whether e can still be confirmed.
func (e *enrolment) open(now time.Time) bool {
	return e != nil && e.Tries < enrolmentTries && now.Before(e.Expires)
}

// Enrol is [Manager.EnrolTx] in a commit of its own. The factor counts only after
// [Manager.Confirm].
func (m *Manager) Enrol(ctx context.Context, by audit.Actor, user protocol.UserID, label string, mode protocol.TwoFactorMode) (uri credential.Secret, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		uri, err = m.EnrolTx(ctx, tx, by, user, label, mode)
		return err
	})
	if err != nil {
		return credential.Secret{}, err
	}
	return uri, nil
}

// EnrolTx creates, in the caller's commit, a TOTP key for user and returns the otpauth URI that
// shows it to an authenticator app under label, the user's name. The key counts only after
// [Manager.Confirm], for which there are ten minutes and ten tries; a second enrolment replaces
// the first. mode is what the account will need the factor for. An account that has a factor
// gets ErrEnrolled: it must disable the factor first, which needs a proof. One that has security keys
// and no app gets one besides, and new recovery codes. With [Config].NoApps it is ErrNoApps.
func (m *Manager) EnrolTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, label string, mode protocol.TwoFactorMode) (credential.Secret, error) {
	if mode != protocol.AuthOnly && mode != protocol.AuthAndWrites {
		return credential.Secret{}, errMode
	}
	if m.noApps {
		return credential.Secret{}, ErrNoApps
	}
	if user == "" || label == "" || len(label) > maxLabel {
		return credential.Secret{}, fmt.Errorf("twofactor: enrol: user must not be empty and label have 1 to %d bytes", maxLabel)
	}
	key := make([]byte, keySize)
	rand.Read(key)
	now := m.now()
	err := absent(ctx, tx, user)
	if err == nil {
		_, err = enrolments.Upsert(ctx, tx, string(user), func(e *enrolment, _ bool) error {
			*e = enrolment{User: user, Key: key, Mode: mode, Expires: now.Add(enrolmentTTL)}
			return nil
		})
	}
	if err != nil {
		return credential.Secret{}, fmt.Errorf("twofactor: enrol: %w", err)
	}
	err = m.events.Commit(ctx, tx, audit.Event{Time: now, Type: audit.FactorPending, Outcome: audit.Done, User: user}.From(by))
	if err != nil {
		return credential.Secret{}, err
	}
	return credential.NewSecret(keyURI(m.issuer, label, key)), nil
}

func newEnrolment() string { return rand.Text() }

// absent returns ErrEnrolled if user has an app. It reads the waiting enrolment at the same moment: a
// confirmation puts the one in the place of the other.
func absent(ctx context.Context, tx *store.Tx, user protocol.UserID) error {
	if _, err := tx.Get(ctx, factors.Key(string(user)), enrolments.Key(string(user))); err != nil {
		return err
	}
	switch f, err := factorOf(ctx, tx, user); {
	case errors.Is(err, ErrNoFactor):
		return nil
	case err != nil:
		return err
	case len(f.Key) == 0:
		return nil
	}
	return ErrEnrolled
}

// A Confirmation is a counted try to confirm an enrolment. [Manager.BeginConfirm] makes it, and
// [Confirmation.Apply] commits it.
type Confirmation struct {
	m    *Manager
	user protocol.UserID
	code string
	at   time.Time

	key       []byte // of the enrolment that the try was counted for
	enrolment string // of the factor that will be created
	codes     []credential.Secret
	digests   []credential.Digest
}

// Confirm is [Manager.BeginConfirm] and [Confirmation.Apply], in commits of their own. It returns
// the recovery codes.
func (m *Manager) Confirm(ctx context.Context, by audit.Actor, user protocol.UserID, code credential.Secret) (codes []credential.Secret, err error) {
	c, err := m.BeginConfirm(ctx, user, code, time.Time{})
	if err != nil {
		return nil, err
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		codes, err = c.Apply(ctx, tx, by)
		return err
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// BeginConfirm counts, in a commit of its own, a try of user to confirm the waiting enrolment
// with a code that arrived at a time; zero means now. Errors are ErrWrong for text that is no
// code, ErrNoFactor if no enrolment waits or it was tried too often, and ErrEnrolled if the
// account has a factor already.
func (m *Manager) BeginConfirm(ctx context.Context, user protocol.UserID, code credential.Secret, at time.Time) (*Confirmation, error) {
	form, text := parse(code.Reveal())
	if user == "" || form != FormTOTP {
		return nil, wrong(reasonForm)
	}
	c := &Confirmation{m: m, user: user, code: text, at: m.now(), enrolment: newEnrolment()}
	if !at.IsZero() {
		c.at = at.UTC().Truncate(time.Microsecond)
	}
	c.codes, c.digests = newRecoveryCodes(m.limits().OrNPM().RecoveryCodes)
	unlock, err := m.locks.Lock(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("twofactor: confirm: %w", err)
	}
	defer unlock()
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := absent(ctx, tx, user); err != nil {
			return err
		}
		_, err := enrolments.Update(ctx, tx, string(user), func(e *enrolment) error {
			if !e.open(c.at) {
				return ErrNoFactor
			}
			c.key = e.Key
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
	return c, nil
}

// Apply activates the enrolment in the caller's commit and returns the recovery codes, which
// are shown only once. The code counts as used. All sessions of the user end, since they were
// opened without the factor, unless the account had security keys: the caller rewrites one that must survive in the same commit, see
// [subject.Revoke]. A wrong code is ErrWrong and the enrolment stays; ErrNoFactor and
// ErrEnrolled are as for BeginConfirm. By anybody but the user it is a recovery of the account, as
// [Manager.AddKeyTx] is.
func (c *Confirmation) Apply(ctx context.Context, tx *store.Tx, by audit.Actor) ([]credential.Secret, error) {
	if c == nil || c.m == nil {
		return nil, errors.New("twofactor: not a confirmation of BeginConfirm")
	}
	mode, err := c.apply(ctx, tx)
	if err == nil {
		err = c.m.recovered(ctx, tx, by, c.user, "factor-added")
	}
	e := audit.Event{Time: c.m.now(), Type: audit.FactorEnrolled, Outcome: audit.Done, User: c.user}.From(by)
	if err != nil {
		c.m.events.Outcome(ctx, tx, func(store.Outcome) (audit.Event, bool) {
			r, ok := errors.AsType[*refusal](err)
			if ok {
				e.Outcome, e.Reasons = audit.Denied, []string{r.reason}
			}
			return e, ok
		})
		return nil, fmt.Errorf("twofactor: confirm: %w", err)
	}
	e.Detail = map[string]string{"mode": mode.String()}
	return c.codes, c.m.events.Commit(ctx, tx, e)
}

func (c *Confirmation) apply(ctx context.Context, tx *store.Tx) (mode protocol.TwoFactorMode, err error) {
	if err := absent(ctx, tx, c.user); err != nil {
		return mode, err
	}
	e, err := found(enrolments.Get(ctx, tx, string(c.user)))
	if err != nil {
		return mode, err
	}
	// The try was counted a moment ago, so it may be the last one. A newer enrolment has not
	// counted it.
	if e == nil || !bytes.Equal(e.Key, c.key) || e.Tries > enrolmentTries || !c.at.Before(e.Expires) || c.m.late(c.at) {
		return mode, ErrNoFactor
	}
	step, err := accept(e.Key, c.code, c.at, 0)
	if err != nil {
		return mode, err
	}
	first := false
	_, err = factors.Upsert(ctx, tx, string(c.user), func(f *factor, exists bool) error {
		if first = !exists; first {
			f.User, f.Since = c.user, c.m.now()
		}
		f.Enrolment, f.Key, f.Step, f.Recovery = c.enrolment, e.Key, step, c.digests
		return nil
	})
	if err != nil {
		return mode, err
	}
	if err := enrolments.Delete(ctx, tx, string(c.user)); err != nil {
		return mode, err
	}
	if err := subject.SetTwoFactor(ctx, tx, c.user, e.Mode); err != nil {
		return mode, err
	}
	if !first { // its sessions were opened with a factor
		return e.Mode, nil
	}
	_, err = subject.Revoke(ctx, tx, c.user, subject.Sessions, c.m.now())
	return e.Mode, err
}
