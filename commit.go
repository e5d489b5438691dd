package npmauth

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
type committing func(ctx context.Context, tx *store.Tx, j *judgement) error

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
func (a *Authorizer) commit(r *http.Request, j *judgement, d policy.Decision, keys []string, fn committing) error {
	err := a.tryCommit(r, j, d, keys, fn)
	return a.conclude(r.Context(), j, a.unproven(r.Context(), j, err))
}

// unproven turns the refusal of a second factor into what the client hears: the
// next challenge, or the end of a credential that guessed too often.
func (a *Authorizer) unproven(ctx context.Context, j *judgement, err error) error {
	switch {
	case errors.Is(err, twofactor.ErrTooMany):
		if end := a.endCredential(ctx, j.act.did(j.req.Addr), j.act.cred, tooManyCodes); end != nil {
			return end
		}
	case errors.Is(err, twofactor.ErrWrong) && j.attempt != nil:
		return a.challenge(ctx, j, true)
	}
	return err
}

func (a *Authorizer) tryCommit(r *http.Request, j *judgement, d policy.Decision, keys []string, fn committing) error {
	ctx := r.Context()
	err := error(nil)
	if d.Effect == policy.Challenge {
		err = errNeedsFactor
	}
	if j.password != nil {
		err = errNeedsPassword
	}
	for range 2 * judgements { // a password and a factor may each be asked for anew, and a row change
		switch {
		case errors.Is(err, errNeedsPassword):
			if err := a.checkOwnPassword(ctx, j); err != nil {
				return err
			}
			if d.Effect == policy.Challenge && j.attempt == nil {
				err = errNeedsFactor
				continue
			}
		case errors.Is(err, errNeedsFactor):
			if err := a.beginFactor(r.Context(), r.Header, j); err != nil {
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
func (a *Authorizer) commitOnce(ctx context.Context, j *judgement, keys []string, fn committing) error {
	if j.attempt != nil {
		leave, err := j.attempt.Wait(ctx)
		if err != nil {
			return err
		}
		defer leave()
		keys = append(j.attempt.Keys(), keys...)
	}
	if j.limit > 0 {
		limited, cancel := context.WithTimeout(ctx, j.limit)
		defer cancel()
		ctx = limited
	}
	var committed judgement
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		next, d, err := a.judgeIn(ctx, tx, j, keys)
		if err != nil {
			return err
		}
		if d.Effect != policy.Allow && d.Effect != policy.Challenge {
			return denied(&next, d)
		}
		if next.password != nil && next.passwordFor != next.act.who.sub.Numbers(policy.KindSession) {
			j.act = next.act
			return errNeedsPassword
		}
		if d.Effect == policy.Challenge {
			if next.attempt == nil {
				j.act, j.req = next.act, next.req // what the page is about
				return errNeedsFactor
			}
			next.req.Proof = next.attempt.Proof()
			if d := a.Policy.Decide(next.req); d.Effect != policy.Allow {
				return denied(&next, d)
			}
			if err := next.attempt.Spend(ctx, tx, next.use()); err != nil {
				return err
			}
			next.proven = next.req.Proof
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
func (a *Authorizer) judgeIn(ctx context.Context, tx *store.Tx, j *judgement, keys []string) (judgement, policy.Decision, error) {
	next := *j
	next.req.Now = a.Now()
	next.req.Proof = j.proven
	if v := j.act.v; v != nil {
		keys = append(a.actorKeys(v), keys...)
	}
	if id := j.req.Package.ID; id != "" {
		keys = append(keys, settings.SettingsKey(id))
	}
	if len(keys) > 0 {
		if _, err := tx.Get(ctx, keys...); err != nil {
			return judgement{}, policy.Decision{}, err
		}
	}
	if v := j.act.v; v != nil {
		var err error
		if next.act, err = a.present(ctx, tx, v, next.req.Now); err != nil {
			return judgement{}, policy.Decision{}, err
		}
		next.req.Credential, next.req.Account = next.act.cred, next.act.who.account
	}
	if err := a.consultIn(ctx, tx, &next); err != nil {
		return judgement{}, policy.Decision{}, err
	}
	// What was said of the body rests on these, and so does what the host was told.
	if next.req.Package.ID != j.req.Package.ID || next.req.Org.ID != j.req.Org.ID || next.service.ID != j.service.ID {
		if d := a.Policy.Decide(next.req); d.Effect == policy.Deny {
			return next, d, nil // its sentence: a package that was made private is not told of
		}
		if next.service.ID != j.service.ID {
			return judgement{}, policy.Decision{}, errNoService
		}
		return judgement{}, policy.Decision{}, errStale
	}
	return next, a.Policy.Decide(next.req), nil
}

// confirm makes the judgement that counts once more, for an operation that was allowed.
func (a *Authorizer) confirm(ctx context.Context, j *judgement) error {
	next := *j
	next.attempt = nil
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		now, d, err := a.judgeIn(ctx, tx, j, nil)
		if err == nil && d.Effect != policy.Allow {
			next = now
			err = denied(&now, d)
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
		err = a.challenge(ctx, &next, false)
	}
	a.record(ctx, &next, err) // and no second observation of one request
	return err
}
