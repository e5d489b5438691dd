package guard

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// guardBody authorizes a write whose body [wire.ReadChange] reads. The body is small, so it is read
// before a second factor is demanded, and handed to the host as a [protocol.Change]. What publishing
// takes is committed here.
func (a *Guard) guardBody(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	authz.BufferBody(w, r, wire.MaxBody)
	p, done, err := a.admitBody(r, op)
	switch {
	case err != nil:
		a.Fail(w, r, err)
	case done:
		p.Notify(w)
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	default:
		a.pass(w, r, p, next)
	}
}

// admitBody authorizes such a write. done means that it is committed.
func (a *Guard) admitBody(r *http.Request, op protocol.Operation) (p *authz.Pass, done bool, err error) {
	defer a.Recover(r, func(refused error) { p, done, err = nil, false, refused })
	q := a.NewRequest(r, op)
	q.HandedOver = true
	err = a.readChangeBody(r, q)
	if err != nil {
		return nil, false, a.Conclude(r.Context(), q, err)
	}
	d, err := a.Decide(q)
	if err != nil {
		return nil, false, a.Conclude(r.Context(), q, err)
	}
	if q.Change.PublishMode == nil && !q.Change.SetsRules() {
		p, err = a.admitJudged(r, q, d, true)
		return p, false, err
	}
	if err := a.CheckRules(q.Change); err != nil {
		return nil, false, a.Conclude(r.Context(), q, err)
	}
	// These settings are kept here.
	notice := ""
	err = a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		rules, err := a.Settings.Get(ctx, tx, q.Package.ID) // without those of the scope
		if err != nil {
			return err
		}
		rules = authz.PackageRules(rules, q.Change)
		if notice, err = a.PublishersNotice(ctx, tx, q); err != nil {
			return err
		}
		if err := a.Settings.Set(ctx, tx, q.Package.ID, rules); err != nil {
			return err
		}
		by := q.Actor.By(q.Addr)
		e := settings.Changed(q.Package.ID, rules).From(by)
		e.User, e.Credential, e.Package = by.User, by.Credential, op.Package
		return a.Events.Commit(ctx, tx, e)
	})
	if err != nil {
		return nil, false, err
	}
	p = a.NewPass(r.Context(), q)
	p.AddNotice(notice)
	return p, true, nil
}

// readChangeBody reads what a request would change.
func (a *Guard) readChangeBody(r *http.Request, q *authz.Request) error {
	if err := a.Find(r, q); err != nil {
		return err
	}
	// Before the body, as far as it does not depend on it: what is wrong with a body is
	// no news for those who may not send one.
	team := q.Operation.Action == protocol.GrantTeam
	if !team || q.Actor.Credential == nil {
		if _, err := a.Decide(q); err != nil {
			return err
		}
	}
	data, err := wire.ReadBody(r)
	if err != nil {
		return err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	c := new(protocol.Change)
	if err := wire.ReadChange(r.Method, data, &q.Operation, c); err != nil {
		return err
	}
	if team { // only now is its package known
		if _, err := a.Consult(r.Context(), &q.Request); err != nil {
			return err
		}
	}
	q.Change = c
	return nil
}

// readWhole reads a body that is the host's to understand, and gives it back to r.
func readWhole(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	return data, nil
}
