package wire

import "github.com/npmauth/npmauth/protocol"

// An Org is an organization in the list of those that a user is in, which npmauth adds to npm's.
type Org struct {
	Name       string `json:"name"`
	Role       string `json:"role"`        // developer, admin or owner
	Require2FA bool   `json:"require_2fa"` // of its members
	// MaySet2FA reports whether the user may change that, as its owner.
	MaySet2FA bool `json:"may_set_2fa"`
}

// RoleWord returns npm's word for a role: a member is a developer.
func RoleWord(r protocol.OrgRole) string {
	if r == protocol.OrgMember {
		return "developer"
	}
	return r.String()
}
