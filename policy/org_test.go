package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A grant on an organization is for its whole name and no other, and says nothing beyond
// its target.
func TestOrgGrants(t *testing.T) {
	p := policy.NPM()
	decide := func(a protocol.Action, kind policy.Kind, g protocol.Grant) policy.Decision {
		r := request(a, &policy.Credential{Kind: kind, Grants: []protocol.Grant{g}})
		r.Org = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
		return p.Decide(r)
	}
	read := protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadOnly}
	write := protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}
	assert.Equal(t, policy.Allow, decide(protocol.ReadOrg, policy.KindToken, read).Effect)
	assert.Equal(t, policy.Allow, decide(protocol.ReadOrg, policy.KindToken, write).Effect)
	assert.Equal(t, []string{"read-only-org-token"}, codes(decide(protocol.WriteOrg, policy.KindToken, read)))
	assert.Equal(t, policy.Challenge, decide(protocol.WriteOrg, policy.KindToken, write).Effect)
	for name, change := range map[string]func(g *protocol.Grant){
		"no permission":          func(g *protocol.Grant) { g.Permission = protocol.NoAccess },
		"stage-only":             func(g *protocol.Grant) { g.Permission = protocol.StageOnly },
		"another":                func(g *protocol.Grant) { g.Scope = "acme-evil" },
		"another case":           func(g *protocol.Grant) { g.Scope = "Acme" },
		"no name":                func(g *protocol.Grant) { g.Scope = "" },
		"the scope of that name": func(g *protocol.Grant) { g.Target = protocol.OneScope },
		"a package as well":      func(g *protocol.Grant) { g.Package = widget },
		"verbs":                  func(g *protocol.Grant) { g.Verbs = protocol.VerbPublish },
	} {
		g := write
		change(&g)
		for _, a := range []protocol.Action{protocol.ReadOrg, protocol.WriteOrg} {
			d := decide(a, policy.KindToken, g)
			assert.Equal(t, policy.Deny, d.Effect, "%s: %v", name, a)
			assert.True(t, d.Has("no-org-grant"), "%s: %v", name, a)
			hidden := request(a, &policy.Credential{Kind: policy.KindToken, Grants: []protocol.Grant{g}})
			assert.Equal(t, p.Decide(hidden), d, "%s: %v: as if there were none", name, a)
		}
	}
	for _, kind := range []policy.Kind{policy.KindPublisher, policy.KindForeign} {
		assert.Equal(t, policy.Deny, decide(protocol.ReadOrg, kind, write).Effect, "%v", kind)
	}
}

// A rule of the host's that knows about an organization does not tell of one that is hidden.
func TestConcealedOrg(t *testing.T) {
	frozen := policy.Rule{ID: "frozen-org", Sentence: "Frozen.", Actions: []protocol.Action{protocol.ReadOrg, protocol.GrantTeam}, Judge: func(r *policy.Request) policy.Verdict {
		if r.Org.ID != "" || r.Org.RequireFactor || r.Package.ID != "" {
			return policy.Forbid
		}
		return policy.Silent
	}}
	p := policy.NPM().With(frozen)
	for _, a := range frozen.Actions {
		hidden := request(a, &policy.Credential{Kind: policy.KindSession})
		hidden.Org = policy.OrgFacts{ID: "o-1", RequireFactor: true}
		hidden.Account.TwoFactor = protocol.TwoFactorOff
		absent := hidden
		absent.Org = policy.OrgFacts{}
		d := p.Decide(hidden)
		assert.True(t, d.Conceals(), "%v", a)
		assert.False(t, d.Has("frozen-org"), "%v", a)
		assert.Equal(t, p.Decide(absent), d, "%v", a)

		hidden.Org.Role = protocol.OrgMember
		assert.True(t, p.Decide(hidden).Has("frozen-org"), "%v", a)
	}
}
