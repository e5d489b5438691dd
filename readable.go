package npmauth

import (
	"context"
	"net/netip"

	"github.com/npmauth/npmauth/policy"
)

// Readable reports whether the request of ctx, which the guard handed over, may read
// pkg: by the policy, for the credential and from the address of the request, with the
// credential's grants and with the rights that [Packages] says its user has. It is for a
// host's own searches and lists, in which each package is left out that is not readable:
// a token for one package then sees no other private one of its user's.
//
// It is as good as a read of the package: [Packages] is asked, or an answer no older than
// [Config.HostFresh] is used, which is kept only about what may be read, so that a list
// costs no question to the host where its packages were read lately. Nothing is recorded.
// A package that does not exist is not readable, and neither is one for which the policy
// wants a second factor.
//
// Outside of a guarded request it is an error, also on routes that [Config.Public] let
// through. With every error the answer is false.
func Readable(ctx context.Context, pkg policy.PackageName) (bool, error) {
	p, ok := ctx.Value(passKey{}).(*pass)
	if !ok {
		return false, errNoReader
	}
	return p.reader.readable(ctx, pkg)
}

// A reader is who sent a request that was handed over, as it was judged: what else is
// read on its behalf is judged for it.
type reader struct {
	auth *Auth
	act  actor
	addr netip.Addr
}

func (s *reader) readable(ctx context.Context, pkg policy.PackageName) (bool, error) {
	req := requests.Get().(*policy.Request)
	defer release(req)
	req.Operation = policy.Operation{Action: policy.ReadPackument, Package: pkg}
	req.Addr, req.Now, req.Credential = s.addr, s.auth.now(), s.act.cred
	if s.act.who != nil {
		req.Account = s.act.who.account
	}
	if err := s.auth.facts(ctx, req, false); err != nil {
		return false, err
	}
	return req.Package.ID != "" && s.auth.policy.DecideOn(req).Effect == policy.Allow, nil
}
