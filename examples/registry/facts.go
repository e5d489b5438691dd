package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// Facts answers npmauth's calls about packages and organizations: the present state, and the
// user's rights. Maintainers administer a package, and so do the owners and admins of the
// organization that has the name of its scope; teams have the rights that they were granted.
// Any signed-in user may take an unscoped name that is free. @name belongs to the organization
// of that name, or to the user if there is none.
type facts struct {
	db       *database
	people   *people
	tarballs *tarballs
	// evidence is whether the policy asks how the newest version of a package was published.
	evidence bool
}

// Facts implements [host.Packages].
func (f facts) Facts(ctx context.Context, name protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	o, err := f.orgOf(ctx, name.Scope)
	if err != nil {
		return policy.Facts{}, err
	}
	p, err := f.db.find(ctx, name.String())
	if err != nil && !errors.Is(err, errNoPackage) {
		return policy.Facts{}, err
	}
	about := policy.Facts{ID: p.ID, Private: p.Private, RequireFactor: o.Factor}
	if f.evidence && p.ID != "" {
		if about.Evidence, err = f.db.evidence(ctx, p.ID); err != nil {
			return policy.Facts{}, err
		}
	}
	if user == "" {
		return about, nil
	}
	// Both are read, whether there is a package or not: a stranger to a private one must not
	// find out by the time that it takes.
	g, err := f.db.grade(ctx, p.ID, user)
	if err != nil {
		return policy.Facts{}, err
	}
	may, err := f.mayCreate(ctx, name, o, user)
	switch {
	case err != nil:
		return policy.Facts{}, err
	case p.ID == "":
		about.MayCreate = may
		return about, nil
	}
	about.Rights = g.rights()
	if !p.Private {
		about.Rights |= policy.RightRead
	}
	return about, nil
}

// orgOf returns the organization of a scope, zero if there is none.
func (f facts) orgOf(ctx context.Context, scope string) (org, error) {
	if scope == "" {
		return org{}, nil
	}
	o, err := f.db.findOrg(ctx, scope)
	if errors.Is(err, errNoOrg) {
		return org{}, nil
	}
	return o, err
}

// mayCreate reports whether user may have a name that no package has, in the scope of o.
func (f facts) mayCreate(ctx context.Context, name protocol.PackageName, o org, user protocol.UserID) (bool, error) {
	// Upper case is for old packages; a new one could pass for another.
	if s := name.String(); s != strings.ToLower(s) {
		return false, nil
	}
	switch {
	case name.Scope == "":
		return mayTake(ctx, f.db.db, name.Name, user)
	case o.ID != "":
		role, err := f.db.role(ctx, o.ID, user)
		return role != protocol.NoRole, err
	}
	own, err := f.people.name(ctx, user) // the user of that name
	return name.Scope == own, err
}

// Document implements [host.Documents].
func (f facts) Document(ctx context.Context, name protocol.PackageName) (host.Document, error) {
	is, messages, err := f.db.messages(ctx, name.String())
	if errors.Is(err, errNoPackage) { // deleted a moment ago
		return host.Document{}, nil
	}
	if err != nil {
		return host.Document{}, err
	}
	doc := host.Document{ID: is.ID, Revision: is.rev(), Tags: is.tags, Versions: messages}
	doc.Maintainers, err = f.people.list(ctx, is.owners)
	return doc, err
}

// StagedTarball implements [host.Tarballs].
func (f facts) StagedTarball(ctx context.Context, id string) (io.ReadCloser, error) {
	p, err := f.db.staged(ctx, id)
	if errors.Is(err, errNotStaged) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return f.tarballs.open(p.Release.Tarball)
}

// PublishedTarball implements [host.Tarballs].
func (f facts) PublishedTarball(ctx context.Context, id protocol.PackageID, version string) (io.ReadCloser, error) {
	r, err := f.db.release(ctx, id, version)
	if errors.Is(err, errNoVersion) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return f.tarballs.open(r.Tarball)
}

// OrgFacts implements [host.Orgs].
func (f facts) OrgFacts(ctx context.Context, name string, user protocol.UserID) (policy.OrgFacts, error) {
	o, err := f.db.findOrg(ctx, name)
	if errors.Is(err, errNoOrg) {
		return policy.OrgFacts{}, nil
	}
	if err != nil {
		return policy.OrgFacts{}, err
	}
	role, err := f.db.role(ctx, o.ID, user)
	return policy.OrgFacts{ID: o.ID, Role: role, RequireFactor: o.Factor}, err
}

// FactorRequired implements [host.Orgs].
func (f facts) FactorRequired(ctx context.Context, user protocol.UserID) (bool, error) {
	return f.db.demanded(ctx, user)
}

// Memberships implements [host.Memberships].
func (f facts) Memberships(ctx context.Context, user protocol.UserID) ([]host.Membership, error) {
	return f.db.memberships(ctx, user)
}

// OwnScope implements [host.UserScopes].
func (f facts) OwnScope(ctx context.Context, user protocol.UserID) (string, error) {
	return f.people.name(ctx, user)
}

// SetRequireFactor implements [host.FactorRules].
func (f facts) SetRequireFactor(_ context.Context, id protocol.OrgID, require bool) (host.Write, error) {
	return func(ctx context.Context) error {
		err := f.db.requireFactor(ctx, id, require)
		if errors.Is(err, errOrgMoved) {
			return &wire.Error{Status: http.StatusConflict, Code: "changed", Sentence: "The organization was removed or replaced. Try again."}
		}
		return err
	}, nil
}

var (
	_ host.Packages    = facts{}
	_ host.Documents   = facts{}
	_ host.Orgs        = facts{}
	_ host.Tarballs    = facts{}
	_ host.Memberships = facts{}
	_ host.FactorRules = facts{}
	_ host.UserScopes  = facts{}
)
