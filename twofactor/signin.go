package twofactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// errKeysOnly is for an account whose user wants only security keys to count.
var errKeysOnly = fmt.Errorf("%w: only a security key counts", ErrWrong)

// SignIn begins the check of the second factor of a sign-in whose password was right. It is a
// SecondFactor of package session:
//
//	sessions, err := session.New(session.Config{…, SecondFactor: factors.SignIn})
//
// An account without a second factor gets a nil Spend. For any other account SignIn counts an
// attempt, in a commit of its own, and the returned Spend uses up the value in the commit that
// creates the session. If the value is missing or wrong, if there were too many wrong ones, or if
// the factor is locked, the error of SignIn or of the Spend wraps [subject.ErrFactorRequired], and
// [ErrWrong], [ErrTooMany] or [ErrLocked] if there was a value. sub must have been read before the
// password was checked, and the commit must expect its Evidence.
func (m *Manager) SignIn(ctx context.Context, sub subject.Subject, f subject.Factor) (subject.Spend, error) {
	switch sub.TwoFactor {
	case protocol.TwoFactorOff:
		return nil, nil
	case protocol.AuthOnly, protocol.AuthAndWrites:
	default: // which no Subject of the store has
		return nil, fmt.Errorf("twofactor: sign in: the account's mode is %v", sub.TwoFactor)
	}
	if f.Value.IsZero() {
		return nil, subject.ErrFactorRequired
	}
	switch form := FormOf(f.Value.Reveal()); {
	case sub.KeysOnly && form != FormKey && form != FormRecovery:
		return nil, m.required(errKeysOnly)
	case form == FormKey && f.Page == "": // a login without a page has nothing that a key could sign for
		return nil, m.required(wrong(reasonForm))
	}
	use := Use{Action: protocol.Login, Carry: f.Carry, Page: f.Page, At: f.At, Addr: f.Addr}
	attempt, err := m.Begin(ctx, sub.ID, use, f.Value)
	if err != nil {
		return nil, m.signInError(err)
	}
	return func(ctx context.Context, tx *store.Tx, credentialID string) error {
		use := use
		use.Credential = credentialID
		return m.signInError(attempt.Spend(ctx, tx, use))
	}, nil
}

// signInError says of a refused value that the sign-in needs another one.
func (m *Manager) signInError(err error) error {
	if errors.Is(err, ErrTooMany) {
		return m.required(err)
	}
	return m.needed(err)
}

// Verifies reports whether the value of f is one that the account's second factor accepts now, and
// whether it is of a kind that can be guessed: the six digits of an app can, a recovery code cannot.
// It spends and counts nothing, so its caller bounds how often it is asked about guessable ones. It
// is the Verifies of package session.
func (m *Manager) Verifies(ctx context.Context, sub subject.Subject, f subject.Factor) (right, guessable bool, err error) {
	form, text := parse(f.Value.Reveal())
	switch form {
	case FormTOTP, FormRecovery:
	default: // of no value that a sign-in takes
		return false, false, nil
	}
	at := m.now()
	if !f.At.IsZero() && !m.late(f.At) {
		at = f.At
	}
	guessable = form == FormTOTP
	active, err := factorOf(ctx, m.store, sub.ID)
	switch {
	case errors.Is(err, ErrNoFactor):
		return false, guessable, nil
	case err != nil:
		return false, guessable, err
	}
	if sub.KeysOnly && guessable { // no code counts
		return false, guessable, nil
	}
	a := &Attempt{m: m, user: sub.ID, form: form, value: credential.NewSecret(text), at: at}
	return a.isRight(active), guessable, nil
}
