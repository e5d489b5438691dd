package npmauth

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// guardAccess judges what changes who may do what. Its body is small and says a good
// part of what is asked for, so it is read before anybody is asked for a second factor,
// and is handed to the host as a [protocol.Change]. A second-factor setting is made here.
func (a *Guard) guardAccess(w http.ResponseWriter, r *http.Request, op policy.Operation, next http.Handler) {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
	p, done, err := a.admitAccess(r, op)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case done:
		p.notify(w)
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	default:
		a.pass(w, r, p, next)
	}
}

// admitAccess decides about a change of access. done means that it was made here.
func (a *Guard) admitAccess(r *http.Request, op policy.Operation) (p *pass, done bool, err error) {
	defer a.rescue(r, func(refused error) { p, done, err = nil, false, refused })
	j := a.newJudgement(r, op)
	j.handedOver = true
	err = a.readAccessBody(r, j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	d, err := a.decide(j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	mode := j.req.Change.PublishMode
	if mode == nil {
		p, err = a.admitJudged(r, j, d, true)
		return p, false, err
	}
	// A second-factor setting is kept here.
	err = a.commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *judgement) error {
		settings := policy.Settings{Publish: *mode}
		if err := a.Settings.Set(ctx, tx, j.req.Package.ID, settings); err != nil {
			return err
		}
		by := j.act.did(j.req.Addr)
		e := packageRules(j.req.Package.ID, settings).From(by)
		e.User, e.Credential, e.Package = by.User, by.Credential, op.Package
		return a.Events.Commit(ctx, tx, e)
	})
	if err != nil {
		return nil, false, err
	}
	return a.newPass(r.Context(), j), true, nil
}

// readAccessBody reads what a request would change.
func (a *Guard) readAccessBody(r *http.Request, j *judgement) error {
	if err := a.find(r, j); err != nil {
		return err
	}
	// Before the body, as far as it does not depend on it: what is wrong with a body is
	// no news for those who may not send one.
	team := j.req.Operation.Action == policy.GrantTeam
	if !team || j.act.cred == nil {
		if _, err := a.decide(j); err != nil {
			return err
		}
	}
	data, err := wire.ReadBody(r)
	if err != nil {
		return err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	c := new(protocol.Change)
	if err := wire.ReadChange(r.Method, data, &j.req.Operation, c); err != nil {
		return err
	}
	if team { // only now is its package known
		if _, err := a.consult(r.Context(), &j.req); err != nil {
			return err
		}
	}
	j.req.Change = c
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
