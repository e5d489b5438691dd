package authz

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
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
	if h.Documents != nil {
		a.Documents = guardedDocuments{h.Documents}
	}
	if h.Orgs != nil {
		a.Orgs = guardedOrgs{h.Orgs}
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
