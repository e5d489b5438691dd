package twofactor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/internal/cidr"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// triesKept is how long after the last attempt of a credential its attempts are forgotten. The
// account's failures, which they also count for, are not.
const triesKept = 15 * time.Minute

// A login has no credential that could end: from each network, a code waits for the wrong ones
// before it, twice as long after each, and they are kept for longer than that.
const (
	firstWait      = 30 * time.Second
	longestWait    = 15 * time.Minute
	loginTriesKept = 24 * time.Hour
)

// failures counts the attempts at each factor of a user since its last success.
// It is apart from the factor so that counting does not conflict with spending.
type failures struct {
	User     protocol.UserID `json:"user"`
	TOTP     int             `json:"totp"`
	Recovery int             `json:"recovery"` // of earlier versions
}

var failed = store.NewTable("twofactor-failures", 1, func(f *failures) string { return string(f.User) })

// of returns the counter of a form; nil for those that are too long to guess. If wrong recovery codes
// were counted, whoever has the password would lock the owner out for good.
func (f *failures) of(form Form) *int {
	switch form {
	case FormTOTP:
		return &f.TOTP
	default:
		return nil
	}
}

// tries are the values that one credential presented since its last success, or a network to log in.
type tries struct {
	ID      string    `json:"id"`
	Marks   []mark    `json:"marks"`
	Next    time.Time `json:"next,omitzero"` // of a login: the first instant at which one more is verified
	Expires time.Time `json:"expires"`
}

// count returns how many values of a form there were.
func (t *tries) count(form Form) (n int) {
	for _, mk := range t.Marks {
		if mk.Form == form {
			n++
		}
	}
	return n
}

// A mark identifies a value that was presented. For a TOTP code it has the step too, since the
// same code is a new guess half a minute later.
type mark struct {
	Form Form   `json:"form"`
	ID   string `json:"id"`
}

var tried = store.NewTable("twofactor-tries", 1, func(t *tries) string { return t.ID }).
	Expiring(func(t *tries) time.Time { return t.Expires })

func (a *Attempt) triesID() string {
	if a.logsIn() {
		return joined(string(a.user), "", cidr.Network(a.use.Addr).String())
	}
	return joined(string(a.user), a.use.Credential)
}

// logsIn reports whether the attempt is that of a login, which begins without a credential.
func (a *Attempt) logsIn() bool { return a.use.Credential == "" }

func (a *Attempt) mark() mark {
	parts := []string{a.triesID(), a.value.Reveal()}
	if a.form == FormTOTP {
		parts = append(parts, strconv.FormatInt(stepOf(a.at), 10))
	}
	return mark{a.form, joined(parts...)}
}

// Keys returns the keys of the rows that [Attempt.Spend] reads first: a caller that adds these
// keys to its own first [store.Tx.Get] saves a request. A nil Attempt reads none.
func (a *Attempt) Keys() []string {
	if a == nil || a.m == nil {
		return nil
	}
	user := string(a.user)
	keys := []string{factors.Key(user), failed.Key(user), tried.Key(a.triesID())}
	if a.use.Credential != "" {
		keys = append(keys, reuses.Key(a.reuseID(a.use.Credential)))
	}
	return keys
}

// read fetches in one request what an attempt reads record by record.
func (a *Attempt) read(ctx context.Context, tx *store.Tx) error {
	if _, err := tx.Get(ctx, a.Keys()...); err != nil {
		return fmt.Errorf("twofactor: attempt: %w", err)
	}
	return nil
}

