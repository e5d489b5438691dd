package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
)

// maxRuns is how often Commit runs its transaction: anew when a password or a second factor must
// be checked first, or when a row that fn expects has changed. Conflicts within one run are
// [store.Transact]'s.
const maxRuns = 6

// Errors of a decision in a commit that take more than another run of it. Neither leaves Commit.
var (
	errNeedsFactor   = errors.New("npmauth: a second factor is needed that was not begun")
	errNeedsPassword = errors.New("npmauth: the password was checked for other numbers")
)

// A Write writes what a request changes, in the commit of the final decision. It may run several
// times.
type Write func(ctx context.Context, tx *store.Tx, q *Request) error

// Commit makes the final decision about q and commits what fn writes, in one transaction. It is
// called after the last byte of the body and after everything else that takes time. The rows
// that the decision takes are read in one Get and become preconditions of the commit.
//
// d is the first decision. The password, if q has one, and the second factor, if d is a
// Challenge, are checked before the transaction begins; the factor is spent in it. fn is given
// the request as it was decided on, which q is afterwards. keys are rows that fn reads, so that
// they are in the same Get. A nil fn is for what the host writes: without a second factor
// nothing is committed.
func (a *Authorizer) Commit(r *http.Request, q *Request, d policy.Decision, keys []string, fn Write) error {
	err := a.tryCommit(r, q, d, keys, fn)
	return a.Conclude(r.Context(), q, a.Unproven(r.Context(), q, err))
}

// CommitAll is Commit for several requests of one sender, which are done together or not at all. all[0] is the one
// that the second factor is begun with: its Change must say what the others are about, and d is its first
// decision. Each of the others is decided on in the same commit, with what was proven for it. fn is called for
// each of them as it was decided on, in order, which they are afterwards. What is refused, if anything is, is the
// one that is returned; where it is none of them in particular, it is the first.
func (a *Authorizer) CommitAll(r *http.Request, all []*Request, d policy.Decision, keys []string, fn Write) (refused *Request, err error) {
	var committed []Request
	err = a.tryCommit(r, all[0], d, keys, func(ctx context.Context, tx *store.Tx, q *Request) error {
		committed = committed[:0]
		if err := fn(ctx, tx, q); err != nil {
			return err
		}
		for i, other := range all[1:] {
			next, err := a.decideBeside(ctx, tx, other, q.proven)
			if err == nil {
				err = fn(ctx, tx, &next)
			}
			if err != nil {
				return &besideError{i + 1, err}
			}
			committed = append(committed, next)
		}
		return nil
	})
	q := all[0]
	if beside, ok := errors.AsType[*besideError](err); ok {
		q, err = all[beside.i], beside.err
	} else {
		err = a.Unproven(r.Context(), q, err)
	}
	for i := range committed {
		if err == nil {
			*all[i+1] = committed[i]
		}
	}
	return q, a.Conclude(r.Context(), q, err)
}

// A besideError is why a request was refused that is decided on beside another.
type besideError struct {
	i   int // of CommitAll's requests
	err error
}

func (e *besideError) Error() string { return e.err.Error() }
func (e *besideError) Unwrap() error { return e.err }

// decideBeside makes the final decision about q in the commit of another request of its sender, with what was proven
// there.
func (a *Authorizer) decideBeside(ctx context.Context, tx *store.Tx, q *Request, proven policy.Proof) (Request, error) {
	of := *q
	of.proven = proven
	next, d, err := a.decideIn(ctx, tx, &of, nil)
	if err == nil && d.Effect != policy.Allow {
		err = Denied(&next, d)
	}
	return next, err
}

func (a *Authorizer) tryCommit(r *http.Request, q *Request, d policy.Decision, keys []string, fn Write) error {
	ctx := r.Context()
	err := error(nil)
	if d.Effect == policy.Challenge {
		err = errNeedsFactor
	}
	if q.Password != nil {
		err = errNeedsPassword
	}
	for range maxRuns {
		switch {
		case errors.Is(err, errNeedsPassword):
			if err := a.checkOwnPassword(ctx, q); err != nil {
				return err
			}
			if d.Effect == policy.Challenge && q.Attempt == nil {
				err = errNeedsFactor
				continue
			}
		case errors.Is(err, errNeedsFactor):
			if err := a.BeginFactor(r.Context(), r.Header, q); err != nil {
				return err
			}
		}
		err = a.commitOnce(ctx, q, keys, fn)
		_, changed := errors.AsType[*store.ChangedError](err) // what fn expects, which it may find to be harmless
		if !changed && !errors.Is(err, errNeedsPassword) && !errors.Is(err, errNeedsFactor) {
			return err
		}
	}
	return fmt.Errorf("%w: the account changes all the time", store.ErrConflict)
}

