package policy

// An OrgID identifies an organization for ever, whoever has its name later. "" is an
// organization that does not exist.
type OrgID string

// An OrgRole is a user's part in an organization. The zero value is none.
type OrgRole uint8

// The roles, with npm's names, each more than the one before it.
const (
	NoRole    OrgRole = iota
	OrgMember         // member: reads members, teams and packages
	OrgAdmin          // admin: makes teams and grants them packages
	OrgOwner          // owner: says who is in the organization
)

var roleWords = words{NoRole: "none", OrgMember: "member", OrgAdmin: "admin", OrgOwner: "owner"}

// String returns the role's text: none, member, admin or owner.
func (r OrgRole) String() string { return roleWords.text(uint8(r), "OrgRole") }

// MarshalText returns the role's text, or an error for a number that is no role.
func (r OrgRole) MarshalText() ([]byte, error) { return roleWords.marshal(uint8(r), "OrgRole") }

// UnmarshalText reads a role's text. Any other text is an error.
func (r *OrgRole) UnmarshalText(text []byte) error {
	v, err := roleWords.parse(text, "role")
	*r = OrgRole(v)
	return err
}

// OrgFacts is what the host says of an organization and of the asking user's part in
// it. The zero value is one that does not exist.
type OrgFacts struct {
	ID   OrgID
	Role OrgRole // of the asking user
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
		if g.Target != OneOrg || org == "" || g.Scope != org || !g.Package.IsZero() || g.Verbs != 0 {
			continue // what says more than its target covers nothing
		}
		r |= reaches
		switch g.Permission {
		case ReadOnly:
			r |= reachRead
		case ReadWrite:
			r |= reachRead | reachWrite
		}
	}
	return r
}
