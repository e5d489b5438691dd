package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Every grant with verbs allows what each of its verbs alone allows, and nothing that the
// same grant without verbs does not.
func TestVerbsNarrow(t *testing.T) {
	p := policy.NPM()
	writes := actionsOf(func(a protocol.Action) bool { return a.Verb() != 0 })
	effect := func(a protocol.Action, g protocol.Grant, absent bool) policy.Effect {
		person := a == protocol.ApproveStaged
		r := request(a, &policy.Credential{Kind: policy.KindToken, Bypass: !person, Grants: []protocol.Grant{g}})
		if person {
			r.Operation.Package, r.Package = widget, policy.Facts{ID: "p", Rights: policy.RightRead | policy.RightWrite}
			r.Account.TwoFactor, r.Proof = protocol.AuthOnly, policy.ProofTOTP
		}
		r.Package.Rights |= policy.RightAdmin
		if absent {
			r.Package = policy.Facts{MayCreate: true}
		}
		return p.Decide(r).Effect
	}
	for _, target := range []protocol.Grant{
		{Target: protocol.AllPackages, Permission: protocol.ReadWrite},
		{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite},
		{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite},
	} {
		for v := range protocol.Verbs(1 << 6) {
			if v == 0 {
				continue
			}
			g := target
			g.Verbs = v
			for _, a := range writes {
				assert.Equal(t, v&a.Verb() != 0, effect(a, g, false) == policy.Allow, "%v: %v", g, a)
			}
			creates := v&protocol.VerbCreate != 0 && target.Target != protocol.OnePackage
			assert.Equal(t, creates, effect(protocol.Publish, g, true) == policy.Allow, "%v creates", g)
			for _, a := range []protocol.Action{protocol.WriteOwners, protocol.SetAccess} {
				assert.Equal(t, policy.Deny, effect(a, g, false), "%v: %v", g, a)
			}
		}
		for _, a := range writes {
			assert.Equal(t, policy.Allow, effect(a, target, false), "%v: %v", target, a)
		}
	}
}
