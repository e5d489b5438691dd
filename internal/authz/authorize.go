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
