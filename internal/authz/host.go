package authz

import (
	"context"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
)

// Host is the host's side. What is nil there is not.
type Host struct {
	Users     host.Users
	Packages  host.Packages
	Documents host.Documents
	Orgs      host.Orgs
	Services  host.Services
	Foreign   func(context.Context, credential.Secret) (host.ForeignToken, error)
}

// Plug sets the fields that are the host's, with its panics caught.
func (a *Authorizer) Plug(h Host) {
	a.Packages = guardedPackages{h.Packages}
	if t, ok := h.Packages.(host.Tarballs); ok {
		a.Tarballs = guardedTarballs{t}
	}
	if h.Documents != nil {
		a.Documents = guardedDocuments{h.Documents}
	}
	if h.Orgs != nil {
		a.Orgs = guardedOrgs{h.Orgs}
		if m, ok := h.Orgs.(host.Memberships); ok {
			a.Memberships = guardedMemberships{m}
		}
		if f, ok := h.Orgs.(host.FactorRules); ok {
			a.FactorRules = guardedFactorRules{f}
		}
		if s, ok := h.Orgs.(host.UserScopes); ok {
			a.UserScopes = guardedUserScopes{s}
		}
	}
	if h.Foreign != nil {
		a.Foreign = guardedForeign(h.Foreign)
	}
	a.usePeople(h.Users, h.Services)
}

// usePeople plugs in who keeps the people, with all that they can do besides.
func (a *Authorizer) usePeople(users host.Users, services host.Services) {
	a.Users = guardedUsers{users}
	if s, ok := users.(host.SignUp); ok {
		a.SignUps = guardedSignUp{s}
	}
	if p, ok := users.(host.Profiles); ok {
		a.Profiles = guardedProfiles{p}
	}
	if p, ok := users.(host.Passwords); ok {
		a.Passwords = guardedPasswords{p}
	}
	if services == nil {
		services, _ = users.(host.Services)
	}
	if services != nil {
		a.Services = guardedServices{services}
	}
}
