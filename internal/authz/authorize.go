package authz

import (
	"context"
	"net/http"
	"net/netip"
	"sync"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Authorize authenticates the sender of header and decides about op, without a proof.
func (a *Authorizer) Authorize(ctx context.Context, op protocol.Operation, header http.Header, addr netip.Addr) (host.Identity, policy.Decision, error) {
	req := requests.Get().(*policy.Request)
	defer release(req)
	req.Operation, req.Addr = op, addr
	act, _, err := a.Prepare(ctx, header, req)
	if err != nil {
		return host.Identity{}, policy.Decision{}, err
	}
	return act.Identity(), a.Policy.DecideOn(req), nil
}

// requests are used again: rules see theirs through a pointer, for which each would
// have to be allocated.
var requests = sync.Pool{New: func() any { return new(policy.Request) }}

// release gives req back. The pool must not keep a credential alive.
func release(req *policy.Request) {
	*req = policy.Request{}
	requests.Put(req)
}