// reserve counts the attempt, unless its value is right, in a commit that stands whatever
// happens next. Only a success resets the count, never an error.
func (a *Attempt) reserve(ctx context.Context, tx *store.Tx) error {
	id, mk := a.triesID(), a.mark()
	active, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return err
	}
	if a.form == FormTOTP && len(active.Key) == 0 { // there is no app whose code it could be
		return wrong(reasonForm)
	}
	f, err := found(failed.Get(ctx, tx, string(a.user)))
	if err != nil {
		return fmt.Errorf("twofactor: failures: %w", err)
	}
	if f == nil {
		f = &failures{User: a.user}
	}
	n := f.of(a.form)
	switch {
	case n != nil && *n >= a.m.hard:
		return ErrLocked
	case a.logsIn() && n == nil: // nor is there a credential to end
		return nil
	case a.form == FormKey: // a signature cannot be guessed, and is not known to be right before it is spent
		return nil
	}
	t, err := found(tried.Get(ctx, tx, id))
	if err != nil {
		return fmt.Errorf("twofactor: tries: %w", err)
	}
	// By the present time and not by when the value arrived: otherwise a request that was
	// delayed for an hour would let those of now be forgotten.
	now := a.m.now()
	if t == nil || !now.Before(t.Expires) {
		t = &tries{ID: id}
	}
	if slices.Contains(t.Marks, mk) {
		return nil // it reveals no more than the first time
	}
	if a.logsIn() && now.Before(t.Next) || !a.logsIn() && len(t.Marks) >= a.m.soft {
		return ErrTooMany
	}
	if a.isRight(active) {
		return nil
	}
	t.Marks = append(t.Marks, mk)
	t.Expires = now.Add(triesKept)
	if a.logsIn() {
		t.Expires = now.Add(loginTriesKept)
		if more := t.count(a.form) - a.m.soft; more >= 0 {
			t.Next = now.Add(min(firstWait<<min(more, 10), longestWait))
		}
	}
	if err := put(ctx, tx, tried, t.ID, t); err != nil {
		return fmt.Errorf("twofactor: tries: %w", err)
	}
	if n == nil {
		return nil
	}
	*n++
	if err := put(ctx, tx, failed, string(a.user), f); err != nil {
		return fmt.Errorf("twofactor: failures: %w", err)
	}
	return nil
}

// isRight reports whether the value is one that the factor accepts now. It is no guess,
// whatever happens to the request that presents it: an upload that breaks off, or a host that
// refuses, must not end the credential of a user who knows the codes. It does not use up the
// value.
func (a *Attempt) isRight(f *factor) bool {
	switch a.form {
	case FormTOTP:
		_, err := accept(f.Key, a.value.Reveal(), a.at, f.Step)
		return err == nil
	case FormRecovery:
		return recoveryIndex(f, a.value) >= 0
	}
	return false
}

// succeeded forgets the attempts at the factor that was used, and no other: a user of one
// factor must not gain guesses at the other.
func (a *Attempt) succeeded(ctx context.Context, tx *store.Tx) error {
	t, err := found(tried.Get(ctx, tx, a.triesID()))
	if err != nil {
		return fmt.Errorf("twofactor: tries: %w", err)
	}
	if t != nil {
		t.Marks = slices.DeleteFunc(t.Marks, func(mk mark) bool { return mk.Form == a.form })
		if a.form == FormTOTP {
			t.Next = time.Time{}
		}
		if err := put(ctx, tx, tried, t.ID, t); err != nil {
			return fmt.Errorf("twofactor: tries: %w", err)
		}
	}
	f, err := found(failed.Get(ctx, tx, string(a.user)))
	if err != nil {
		return fmt.Errorf("twofactor: failures: %w", err)
	}
	if f == nil {
		return nil
	}
	n := f.of(a.form)
	if n == nil || *n == 0 {
		return nil
	}
	*n = 0
	if err := put(ctx, tx, failed, string(a.user), f); err != nil {
		return fmt.Errorf("twofactor: failures: %w", err)
	}
	return nil
}

// put writes v, whether or not there was one before.
func put[T any](ctx context.Context, tx *store.Tx, t *store.Table[T], id string, v *T) error {
	_, err := t.Upsert(ctx, tx, id, func(old *T, _ bool) error {
		*old = *v
		return nil
	})
	return err
}
