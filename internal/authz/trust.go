package authz

import (
	"context"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
)

// TrustPackage returns the package that q is about as package trust knows it, with the organization whose trusted publishers
// publish it, too: that which the host has under the name of its scope.
func (a *Authorizer) TrustPackage(ctx context.Context, q *Request) (trust.Package, error) {
	pkg := trust.Package{ID: q.Package.ID, Name: q.Operation.Package}
	if a.Orgs == nil || !protocol.ValidOrg(pkg.Name.Scope) {
		return pkg, nil
	}
	org, err := a.Orgs.OrgFacts(ctx, pkg.Name.Scope, "")
	pkg.Org = org.ID
	return pkg, err
}
