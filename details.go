package npmauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

var (
	errPasswordAlone = &Error{http.StatusBadRequest, "bad-profile-request", "Change the password by itself."}
	errNoEmail       = &Error{http.StatusBadRequest, "bad-email", "An e-mail address can be changed but not taken away."}
)

// details are the fields of a profile as somebody wants them. A nil one stays as it is.
type details struct {
	email                                         *string
	fullName, homepage, freenode, twitter, github *string
}

// details reads the fields of the request. npm sends all of them along with the one that it
// changes, and null for those that are empty.
func (q profileRequest) details() (d details, err error) {
	if !isNull(q.CIDR) {
		return details{}, &Error{http.StatusBadRequest, "bad-profile-request", "The address ranges of an account are the operator's to set."}
	}
	for _, f := range []struct {
		raw json.RawMessage
		to  **string
	}{
		{q.Email, &d.email}, {q.FullName, &d.fullName}, {q.Homepage, &d.homepage},
		{q.Freenode, &d.freenode}, {q.Twitter, &d.twitter}, {q.GitHub, &d.github},
	} {
		if len(f.raw) == 0 {
			continue
		}
		var text string // stays "" for null
		if !isNull(f.raw) {
			if err := strictjson.Unmarshal(f.raw, &text); err != nil {
				return details{}, err
			}
		}
		*f.to = &text
	}
	return d, nil
}

// apply changes an address and a profile, and names the fields that it changes.
func (d details) apply(email *string, p *account.Profile) (changed []string, err error) {
	for _, f := range []struct {
		name string
		want *string
		is   *string
	}{
		{"email", d.email, email}, {"fullname", d.fullName, &p.FullName}, {"homepage", d.homepage, &p.Homepage},
		{"freenode", d.freenode, &p.Freenode}, {"twitter", d.twitter, &p.Twitter}, {"github", d.github, &p.GitHub},
	} {
		if f.want != nil && *f.want != *f.is {
			*f.is = *f.want
			changed = append(changed, f.name)
		}
	}
	if slices.Contains(changed, "email") && *email == "" {
		return nil, errNoEmail
	}
	return changed, nil
}

// notOffered lets the policy refuse what only a host without people of its own has.
func (a *Auth) notOffered(r *http.Request, op policy.Operation) (reply, error) {
	if _, _, err := a.judge(r, op, policy.NewToken{}); err != nil {
		return reply{}, err
	}
	return reply{}, errNotOffered
}

// setProfile changes what somebody says about themselves, and their address.
func (a *Auth) setProfile(r *http.Request, op policy.Operation, body profileRequest) (reply, error) {
	if a.directory == nil {
		return a.notOffered(r, op)
	}
	want, err := body.details()
	if err != nil {
		return reply{}, err
	}
	op.Name = "profile" // a page shows it, and a proof for it is none for the password
	j, d, err := a.judge(r, op, policy.NewToken{})
	if err != nil {
		return reply{}, err
	}
	ctx, user := r.Context(), j.act.cred.User
	var changed []string
	edit := func(ctx context.Context, tx *store.Tx) (after account.User, err error) {
		before, after, err := a.directory.Edit(ctx, tx, user, func(email *string, p *account.Profile) (err error) {
			changed, err = want.apply(email, p)
			return err
		})
		if err == nil && before.Email != after.Email {
			err = a.subjects.Recovered(ctx, tx, user)
		}
		return after, err
	}
	// Tried before a factor is spent, and for what the page should say.
	if err := a.rehearse(ctx, func(tx *store.Tx) error { _, err := edit(ctx, tx); return err }); err != nil {
		return reply{}, err
	}
	if slices.Contains(changed, "email") {
		j.req.Operation.Name = "email"
	}
	var after account.User
	if err := a.commitProven(r, j, d, func(tx *store.Tx) (err error) { after, err = edit(ctx, tx); return err }); err != nil {
		return reply{}, err
	}
	if len(changed) > 0 { // by name: no event holds what a person says, nor an address
		a.record(ctx, audit.Event{
			Type: audit.Profile, Outcome: audit.Done, User: user, Credential: j.act.cred.ID, Addr: j.req.Addr,
			Detail: map[string]string{"changed": strings.Join(changed, " ")},
		})
	}
	shown := shownProfile(after.Profile)
	shown["name"], shown["email"], shown["email_verified"] = after.Name, after.Email, false
	return ok(shown), nil
}

