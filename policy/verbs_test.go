package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
)

// Every grant with verbs allows what each of its verbs alone allows, and nothing that the
// same grant without verbs does not.
func TestVerbsNarrow(t *testing.T) {
	p := policy.NPM()
	effect := func(a policy.Action, g policy.Grant, absent bool) policy.Effect {
		r := request(a, &policy.Credential{Kind: policy.KindToken, Bypass: true, Grants: []policy.Grant{g}})
		r.Package.Rights |= policy.RightAdmin
		if absent {
			r.Package = policy.Facts{MayCreate: true}
		}
		return p.Decide(r).Effect
	}
	for _, target := range []policy.Grant{
		{Target: policy.AllPackages, Permission: policy.ReadWrite},
		{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadWrite},
		{Target: policy.OnePackage, Package: widget, Permission: policy.ReadWrite},
	} {
		for v := range policy.Verbs(1 << 6) {
			if v == 0 {
				continue
			}
			g := target
			g.Verbs = v
			for a, verb := range verbs {
				assert.Equal(t, v&verb != 0, effect(a, g, false) == policy.Allow, "%v: %v", g, a)
			}
			creates := v&policy.VerbCreate != 0 && target.Target != policy.OnePackage
			assert.Equal(t, creates, effect(policy.Publish, g, true) == policy.Allow, "%v creates", g)
			for _, a := range manageActions {
				assert.Equal(t, policy.Deny, effect(a, g, false), "%v: %v", g, a)
			}
		}
		for a := range verbs {
			assert.Equal(t, policy.Allow, effect(a, target, false), "%v: %v", target, a)
		}
	}
}
