package authz

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Authorize authenticates the sender of header and decides about op, without a proof.
func (a *Authorizer) Authorize(ctx context.Context, op protocol.Operation, header http.Header, addr netip.Addr) (host.Identity, policy.Decision, error) {
	req := policy.Request{Operation: op, Addr: addr}
	act, _, err := a.Prepare(ctx, header, &req)
	if err != nil {
		return host.Identity{}, policy.Decision{}, err
	}
	return act.Identity(), a.Policy().Decide(req), nil
}

// Explain is Authorize of a request that would do c, with what each rule says.
func (a *Authorizer) Explain(ctx context.Context, header http.Header, op protocol.Operation, c *protocol.Change, addr netip.Addr) (policy.Trace, error) {
	req := policy.Request{Operation: op, Change: c, Addr: addr}
	if _, _, err := a.Prepare(ctx, header, &req); err != nil {
		return policy.Trace{}, err
	}
	return a.Policy().Explain(req), nil
}
