package authz

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
)

// Prepare authenticates the sender of header, and sets all fields of req that a first decision
// takes; Operation and Addr are set already. It returns the service account that the operation
// names.
func (a *Authorizer) Prepare(ctx context.Context, header http.Header, req *policy.Request) (act Actor, service host.User, err error) {
	req.Now = a.Now()
	if act, err = a.authenticateFor(ctx, req.Operation.Action, header, req.Addr, req.Now); err != nil {
		return Actor{}, host.User{}, err
	}
	req.Credential = act.Credential
	if act.Person != nil {
		req.Account = act.Person.Account
	}
	service, err = a.Consult(ctx, req)
	return act, service, err
}

// Consult sets the fields of req that the host and the package's settings say, which may be as
// old as the caches allow. It returns the service account that the operation names.
func (a *Authorizer) Consult(ctx context.Context, req *policy.Request) (service host.User, err error) {
	op := &req.Operation
	if service, err = a.consultOthers(ctx, req); err != nil {
		return host.User{}, err
	}
	write := op.Action.Write()
	req.Settings = policy.Settings{}
	if !op.Package.IsZero() {
		if err = a.facts(ctx, req, write); err != nil {
			return host.User{}, err
		}
		// Without a right there is nothing to set a rule for.
		if write && req.Package.ID != "" && (req.Package.Rights&(policy.RightWrite|policy.RightAdmin) != 0 || publisherID(req) == req.Package.ID) {
			if req.Settings, err = a.PackageSettings(ctx, req.Package.ID, req.Now); err != nil {
				return host.User{}, err
			}
		}
	}
	for i, scope := range scopesOf(req) {
		if scope == "" {
			continue
		}
		s, err := a.ScopeSettings(ctx, scope, req.Now)
		if err != nil {
			return host.User{}, err
		}
		req.Settings = joined(req.Settings, s, i == 0)
	}
	return service, nil
}

// joined returns s with what was set for a scope, which is that of the package or only that of the organization.
func joined(s policy.Settings, scope settings.Scope, ofPackage bool) policy.Settings {
	if !ofPackage {
		scope = settings.Scope{KeysOnly: scope.KeysOnly}
	}
	return scope.Narrow(s)
}

// publisherID returns the package of a trusted publisher's credential, "" of any other.
func publisherID(req *policy.Request) protocol.PackageID {
	if req.Credential == nil || req.Credential.Kind != policy.KindPublisher {
		return ""
	}
	return req.Credential.Package
}

// creation returns what the credential of a pending trusted publisher creates, and the zero Creation of any other.
func creation(req *policy.Request) policy.Creation {
	if req.Credential == nil || req.Credential.Kind != policy.KindPublisher {
		return policy.Creation{}
	}
	return req.Credential.Creates
}

// scopesOf returns the scopes whose settings a decision about req takes: of a write, that of the package
// and that of the organization, which is the scope of its name. "" is none. The anonymous write nothing.
func scopesOf(req *policy.Request) (scopes [2]string) {
	op := &req.Operation
	if !op.Action.Write() || req.Account.ID == "" && publisherID(req) == "" && creation(req).Owner == "" {
		return scopes
	}
	scopes[0] = op.Package.Scope
	if op.Action.OfOrg() && op.Org != scopes[0] {
		scopes[1] = op.Org
	}
	return scopes
}

// consultOthers sets the facts of the organization and of the service account that req names. The
// anonymous have a part in neither.
func (a *Authorizer) consultOthers(ctx context.Context, req *policy.Request) (service host.User, err error) {
	op := &req.Operation
	if op.Action.OfOrg() && a.Orgs != nil && req.Account.ID != "" {
		if req.Org, err = a.Orgs.OrgFacts(ctx, op.Org, req.Account.ID); err != nil {
			return host.User{}, err
		}
		req.Org.Own = false // which another call says
		if op.Action == protocol.SetOrgFactor {
			own, err := a.OwnScope(ctx, req.Account.ID)
			if err != nil {
				return host.User{}, err
			}
			req.Org.Own = req.Org.ID == "" && own != "" && own == op.Org
		}
	}
	if op.Action.OfService() {
		service, req.Administers, err = a.administered(ctx, req.Account.ID, op.Service)
	}
	return service, err
}

// OwnScope returns the scope of the user's own name, "" if they have none: it is an organization's that has the name.
func (a *Authorizer) OwnScope(ctx context.Context, user protocol.UserID) (string, error) {
	if a.UserScopes == nil {
		return "", nil
	}
	own, err := a.UserScopes.OwnScope(ctx, user)
	if err != nil || !protocol.ValidOrg(own) {
		return "", err
	}
	taken, err := a.NamesOrg(ctx, own)
	if err != nil || taken {
		return "", err
	}
	return own, nil
}

