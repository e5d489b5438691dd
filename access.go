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
func (a *Auth) guardAccess(w http.ResponseWriter, r *http.Request, op policy.Operation, next http.Handler) {
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
func (a *Auth) admitAccess(r *http.Request, op policy.Operation) (p *pass, done bool, err error) {
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
		if err := a.settings.Set(ctx, tx, j.req.Package.ID, settings); err != nil {
			return err
		}
		by := j.act.did(j.req.Addr)
		e := packageRules(j.req.Package.ID, settings).From(by)
		e.User, e.Credential, e.Package = by.User, by.Credential, op.Package
		return a.events.Commit(ctx, tx, e)
	})
	if err != nil {
		return nil, false, err
	}
	return a.newPass(r.Context(), j), true, nil
}

// readAccessBody reads what a request would change.
func (a *Auth) readAccessBody(r *http.Request, j *judgement) error {
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

// readAccess answers GET /-/package/<pkg>/access: who may read the package, and for those
// who may write it what publishing takes. npm has no address for the second.
func (a *Auth) readAccess(r *http.Request, op policy.Operation) (reply, error) {
	j, err := a.judgeRead(r, op)
	if err != nil {
		return reply{}, err
	}
	shown := map[string]any{"access": "public", "public": true}
	if j.req.Package.Private {
		shown = map[string]any{"access": "restricted", "public": false}
	}
	if (&j.req).Rights()&(policy.RightWrite|policy.RightAdmin) != 0 {
		s, err := a.packageSettings(r.Context(), j.req.Package.ID, j.req.Now)
		if err != nil {
			return reply{}, err
		}
		shown["publish_requires_tfa"] = s.Publish != policy.NoFactor
		shown["automation_token_overrides_tfa"] = s.Publish == policy.FactorOrBypass
	}
	return ok(shown), nil
}