// setPassword changes the password, and ends all sessions but the one that asks. Tokens
// go on: they are not made of the password.
func (a *Auth) setPassword(r *http.Request, op policy.Operation, body profileRequest) (reply, error) {
	if a.directory == nil {
		return a.notOffered(r, op)
	}
	want, err := body.details()
	if err != nil {
		return reply{}, err
	}
	var change struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if err := strictjson.Unmarshal(body.Password, &change); err != nil {
		return reply{}, err
	}
	op.Name = "password"
	j, d, err := a.judge(r, op, policy.NewToken{})
	if err != nil {
		return reply{}, err
	}
	ctx, user := r.Context(), j.act.cred.User
	now, err := a.directory.ByID(ctx, user)
	if err != nil {
		return reply{}, err
	}
	if changed, err := want.apply(&now.Email, &now.Profile); err != nil || len(changed) > 0 {
		return reply{}, errPasswordAlone
	}
	told := audit.Event{Type: audit.Password, User: user, Credential: j.act.cred.ID, Addr: j.req.Addr}
	next, err := a.directory.ChangePassword(ctx, user, credential.NewSecret(change.Old), credential.NewSecret(change.New))
	if err == nil {
		err = a.commitProven(r, j, d, func(tx *store.Tx) error {
			if err := next.Apply(ctx, tx); err != nil {
				return err
			}
			return a.subjects.EndOtherSessions(ctx, tx, user, j.act.cred.ID, j.act.cred.Created)
		})
	}
	switch {
	case errors.Is(err, account.ErrWrongPassword):
		told.Reasons = []string{"wrong-password"}
		a.record(ctx, told)
	case errors.Is(err, account.ErrSessionEnded): // by somebody else, while this was asked
		err = ErrInvalidToken
	}
	if err != nil {
		return reply{}, err
	}
	// Once more, now that nobody can sign in with the old one: a login that began while
	// the commit was made may have seen it.
	err = store.Transact(ctx, a.store, func(tx *store.Tx) error {
		return a.subjects.EndOtherSessions(ctx, tx, user, j.act.cred.ID, j.act.cred.Created)
	})
	if err != nil && !errors.Is(err, account.ErrSessionEnded) {
		a.logOutage(r, err)
	}
	told.Outcome = audit.Done
	a.record(ctx, told)
	a.record(ctx, audit.Event{Type: audit.SessionEnded, Outcome: audit.Done, User: user, Addr: j.req.Addr, Reasons: []string{"password"}, Detail: map[string]string{"kept": j.act.cred.ID}})
	shown := shownProfile(now.Profile)
	shown["name"], shown["email"], shown["email_verified"] = now.Name, now.Email, false
	return ok(shown), nil
}

// errRehearsed ends a transaction that must not happen.
var errRehearsed = errors.New("npmauth: rehearsed")

// rehearse runs fn for its errors and commits nothing.
func (a *Auth) rehearse(ctx context.Context, fn func(*store.Tx) error) error {
	err := store.Transact(ctx, a.store, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// commitProven does what fn writes for a judgement that does not deny it, with the second
// factor spent in the same commit if that is what is missing.
func (a *Auth) commitProven(r *http.Request, j judgement, d policy.Decision, fn func(*store.Tx) error) error {
	var attempt *twofactor.Attempt
	if d.Effect == policy.Challenge {
		var err error
		if attempt, err = a.reserve(r, j); err != nil {
			return err
		}
	}
	ctx := r.Context()
	err := store.Transact(ctx, a.store, func(tx *store.Tx) error {
		if attempt != nil {
			if err := attempt.Spend(ctx, tx, j.act.cred.ID); err != nil {
				return err
			}
		}
		return fn(tx)
	})
	attempt.Report(ctx, err)
	if err != nil {
		return a.unproven(r, j, err)
	}
	return nil
}
