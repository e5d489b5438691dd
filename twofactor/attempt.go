package twofactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// attemptLife is how long an attempt may wait to be spent. It is judged by the
// time at which it began, so one that waits would prolong its code.
const attemptLife = time.Minute

// An Attempt is the reserved right to verify one value once. Only
// [Manager.Begin] makes one, so none is free. It holds no state of its own: what
// makes it single is the commit in which it is spent.
type Attempt struct {
	m     *Manager
	user  policy.UserID
	use   Use
	form  Form
	value credential.Secret // in its canonical spelling
	at    time.Time
	keys  keys
}

var errAttempt = errors.New("twofactor: not an attempt of Begin")

// Begin counts an attempt of user to prove itself with value, in a commit of its
// own, and returns what verifies it. Nothing is known about the value yet but its
// form. Errors are ErrWrong for a value that has no form or one that is not issued
// (which count as nothing, since nothing is compared), ErrNoFactor, ErrLocked and
// ErrTooMany.
//
// The caller must have verified the primary credential, and know that the policy
// accepts what value can prove, see [FormOf].
func (m *Manager) Begin(ctx context.Context, user policy.UserID, use Use, value credential.Secret) (*Attempt, error) {
	a, err := m.attempt(ctx, user, use, value)
	if err != nil {
		return nil, err
	}
	leave, err := m.lanes.enter(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("twofactor: begin: %w", err)
	}
	defer leave()
	if err := a.begin(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// attempt checks what can be checked of a value before it is counted: what has no form
// is refused before anything is read.
func (m *Manager) attempt(ctx context.Context, user policy.UserID, use Use, value credential.Secret) (*Attempt, error) {
	if err := use.check(); err != nil {
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
	return &Attempt{m: m, user: user, use: use, form: form, value: credential.NewSecret(text), at: m.now(), keys: k}, nil
}

// begin reserves the attempt and records a refusal.
func (a *Attempt) begin(ctx context.Context) error {
	err := a.reserve(ctx)
	if err == nil {
		return nil
	}
	a.Report(ctx, err)
	return fmt.Errorf("twofactor: begin: %w", err)
}

// Proof returns what the attempt proves if it is spent.
func (a *Attempt) Proof() policy.Proof {
	if a == nil {
		return policy.NoProof
	}
	return a.form.Proof()
}

// Spend verifies the value and uses it up as part of the caller's commit: if that
// does not happen, the value stays unspent and the attempt counted. credentialID
// is whom the grant is left for: the credential that presented the value or, with
// ClassLogin, the session that the same commit opens. It may be called again when
// the commit is retried, and must be called within a minute of Begin. A value that
// proves nothing is ErrWrong.
func (a *Attempt) Spend(ctx context.Context, tx *store.Tx, credentialID string) error {
	if a == nil || a.m == nil {
		return errAttempt
	}
	if a.use.Class != policy.ClassLogin && credentialID != a.use.Credential {
		return errUse
	}
	s, err := a.verify(ctx, tx)
	if err != nil {
		return err
	}
	return a.leaveGrant(ctx, tx, credentialID, s)
}

// spent is what was learned by verifying.
type spent struct {
	enrolment string
	step      int64 // of a TOTP code
}

// verify spends the value and leaves no grant.
func (a *Attempt) verify(ctx context.Context, tx *store.Tx) (spent, error) {
	if a.m.now().Sub(a.at).Abs() > attemptLife {
		return spent{}, wrong(reasonExpired)
	}
	if err := a.read(ctx, tx); err != nil {
		return spent{}, err
	}
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return spent{}, err
	}
	s := spent{enrolment: f.Enrolment}
	switch a.form {
	case FormTOTP:
		s.step, err = accept(f.Key, a.value.Reveal(), a.at, f.Step)
		if err == nil {
			_, err = factors.Update(ctx, tx, string(a.user), func(f *factor) error {
				f.Step = s.step
				return nil
			})
		}
	case FormRecovery:
		if err = spendRecovery(ctx, tx, f, a.value); err == nil {
			err = a.m.recovered(ctx, tx, a.user)
		}
	case FormTyped, FormWeb:
		err = a.spendChallenge(ctx, tx, f)
	default:
		err = wrong(reasonForm)
	}
	if err != nil {
		return spent{}, err
	}
	return s, a.succeeded(ctx, tx)
}

// Report records how the attempt ended: err is what the commit with Spend in it
// returned. Prove reports by itself; a caller of Begin should call Report after
// its commit.
func (a *Attempt) Report(ctx context.Context, err error) {
	if a == nil || a.m == nil {
		return
	}
	e := audit.Event{
		Time: a.m.now(), Type: audit.FactorUsed, Outcome: audit.Done, User: a.user,
		Credential: a.use.Credential, Package: a.use.Package,
		Detail: map[string]string{"form": a.form.String(), "class": a.use.Class.String()},
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		e.Outcome, e.Reasons = audit.Denied, []string{r.reason}
		if r.reason == reasonReplayed {
			e.Type = audit.FactorReplayed
		}
		if r.owner != "" {
			e.Detail["owner"] = string(r.owner)
		}
	} else if errors.Is(err, ErrLocked) {
		e.Type, e.Outcome, e.Reasons = audit.FactorLocked, audit.Denied, []string{"locked"}
	} else if errors.Is(err, ErrTooMany) {
		e.Type, e.Outcome, e.Reasons = audit.FactorLocked, audit.Denied, []string{"too-many"}
	} else if errors.Is(err, ErrNoFactor) {
		e.Outcome, e.Reasons = audit.Denied, []string{"no-factor"}
	} else if err != nil {
		e.Outcome, e.Reasons = audit.Failed, []string{"failed"}
	} else if a.form == FormRecovery {
		e.Type = audit.RecoveryUsed
	}
	a.m.record(ctx, e)
}

// Prove verifies value for a use that needs no other change: if the credential
// presents it again and a grant covers that, the grant; otherwise an attempt that
// is spent in a commit of its own. Not for a sign-in, which owns its commit. The
// errors are those of [Manager.Begin] and [Attempt.Spend].
func (m *Manager) Prove(ctx context.Context, user policy.UserID, use Use, value credential.Secret) (policy.Proof, error) {
	a, err := m.attempt(ctx, user, use, value)
	if err != nil {
		return policy.NoProof, err
	}
	if use.Credential == "" {
		return policy.NoProof, errUse
	}
	leave, err := m.lanes.enter(ctx, user)
	if err != nil {
		return policy.NoProof, fmt.Errorf("twofactor: prove: %w", err)
	}
	defer leave()

	// Before an attempt is counted: what a grant covers is no guess.
	var again bool
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		again, err = a.useGrant(ctx, tx)
		return err
	})
	if err != nil {
		return policy.NoProof, fmt.Errorf("twofactor: prove: %w", err)
	}
	if again {
		return a.Proof(), nil
	}
	if err := a.begin(ctx); err != nil {
		return policy.NoProof, err
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		// Another node may have spent the same value for the same client since.
		if again, err := a.useGrant(ctx, tx); again || err != nil {
			return err
		}
		return a.Spend(ctx, tx, use.Credential)
	})
	a.Report(ctx, err)
	if err != nil {
		return policy.NoProof, fmt.Errorf("twofactor: prove: %w", err)
	}
	return a.Proof(), nil
}
