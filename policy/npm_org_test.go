package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A role that this version does not know is none: the organization stays hidden.
func TestUnknownRoleIsConcealed(t *testing.T) {
	p := policy.NPM()
	for _, a := range []protocol.Action{protocol.ReadOrg, protocol.ReadTeam, protocol.WriteOrg, protocol.WriteTeamMember} {
		decide := func(f policy.OrgFacts) policy.Decision {
			r := request(a, &policy.Credential{Kind: policy.KindSession})
			r.Org = f
			return p.Decide(r)
		}
		for _, role := range []protocol.OrgRole{protocol.NoRole, protocol.OrgOwner + 1, 99} {
			d := decide(policy.OrgFacts{ID: "o-1", Role: role})
			assert.True(t, d.Has("hidden-org"), "%v as %d: %v", a, role, codes(d))
			assert.True(t, d.Conceals(), "%v as %d", a, role)
			assert.Equal(t, decide(policy.OrgFacts{}), d, "%v as %d: as if there were none", a, role)
		}
		assert.False(t, decide(policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}).Conceals(), "%v as the last role that is known", a)
	}
}
