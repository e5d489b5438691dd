package authz

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

// StillPends reports whether who has a trusted publisher pending for the name that q is about could add it now: they may
// have left the registry or lost the right to create the package. It is asked in the commit of an exchange, of which what
// it reads is a precondition.
func (a *Authorizer) StillPends(ctx context.Context, tx *store.Tx, q *Request, user protocol.UserID) (bool, error) {
	who, err := a.readPerson(ctx, tx, user)
	switch {
	case errors.Is(err, host.ErrInvalidToken):
		return false, nil
	case err != nil:
		return false, err
	}
	req := policy.Request{
		Operation: protocol.Operation{Action: protocol.WriteTrust, Package: q.Operation.Package}, Account: who.Account, Proof: policy.ProofKey,
		Credential: &policy.Credential{Kind: policy.KindSession, User: user, Created: q.Now, Expires: q.Now.Add(time.Hour)},
		Addr:       q.Addr, Now: q.Now,
	}
	req.Account.CIDRs = nil // they were met by the address that it was added from
	if req.Package, err = a.Packages.Facts(ctx, req.Operation.Package, user); err != nil {
		return false, err
	}
	return req.Package.ID == "" && q.policy.Decide(req).Effect == policy.Allow, nil
}

// bind tells the trusted publishers that a package exists which act has created.
func (a *Authorizer) bind(ctx context.Context, act Actor, addr netip.Addr, pkg trust.Package) error {
	return store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		facts, err := a.Packages.Facts(ctx, pkg.Name, "")
		if err != nil {
			return err
		}
		if pkg.ID == "" || facts.ID != pkg.ID {
			return fmt.Errorf("npmauth: Created: Packages has no package %s with the ID %q", pkg.Name, pkg.ID)
		}
		var made trust.Token
		if v := act.Verified; v != nil && v.issued != nil && v.issued.Owner != "" {
			switch who, err := a.readPending(ctx, tx, v.Credential.Creates); {
			case errors.Is(err, host.ErrInvalidToken): // there is no such user any more
			case err != nil:
				return err
			case !who.Owner.Disabled:
				made = *v.issued
			}
		}
		_, err = a.Trust.BindTx(ctx, tx, act.By(addr), pkg, made)
		return err
	})
}
