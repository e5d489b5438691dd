package policy

import "github.com/npmauth/npmauth/protocol"

// OrgFacts is what the host says of an organization and of the asking user's part in
// it. The zero value is one that does not exist.
type OrgFacts struct {
	ID   protocol.OrgID
	Role protocol.OrgRole // of the asking user
	// RequireFactor is the organization's rule that its members have a second factor.
	// Who has none is no member while it holds.
	RequireFactor bool
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
