package authz

import (
	"net/netip"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/trust"
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
	who := host.Identity{User: a.Credential.User, Name: a.Person.Account.Name, Credential: a.Credential.ID, Kind: a.Credential.Kind}
	if v := a.Verified; v != nil && v.issued != nil {
		t := v.issued
		who.Publisher = &host.Publisher{ID: t.Publisher, Type: t.Kind.String(), Issuer: t.Issuer, Run: t.Run, Owner: t.Owner}
	}
	return who
}

// sender returns whose share of the memory the actor's requests use.
func (a Actor) sender() budget.Sender {
	switch c := a.Credential; {
	case c.Package != "":
		return budget.Publisher(string(c.Package))
	case c.Creates != policy.Creation{}:
		return budget.User(string(c.Creates.Owner))
	}
	return budget.User(string(a.Credential.User))
}

// A Person is whom a credential belongs to: a user as the host and the subject row have them. For the
// credential of a trusted publisher it is nobody, with the publishers that its package or scope has, or those that are pending
// for a name and the user for whom they create the package.
type Person struct {
	Account    policy.Account
	Subject    subject.Subject
	User       host.User
	Publishers trust.State
	Owner      host.User
}

// evidence are the rows that it was read from.
func (p *Person) evidence() []store.Evidence {
	return append(p.Subject.Evidence[:len(p.Subject.Evidence):len(p.Subject.Evidence)], p.Publishers.Evidence...)
}

// A holder is whom a credential belongs to: a user, or the trusted publishers of a package or of a scope, or those that a
// user has pending for a name.
type holder struct {
	user    protocol.UserID
	pkg     protocol.PackageID
	scope   string
	creates policy.Creation
}

// holder returns whom v belongs to.
func (v *Verified) holder() holder {
	c := &v.Credential
	if v.issued != nil && v.issued.Scope != "" {
		return holder{scope: v.issued.Scope}
	}
	return holder{user: c.User, pkg: c.Package, creates: c.Creates}
}

// pending reports whether the holder are pending trusted publishers. They are kept in no cache: a name is published for
// the first time once.
func (h holder) pending() bool { return h.creates != policy.Creation{} }

// SameHolder reports whether two credentials belong to the same user, or to jobs that publish the same package or name.
func SameHolder(a, b *policy.Credential) bool {
	return a.User == b.User && a.Package == b.Package && a.Creates == b.Creates
}
