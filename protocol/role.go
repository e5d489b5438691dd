package protocol

import "github.com/npmauth/npmauth/internal/words"

// An OrgRole is a user's role in an organization. The zero value is none.
type OrgRole uint8

// The roles, with npm's names, each more than the one before it.
const (
	NoRole    OrgRole = iota
	OrgMember         // member: reads members, teams and packages
	OrgAdmin          // admin: creates teams and grants them packages
	OrgOwner          // owner: adds and removes members
)

var roleWords = words.List{NoRole: "none", OrgMember: "member", OrgAdmin: "admin", OrgOwner: "owner"}

// String returns the role's text: none, member, admin or owner.
func (r OrgRole) String() string { return roleWords.Text(uint8(r), "OrgRole") }

// MarshalText returns the role's text, or an error for a number that is no role.
func (r OrgRole) MarshalText() ([]byte, error) { return roleWords.Marshal(uint8(r), "OrgRole") }

// UnmarshalText reads a role's text. Any other text is an error.
func (r *OrgRole) UnmarshalText(text []byte) error {
	v, err := roleWords.Parse(text, "role")
	*r = OrgRole(v)
	return err
}
