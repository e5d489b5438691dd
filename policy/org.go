package policy

import "github.com/npmauth/npmauth/protocol"

// OrgFacts is what the host says about an organization and about the role of the request's user in
// it. The zero value is an organization that does not exist.
type OrgFacts struct {
	ID   protocol.OrgID
	Role protocol.OrgRole // of the user
	// RequireFactor reports whether the organization requires a second factor of its members. The
	// Role of a user who has none does not count then.
	RequireFactor bool
	// Own reports that the scope of that name is the user's own: they set for it what an owner of an
	// organization sets for its scope, and there is nothing else of an organization. It does not count beside an
	// ID: the scope is the organization's.
	Own bool
}

// orgReach is what the credential's grants allow on the organization of that name. No
// grant limits a session; only a token's grants reach an organization.
func (c *Credential) orgReach(org string) reach {
	switch c.Kind {
	case KindSession:
		return reaches | reachRead | reachWrite
	case KindToken:
	default:
		return 0
	}
	var r reach
	for i := range c.Grants {
		g := &c.Grants[i]
		if g.Target != protocol.OneOrg || org == "" || g.Scope != org || !g.Package.IsZero() || g.Verbs != 0 {
			continue // what says more than its target covers nothing
		}
		r |= reaches
		switch g.Permission {
		case protocol.ReadOnly:
			r |= reachRead
		case protocol.ReadWrite:
			r |= reachRead | reachWrite
		}
	}
	return r
}
