package twofactor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// defaultAttemptTTL is how long an attempt may wait to be spent. Its value is verified for the
// time at which it arrived, so that a right code stays valid during a slow upload.
const defaultAttemptTTL = time.Hour

// An Attempt is the counted right to verify one value once. [Manager.Begin] and [Manager.BeginFor]
// return one. It has no state of its own: the commit in which it is spent ensures that it is spent
// once.
type Attempt struct {
	m       *Manager
	user    protocol.UserID
	use     Use
	form    Form
	value   credential.Secret // in its canonical spelling
	at      time.Time
	keys    keys
	key     string // the ID of the security key that has signed, once it is verified
	counted bool   // or right; false where it was a reuse when it began
}

var errAttempt = errors.New("twofactor: not an attempt of Begin")

// Begin counts an attempt of user to verify value, in a commit of its own, and returns the Attempt.
// It does not count a value that may be presented once more, nor a code that the factor would
// accept now; neither is used up. Errors are ErrWrong for a value that has no valid form or one
// that is not issued (neither is counted, since nothing is compared), ErrNoFactor, ErrLocked and
// ErrTooMany.
//
// The caller must have verified the primary credential, and know that the policy accepts what
// value can prove, see [FormOf].
func (m *Manager) Begin(ctx context.Context, user protocol.UserID, use Use, value credential.Secret) (*Attempt, error) {
	a, err := m.attempt(ctx, user, use, value)
	if err != nil {
		return nil, err
	}
	leave, err := a.Wait(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := a.begin(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Wait waits until no other request of the attempt's user on this node is between Wait and leave,
// which must be called once. Clients such as lerna spend one code in many parallel requests, and
// their commits would conflict; a program that does not call it is slower and as safe.
func (a *Attempt) Wait(ctx context.Context) (leave func(), err error) {
	if a == nil || a.m == nil {
		return nil, errAttempt
	}
	if leave, err = a.m.locks.Lock(ctx, a.user); err != nil {
		return nil, fmt.Errorf("twofactor: wait: %w", err)
	}
	return leave, nil
}

// attempt checks what can be checked of a value before it is counted: a value without a valid
// form is refused before anything is read.
func (m *Manager) attempt(ctx context.Context, user protocol.UserID, use Use, value credential.Secret) (*Attempt, error) {
	if err := use.begins(); err != nil {
		return nil, err
	}
	if user == "" {
		return nil, errors.New("twofactor: begin: user must not be empty")
	}
	form, text := parse(value.Reveal())
	if form.Proof() == policy.NoProof {
		return nil, wrong(reasonForm)
	}
	k, err := m.keys(ctx)
	if err != nil {
		return nil, err
	}
	at := m.now()
	if !use.At.IsZero() {
		at = use.At.UTC().Truncate(time.Microsecond)
	}
	return &Attempt{m: m, user: user, use: use, form: form, value: credential.NewSecret(text), at: at, keys: k}, nil
}

// begin reserves the attempt and records a refusal.
func (a *Attempt) begin(ctx context.Context) error {
	err := store.Transact(ctx, a.m.store, func(tx *store.Tx) error {
		if err := a.read(ctx, tx); err != nil {
			return err
		}
		a.counted = false
		switch r, err := a.reuse(ctx, tx, a.use); {
		case err != nil:
			return err
		case r != nil:
			return nil
		}
		a.counted = true
		return a.reserve(ctx, tx)
	})
	if err == nil {
		return nil
	}
	a.m.events.Record(ctx, a.event(ctx, err))
	return fmt.Errorf("twofactor: begin: %w", err)
}

// Proof returns what the attempt proves if it is spent.
func (a *Attempt) Proof() policy.Proof {
	if a == nil {
		return policy.NoProof
	}
	return a.form.Proof()
}

// Spend verifies the value and uses it up as part of the caller's commit: if the commit does not
// happen, the value stays unspent and the attempt counted. use is the Use that was given to Begin,
// with the Change if it was not known then, and for a sign-in with the session that the same commit
// creates as its Credential. Spend may be called once more when the commit is retried, and must be
// called less than [Config].AttemptTTL after the value arrived. A value that is not accepted is
// [ErrWrong]. The event is recorded after the commit.
func (a *Attempt) Spend(ctx context.Context, tx *store.Tx, use Use) error {
	if a == nil || a.m == nil {
		return errAttempt
	}
	if err := a.use.continues(use); err != nil {
		return err
	}
	err := a.spend(ctx, tx, use)
	if err != nil {
		a.m.events.Outcome(ctx, tx, func(store.Outcome) (audit.Event, bool) { return a.event(ctx, err), true })
	}
	return err
}

func (a *Attempt) spend(ctx context.Context, tx *store.Tx, use Use) error {
	if a.m.late(a.at) {
		return wrong(reasonExpired)
	}
	if err := a.read(ctx, tx); err != nil {
		return err
	}
	// Another node may have spent the same value for the same client since the attempt began.
	switch r, err := a.reuse(ctx, tx, use); {
	case err != nil:
		return err
	case r != nil:
		if err := r.take(ctx, tx, use); err != nil {
			return err
		}
		e := a.event(ctx, nil)
		e.Detail["reused"] = "true"
		return a.m.events.Commit(ctx, tx, e)
	case !a.counted:
		return a.used(ctx, tx)
	}
	s, err := a.verify(ctx, tx, use)
	if err != nil {
		return err
	}
	if err := a.leaveReuse(ctx, tx, use, s); err != nil {
		return err
	}
	e := a.event(ctx, nil)
	if a.form == FormRecovery {
		e.Detail["left"] = strconv.Itoa(s.left)
	}
	return a.m.events.Commit(ctx, tx, e)
}

// used returns the error for a value that could be presented once more when the attempt began, and
// cannot any more.
func (a *Attempt) used(ctx context.Context, tx *store.Tx) error {
	if a.form != FormTOTP {
		return usedValue(a.form)
	}
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return err
	}
	return usedCode(f.Step, f.Step)
}

// late reports whether a value that arrived at that time can no longer be spent. It compares
// the absolute value, so that a clock that was set back prolongs nothing.
func (m *Manager) late(at time.Time) bool { return m.now().Sub(at).Abs() >= m.attemptTTL }

// spent is the result of verifying a value.
type spent struct {
	enrolment string
	step      int64 // of a TOTP code
	left      int   // recovery codes, after one of them
}

// verify spends the value on use, and does not leave a record of reuse.
func (a *Attempt) verify(ctx context.Context, tx *store.Tx, use Use) (spent, error) {
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return spent{}, err
	}
	s := spent{enrolment: f.Enrolment}
	switch a.form {
	case FormTOTP:
		if len(f.Key) == 0 { // the app was removed since
			return spent{}, wrong(reasonWrong)
		}
		s.step, err = accept(f.Key, a.value.Reveal(), a.at, f.Step)
		if err == nil {
			_, err = factors.Update(ctx, tx, string(a.user), func(f *factor) error {
				f.Step = s.step
				return nil
			})
		}
	case FormRecovery:
		s.left = len(f.Recovery) - 1
		if err = spendRecovery(ctx, tx, f, a.value); err == nil {
			err = subject.Recover(ctx, tx, a.user, a.m.now())
		}
	case FormTyped, FormWeb, FormWebKey:
		err = a.spendChallenge(ctx, tx, f, use)
	case FormKey:
		err = a.verifyKey(ctx, tx, use)
	default:
		err = wrong(reasonForm)
	}
	if err != nil {
		return spent{}, err
	}
	return s, a.succeeded(ctx, tx)
}

// event returns the event of the attempt's end: err is why it was refused, nil if it was spent.
func (a *Attempt) event(ctx context.Context, err error) audit.Event {
	e := audit.Event{
		Time: a.m.now(), Type: audit.FactorUsed, Outcome: audit.Done, User: a.user, By: a.user,
		Credential: a.use.Credential, ByCredential: a.use.Credential, Addr: a.use.Addr, Action: a.use.Action, Package: a.use.Package,
		Detail: map[string]string{"form": a.form.String()},
	}
	if a.key != "" {
		e.Detail["key"] = a.key
	}
	if _, ok := errors.AsType[*UsedError](err); ok {
		e.Type, e.Outcome, e.Reasons = audit.FactorReplayed, audit.Denied, []string{"replayed"}
	} else if r, ok := errors.AsType[*refusal](err); ok {
		e.Outcome, e.Reasons = audit.Denied, []string{r.reason}
		if r.owner != "" {
			e.Detail["owner"] = string(r.owner)
		}
	} else if errors.Is(err, ErrLocked) {
		e.Type, e.Outcome, e.Reasons = audit.FactorLocked, audit.Denied, []string{"locked"}
	} else if errors.Is(err, ErrTooMany) {
		e.Type, e.Outcome, e.Reasons = audit.FactorLocked, audit.Denied, []string{"too-many"}
	} else if errors.Is(err, ErrNoFactor) {
		e.Outcome, e.Reasons = audit.Denied, []string{"no-factor"}
	} else if errors.Is(err, ErrCopied) {
		e.Outcome, e.Reasons = audit.Denied, []string{reasonCopied}
	} else if errors.Is(err, ErrWrong) {
		e.Outcome, e.Reasons = audit.Denied, []string{reasonWrong}
	} else if err != nil {
		if e.Outcome = audit.Failure(ctx, err); e.Outcome == audit.Failed {
			e.Reasons = []string{"failed"}
		}
	} else if a.form == FormRecovery {
		e.Type = audit.RecoveryUsed
	}
	return e
}

// Prove verifies value for a use that needs no other change, in a commit of its own: it is
// [Manager.Begin] and [Attempt.Spend]. It is not for a sign-in, which has a commit of its own.
func (m *Manager) Prove(ctx context.Context, user protocol.UserID, use Use, value credential.Secret) (policy.Proof, error) {
	if use.Credential == "" || use.Change.IsZero() {
		return policy.NoProof, errUse
	}
	a, err := m.attempt(ctx, user, use, value)
	if err != nil {
		return policy.NoProof, err
	}
	leave, err := a.Wait(ctx)
	if err != nil {
		return policy.NoProof, err
	}
	defer leave()
	if err := a.begin(ctx); err != nil {
		return policy.NoProof, err
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error { return a.Spend(ctx, tx, use) })
	if err != nil {
		return policy.NoProof, fmt.Errorf("twofactor: prove: %w", err)
	}
	return a.Proof(), nil
}
