package authz

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
)

// A Pass is the context of a request that the guard allowed. It is the [host.Guard] of its
// operation.
type Pass struct {
	host.Context
	a       *Authorizer
	Request *Request           // that counts only when a publish was read; no host may read it before
	act     Actor              // who sent the request
	addr    netip.Addr         // from where
	id      protocol.PackageID // of the package that it was let through for
	// Published returns what a publish does to the package of that ID; nil for anything else.
	Published func(protocol.PackageID) (protocol.Change, error)
	change    *protocol.Change // what else was read before the decision
	notice    string           // for npm to print, "" mostly
	vary      [1]string        // the header's: part of the pass so that it is not allocated by itself
}

// Change is that of [host.Operation].
func (p *Pass) Change() (protocol.Change, error) {
	switch {
	case p.change != nil:
		c := *p.change
		if p.Request.Operation.Action == protocol.ApproveStaged && p.id != "" {
			c.Access = "" // it was staged for a new package, and is approved as a version of one that is there
		}
		return c, nil
	case p.Published != nil:
		return p.Published(p.id)
	}
	return protocol.Change{}, host.ErrNoChange
}

// Confirm is that of [host.Operation].
func (p *Pass) Confirm(ctx context.Context) error { return p.a.confirm(ctx, p.Request) }

// Created is that of [host.Operation].
func (p *Pass) Created(ctx context.Context, id protocol.PackageID) error {
	action := p.Request.Operation.Action
	switch _, err := p.Change(); {
	case p.a.Trust == nil, p.id != "", action != protocol.Publish && action != protocol.ApproveStaged:
		return nil
	case err != nil: // of a publish whose body was not allowed
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CommitTime)
	defer cancel()
	return p.a.bind(ctx, p.act, p.addr, trust.Package{ID: id, Name: p.Request.Operation.Package})
}

// Readable is [host.Readable]: what else is read on behalf of the request is decided for who
// sent it.
func (p *Pass) Readable(ctx context.Context, pkg protocol.PackageName) (bool, error) {
	req := policy.Request{
		Operation:  protocol.Operation{Action: protocol.ReadPackument, Package: pkg},
		Credential: p.act.Credential, Addr: p.addr, Now: p.a.Now(),
	}
	if p.act.Person != nil {
		req.Account = p.act.Person.Account
	}
	if err := p.a.facts(ctx, &req, false); err != nil {
		return false, err
	}
	return req.Package.ID != "" && p.a.Policy().Decide(req).Effect == policy.Allow, nil
}

// Varies adds Vary: Authorization, which a cache must have where the host
// forgets to say so: RFC 9110, section 12.5.5.
func (p *Pass) Varies(h http.Header) {
	if len(h["Vary"]) > 0 {
		h.Add("Vary", "Authorization")
		return
	}
	p.vary[0] = "Authorization"
	h["Vary"] = p.vary[:] // full: what is added goes elsewhere
}

// AddNotice adds to what npm is to print; "" is nothing.
func (p *Pass) AddNotice(text string) { p.notice = Notices(p.notice, text) }

// Notify sets the header npm-notice, if there is a notice.
func (p *Pass) Notify(w http.ResponseWriter) {
	if p.notice != "" {
		w.Header().Set("npm-notice", p.notice)
	}
}

// NewPass returns the context of a request that is allowed.
func (a *Authorizer) NewPass(ctx context.Context, q *Request) *Pass {
	p := q.pass
	op := host.Operation{Operation: q.Operation, PackageID: q.Package.ID, OrgID: q.Org.ID}
	*p = Pass{
		Context: host.NewContext(ctx, q.Actor.Identity(), op, p),
		a:       a, Request: q, act: q.Actor, addr: q.Addr, id: q.Package.ID, change: q.Change,
	}
	switch v := q.Actor.Verified; {
	case q.Operation.Action.Write():
		p.notice = Notices(a.FactorNotice(q), a.ExpiryNotice(ctx, q.Actor, q.Now))
	case v != nil && !v.foreign.IsZero() && !a.ForeignUntil.IsZero(): // which may do no more than read
		if q.printed(a.firstOf(v.foreign, q.Addr, q.Now)) {
			p.notice = a.ExpiryNotice(ctx, q.Actor, q.Now)
		}
	}
	return p
}
