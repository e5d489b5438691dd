package npmauth

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A pass is the context of a request that the guard let through, and answers what the host
// asks about it.
type pass struct {
	host.Context
	a      *Authorizer
	judged *judgement       // that counts only when a publish was read; no host may read it before
	act    actor            // who sent the request
	addr   netip.Addr       // from where
	id     policy.PackageID // of the package that it was let through for
	body   *publishReader   // of a publish
	change *protocol.Change // what else was read before it was judged
	notice string           // for npm to print, "" mostly
	vary   [1]string        // the header's: part of the pass so that it is not allocated by itself
}

// Change is that of [host.Operation].
func (p *pass) Change() (protocol.Change, error) {
	switch {
	case p.change != nil:
		return *p.change, nil
	case p.body != nil:
		return p.body.change(p.id)
	}
	return protocol.Change{}, host.ErrNoChange
}

// Confirm is that of [host.Operation].
func (p *pass) Confirm(ctx context.Context) error { return p.a.confirm(ctx, p.judged) }

// Readable is [host.Readable]: what else is read on behalf of the request is judged for who
// sent it.
func (p *pass) Readable(ctx context.Context, pkg policy.PackageName) (bool, error) {
	req := requests.Get().(*policy.Request)
	defer release(req)
	req.Operation = policy.Operation{Action: policy.ReadPackument, Package: pkg}
	req.Addr, req.Now, req.Credential = p.addr, p.a.Now(), p.act.cred
	if p.act.who != nil {
		req.Account = p.act.who.account
	}
	if err := p.a.facts(ctx, req, false); err != nil {
		return false, err
	}
	return req.Package.ID != "" && p.a.Policy.DecideOn(req).Effect == policy.Allow, nil
}

// varies says that the answer depends on who asks, which a cache must know where the host
// forgets to say so: RFC 9110, section 12.5.5.
func (p *pass) varies(h http.Header) {
	if len(h["Vary"]) > 0 {
		h.Add("Vary", "Authorization")
		return
	}
	p.vary[0] = "Authorization"
	h["Vary"] = p.vary[:] // full: what is added goes elsewhere
}

// notify makes npm print what there is to say, whatever the host answers.
func (p *pass) notify(w http.ResponseWriter) {
	if p.notice != "" {
		w.Header().Set("npm-notice", p.notice)
	}
}

// newPass is what a request that was allowed travels with.
func (a *Authorizer) newPass(ctx context.Context, j *judgement) *pass {
	p := j.pass
	op := host.Operation{Operation: j.req.Operation, PackageID: j.req.Package.ID, OrgID: j.req.Org.ID}
	*p = pass{
		Context: host.NewContext(ctx, j.act.identity(), op, p),
		a:       a, judged: j, act: j.act, addr: j.req.Addr, id: j.req.Package.ID, change: j.req.Change,
	}
	if j.req.Operation.Action.Write() {
		p.notice = a.expiryNotice(ctx, j.act, j.req.Now)
	}
	return p
}