// ListsOrgs reports whether people see what scopes they administer.
func (a *Authorizer) ListsOrgs() bool { return a.Memberships != nil || a.UserScopes != nil }

// consultIn is Consult for the final decision: it reads the settings in tx, then calls the host.
func (a *Authorizer) consultIn(ctx context.Context, tx *store.Tx, q *Request) (err error) {
	req := &q.Request
	before := req.Package.ID
	if before != "" {
		if req.Settings, err = a.Settings.Get(ctx, tx, before); err != nil {
			return err
		}
	}
	var ofScopes [2]settings.Scope
	for i, scope := range scopesOf(req) {
		if scope == "" {
			continue
		}
		s, err := a.Settings.Scope(ctx, tx, scope)
		if err != nil {
			return err
		}
		ofScopes[i] = s
	}
	if q.Service, err = a.consultOthers(ctx, req); err != nil {
		return err
	}
	if !req.Operation.Package.IsZero() {
		if err := a.facts(ctx, req, true); err != nil {
			return err
		}
	}
	if before == "" || req.Package.ID != before {
		req.Settings = policy.Settings{} // those of another package
	}
	for i, s := range ofScopes {
		req.Settings = joined(req.Settings, s, i == 0)
	}
	if q.Fill != nil {
		return q.Fill(ctx, tx, req)
	}
	return nil
}

// facts asks the host about req's package. Only what exists is remembered, and only for reads: a
// package that was just made must be there at once. What may not be seen is not
// remembered either, or the time of a second request told it from what is absent.
// A write forgets, so that whoever wrote reads what the host says afterwards; a read
// of theirs while the host still writes may bring back what was, for HostFresh.
//
// A pending trusted publisher may create what its user may, and has no right of theirs.
func (a *Authorizer) facts(ctx context.Context, req *policy.Request, write bool) (err error) {
	if c := creation(req); write && c.Owner != "" && c.Package == req.Operation.Package {
		req.Package, err = a.Packages.Facts(ctx, c.Package, c.Owner)
		req.Package.Rights = 0
		return err
	}
	if a.caches.hostFresh <= 0 {
		req.Package, err = a.Packages.Facts(ctx, req.Operation.Package, req.Account.ID)
		return err
	}
	key := factsKey{req.Operation.Package, req.Account.ID}
	if write {
		a.caches.facts.Drop(key)
	} else if f, ok := a.caches.facts.Get(key, req.Now); ok {
		req.Package = f
		return nil
	}
	fill := a.caches.facts.Begin(key)
	req.Package, err = a.Packages.Facts(ctx, key.pkg, key.user)
	f := &req.Package
	if err == nil && !write && f.ID != "" && (!f.Private || f.Rights.Has(policy.RightRead)) {
		a.caches.facts.Put(key, *f, req.Now, fill)
	}
	return err
}

// PackageSettings returns the settings of a package, without those of its scope. They may be as old as
// the cache allows.
func (a *Authorizer) PackageSettings(ctx context.Context, id protocol.PackageID, now time.Time) (policy.Settings, error) {
	if s, ok := a.caches.settings.Get(id, now); ok {
		return s, nil
	}
	fill := a.caches.settings.Begin(id)
	s, err := a.Settings.Get(ctx, a.unobserved, id)
	if err == nil {
		a.caches.settings.Put(id, s, now, fill)
	}
	return s, err
}

// ScopeSettings returns the settings of a scope, which may be as old as the cache allows.
func (a *Authorizer) ScopeSettings(ctx context.Context, scope string, now time.Time) (settings.Scope, error) {
	if s, ok := a.caches.scopes.Get(scope, now); ok {
		return s, nil
	}
	fill := a.caches.scopes.Begin(scope)
	s, err := a.Settings.Scope(ctx, a.unobserved, scope)
	if err == nil {
		a.caches.scopes.Put(scope, s, now, fill)
	}
	return s, err
}

// administered asks the host who the service account called name is, and whether admin
// administers it. Nobody and a person are the zero User.
func (a *Authorizer) administered(ctx context.Context, admin protocol.UserID, name string) (host.User, bool, error) {
	if a.Services == nil || admin == "" || name == "" {
		return host.User{}, false, nil
	}
	user, administers, err := a.Services.Administers(ctx, admin, name)
	switch {
	case errors.Is(err, host.ErrNoUser):
		return host.User{}, false, nil
	case err != nil:
		return host.User{}, false, err
	case user.ID == "" || !user.Service:
		return host.User{}, false, nil
	}
	return user, administers, nil
}
