package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// judgements is how often a request is judged anew because what it rests on changed while
// it was on its way.
const judgements = 3

// What a judgement in a commit finds that takes more than another run of it. Neither
// leaves commit.
var (
	errNeedsFactor   = errors.New("npmauth: a second factor is needed that was not begun")
	errNeedsPassword = errors.New("npmauth: the password was checked for other numbers")
)

// committing is what a request writes, in the commit that it was judged in.
type Write func(ctx context.Context, tx *store.Tx, j *Request) error

// commit is the one place that commits what a request was judged for, and that makes the
// judgement that counts: after the last byte of the body and after whatever else took its
// time, on rows that are read from the store in one Get and become preconditions of the
// commit, and on what the host says then. What was decided earlier is a filter.
//
// j is what that filter decided about, and d what it decided. Password and second factor
// are asked for before anything is read; the factor is spent, and fn writes, in the commit.
// fn may run several times. It is given what was judged, as j is afterwards; keys are what
// it will read, so that the Get has them too. A nil fn is for what the host writes: without a second factor
// there is nothing to commit then, and nothing is.
func (a *Authorizer) Commit(r *http.Request, j *Request, d policy.Decision, keys []string, fn Write) error {
	err := a.tryCommit(r, j, d, keys, fn)
	return a.Conclude(r.Context(), j, a.Unproven(r.Context(), j, err))
}

// unproven turns the refusal of a second factor into what the client hears: the
// next challenge, or the end of a credential that guessed too often.
func (a *Authorizer) Unproven(ctx context.Context, j *Request, err error) error {
	switch {
	case errors.Is(err, twofactor.ErrTooMany):
		if end := a.endCredential(ctx, j.Actor.By(j.Addr), j.Actor.Credential, tooManyCodes); end != nil {
			return end
		}
	case errors.Is(err, twofactor.ErrWrong) && j.Attempt != nil:
		return a.Challenge(ctx, j, true)
	}
	return err
}

func (a *Authorizer) tryCommit(r *http.Request, j *Request, d policy.Decision, keys []string, fn Write) error {
	ctx := r.Context()
	err := error(nil)
	if d.Effect == policy.Challenge {
		err = errNeedsFactor
	}
	if j.Password != nil {
		err = errNeedsPassword
	}
	for range 2 * judgements { // a password and a factor may each be asked for anew, and a row change
		switch {
		case errors.Is(err, errNeedsPassword):
			if err := a.checkOwnPassword(ctx, j); err != nil {
				return err
			}
			if d.Effect == policy.Challenge && j.Attempt == nil {
				err = errNeedsFactor
				continue
			}
		case errors.Is(err, errNeedsFactor):
			if err := a.BeginFactor(r.Context(), r.Header, j); err != nil {
				return err
			}
		}
		err = a.commitOnce(ctx, j, keys, fn)
		_, changed := errors.AsType[*store.ChangedError](err) // what fn expects, which it may find to be harmless
		if !changed && !errors.Is(err, errNeedsPassword) && !errors.Is(err, errNeedsFactor) {
			return err
		}
	}
	return fmt.Errorf("%w: the account changes all the time", store.ErrConflict)
}

// commitOnce judges and commits.
func (a *Authorizer) commitOnce(ctx context.Context, j *Request, keys []string, fn Write) error {
	if j.Attempt != nil {
		leave, err := j.Attempt.Wait(ctx)
		if err != nil {
			return err
		}
		defer leave()
		keys = append(j.Attempt.Keys(), keys...)
	}
	if j.Limit > 0 {
		limited, cancel := context.WithTimeout(ctx, j.Limit)
		defer cancel()
		ctx = limited
	}
	var committed Request
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		next, d, err := a.judgeIn(ctx, tx, j, keys)
		if err != nil {
			return err
		}
		if d.Effect != policy.Allow && d.Effect != policy.Challenge {
			return Denied(&next, d)
		}
		if next.Password != nil && next.passwordFor != next.Actor.Person.Subject.Numbers(policy.KindSession) {
			j.Actor = next.Actor
			return errNeedsPassword
		}
		if d.Effect == policy.Challenge {
			if next.Attempt == nil {
				j.Actor, j.Request = next.Actor, next.Request // what the page is about
				return errNeedsFactor
			}
			next.Proof = next.Attempt.Proof()
			if d := a.Policy.Decide(next.Request); d.Effect != policy.Allow {
				return Denied(&next, d)
			}
			if err := next.Attempt.Spend(ctx, tx, next.use()); err != nil {
				return err
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
		*j = committed
	}
	return err
}

// judgeIn makes the judgement that counts: j once more, on the rows of tx and on what the
// host says now. It leaves j as it is.
func (a *Authorizer) judgeIn(ctx context.Context, tx *store.Tx, j *Request, keys []string) (Request, policy.Decision, error) {
	next := *j
	next.Now = a.Now()
	next.Proof = j.proven
	if v := j.Actor.Verified; v != nil {
		keys = append(a.ActorKeys(v), keys...)
	}
	if id := j.Package.ID; id != "" {
		keys = append(keys, settings.SettingsKey(id))
	}
	if len(keys) > 0 {
		if _, err := tx.Get(ctx, keys...); err != nil {
			return Request{}, policy.Decision{}, err
		}
	}
	if v := j.Actor.Verified; v != nil {
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
	if next.Package.ID != j.Package.ID || next.Org.ID != j.Org.ID || next.Service.ID != j.Service.ID {
		if d := a.Policy.Decide(next.Request); d.Effect == policy.Deny {
			return next, d, nil // its sentence: a package that was made private is not told of
		}
		if next.Service.ID != j.Service.ID {
			return Request{}, policy.Decision{}, ErrNoService
		}
		return Request{}, policy.Decision{}, ErrStale
	}
	return next, a.Policy.Decide(next.Request), nil
}

// confirm makes the judgement that counts once more, for an operation that was allowed.
func (a *Authorizer) confirm(ctx context.Context, j *Request) error {
	next := *j
	next.Attempt = nil
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		now, d, err := a.judgeIn(ctx, tx, j, nil)
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
		err = a.Challenge(ctx, &next, false)
	}
	a.record(ctx, &next, err) // and no second observation of one request
	return err
}