// commitOnce decides and commits.
func (a *Authorizer) commitOnce(ctx context.Context, q *Request, keys []string, fn Write) error {
	if q.Attempt != nil {
		leave, err := q.Attempt.Wait(ctx)
		if err != nil {
			return err
		}
		defer leave()
		keys = append(q.Attempt.Keys(), keys...)
	}
	if q.Limit > 0 {
		limited, cancel := context.WithTimeout(ctx, q.Limit)
		defer cancel()
		ctx = limited
	}
	var committed Request
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		next, d, err := a.decideIn(ctx, tx, q, keys)
		if err != nil {
			return err
		}
		if d.Effect != policy.Allow && d.Effect != policy.Challenge {
			return Denied(&next, d)
		}
		if next.Password != nil && next.passwordFor != next.Actor.Person.Subject.Numbers(policy.KindSession) {
			q.Actor = next.Actor
			return errNeedsPassword
		}
		if d.Effect == policy.Challenge {
			if next.Attempt == nil {
				q.Actor, q.Request, q.policy = next.Actor, next.Request, next.policy // what the page is about
				return errNeedsFactor
			}
			d, err := next.Attempt.Decide(ctx, tx, next.policy, &next.Request)
			if err != nil {
				return err
			}
			if d.Effect != policy.Allow {
				return Denied(&next, d)
			}
			next.proven = next.Proof
		}
		committed = next
		if fn == nil {
			return nil
		}
		return fn(ctx, tx, &committed)
	})
	if err == nil {
		*q = committed
	}
	return err
}

// decideIn makes the final decision about q, on the rows of tx and on the host's facts. It
// returns the request as it was decided on, and does not change q.
func (a *Authorizer) decideIn(ctx context.Context, tx *store.Tx, q *Request, keys []string) (Request, policy.Decision, error) {
	next := *q
	next.policy = a.Policy() // the newest
	next.Now = a.Now()
	next.Proof = q.proven
	if v := q.Actor.Verified; v != nil {
		keys = append(a.ActorKeys(v), keys...)
	}
	if id := q.Package.ID; id != "" {
		keys = append(keys, settings.SettingsKey(id))
	}
	for _, scope := range scopesOf(&q.Request) {
		if scope != "" {
			keys = append(keys, settings.ScopeKey(scope))
		}
	}
	if len(keys) > 0 {
		if _, err := tx.Get(ctx, keys...); err != nil {
			return Request{}, policy.Decision{}, err
		}
	}
	if v := q.Actor.Verified; v != nil {
		var err error
		if next.Actor, err = a.Present(ctx, tx, v, next.Now); err != nil {
			return Request{}, policy.Decision{}, err
		}
		next.Credential, next.Account = next.Actor.Credential, next.Actor.Person.Account
	}
	if err := a.consultIn(ctx, tx, &next); err != nil {
		return Request{}, policy.Decision{}, err
	}
	// What was said of the body rests on these, and so does what the host was told.
	if next.Package.ID != q.Package.ID || next.Org.ID != q.Org.ID || next.Service.ID != q.Service.ID {
		if d := next.Decision(); d.Effect == policy.Deny {
			return next, d, nil // its sentence: a package that was made private is not told of
		}
		if next.Service.ID != q.Service.ID {
			return Request{}, policy.Decision{}, ErrNoService
		}
		return Request{}, policy.Decision{}, ErrStale
	}
	return next, next.Decision(), nil
}

// confirm makes the final decision once more, for a host that took long after it.
func (a *Authorizer) confirm(ctx context.Context, q *Request) error {
	next := *q
	next.Attempt = nil
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		now, d, err := a.decideIn(ctx, tx, q, nil)
		if err == nil && d.Effect != policy.Allow {
			next = now
			err = Denied(&now, d)
			if d.Effect == policy.Challenge {
				err = errNeedsFactor
			}
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNeedsFactor):
		err = a.Challenge(ctx, &next, nil)
	}
	a.record(ctx, &next, err) // and no second observation of one request
	return err
}
