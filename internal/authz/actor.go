package authz

import (
	"net/netip"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/subject"
)

// An Actor is the sender of a request: a live credential and its user. Both are shared with the
// caches and must not be changed. The zero Actor is anonymous.
type Actor struct {
	Credential *policy.Credential
	Person     *Person
	Verified   *Verified // whose Credential is the one above
	Notice     string    // what npm is to print to the anonymous whose credential has ended, "" mostly
	first      bool      // of the requests with that credential, for a minute
}

// By returns the actor as events have it, at the address.
func (a Actor) By(addr netip.Addr) audit.Actor {
	if a.Credential == nil {
		return audit.Actor{Addr: addr}
	}
	return audit.Actor{User: a.Credential.User, Credential: a.Credential.ID, Addr: addr}
}

// Session returns the public ID of the actor's session, "" for any other credential.
func (a Actor) Session() string {
	if a.Credential == nil || a.Credential.Kind != policy.KindSession {
		return ""
	}
	return a.Credential.ID
}

// Identity returns the actor as the host has it.
func (a Actor) Identity() host.Identity {
	if a.Credential == nil {
		return host.Identity{}
	}
	return host.Identity{User: a.Credential.User, Name: a.Person.Account.Name, Credential: a.Credential.ID, Kind: a.Credential.Kind}
}

// A Person is a user as the host and the subject row have them.
type Person struct {
	Account policy.Account
	Subject subject.Subject
	User    host.User
}
