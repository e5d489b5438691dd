package wire

import "github.com/npmauth/npmauth/protocol"

// An Org is an organization in the list of those that a user is in, or the scope of the user's own name, which npmauth adds
// to npm's.
type Org struct {
	Name string `json:"name"`
	Role string `json:"role"` // developer, admin or owner
	// Own reports that it is no organization but the scope of the user's own name, whose owner the user is.
	Own        bool `json:"own,omitempty"`
	Require2FA bool `json:"require_2fa"` // of its members
	// MaySet2FA reports whether the user may change that, as its owner.
	MaySet2FA bool `json:"may_set_2fa"`
	// KeysOnly reports whether only security keys count, for the organization and the packages of its
	// scope, and MaySetKeysOnly whether the user may change that, as its owner.
	KeysOnly       bool `json:"keys_only"`
	MaySetKeysOnly bool `json:"may_set_keys_only"`
	// PublishersOnly reports whether only trusted publishers may publish the packages of its scope, and
	// MaySetPublishersOnly whether the user may change that, as its owner in a registry that has them.
	PublishersOnly       bool `json:"publishers_only"`
	MaySetPublishersOnly bool `json:"may_set_publishers_only"`
	// StageOnly reports whether the packages of its scope are published only by approving staged versions,
	// Approvals is how many people must approve one, zero in a registry without staging, and OtherApprover
	// reports whether who staged it may not be among them. MaySetStaging reports whether the user may change
	// these, as its owner in a registry that has staging.
	StageOnly     bool `json:"stage_only"`
	Approvals     int  `json:"approvals"`
	OtherApprover bool `json:"other_approver"`
	MaySetStaging bool `json:"may_set_staging"`
}

// RoleWord returns npm's word for a role: a member is a developer.
func RoleWord(r protocol.OrgRole) string {
	if r == protocol.OrgMember {
		return "developer"
	}
	return r.String()
}
