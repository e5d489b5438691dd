package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Explain decides what Decide does, and has a step for every rule.
func TestExplainAgrees(t *testing.T) {
	p := policy.NPM()
	for _, row := range decisionRows(t) {
		trace := p.Explain(row.Request)
		assert.Equal(t, p.Decide(row.Request), trace.Decision, row.Text)
		require.Len(t, trace.Steps, len(p.Rules()))
		var permits, needs, forbids int
		for i, s := range trace.Steps {
			require.Equal(t, p.Rules()[i].ID, s.Rule)
			if s.Verdict != policy.Silent {
				assert.True(t, s.Asked, row.Text)
			}
			switch s.Verdict {
			case policy.Permit:
				permits++
			case policy.NeedProof:
				needs++
			case policy.Forbid:
				forbids++
			}
		}
		want := policy.Allow
		switch {
		case forbids > 0 || permits == 0:
			want = policy.Deny
		case needs > 0:
			want = policy.Challenge
		}
		assert.Equal(t, want, trace.Decision.Effect, "%s\n%v", row.Text, trace)
		assert.Equal(t, want == policy.Allow, trace.Decision.Reasons == nil, "reasons are for those refused and challenged: %s", row.Text)
	}
}

// The trace tells those who run the registry what the answer must not tell.
func TestExplainHiddenPackage(t *testing.T) {
	r := request(protocol.Publish, &policy.Credential{ID: "t1", Kind: policy.KindToken, Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}})
	r.Package = policy.Facts{ID: "p", Private: true}
	text := policy.NPM().Explain(r).String()
	assert.Contains(t, text, "deny: publish @acme/widget by token t1 of alice")
	assert.Contains(t, text, "forbid      hidden-package")
	assert.Contains(t, text, "answer      may-not-create")
	assert.NotContains(t, text, "answer      hidden-package")

	r.Operation.Action = protocol.SetDistTag
	assert.Contains(t, policy.NPM().Explain(r).String(), "answer      hidden-package (as if absent)")
}

// npm puts tokens into paths, and so into the name of these two operations.
func TestTraceKeepsTokensOut(t *testing.T) {
	for _, a := range []protocol.Action{protocol.Logout, protocol.RevokeToken} {
		r := request(a, &policy.Credential{Kind: policy.KindSession})
		r.Operation.Token = "npm_secret"
		trace := policy.NPM().Explain(r)
		assert.NotContains(t, trace.String(), "npm_secret")
		data, err := json.Marshal(trace)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "npm_secret")
	}
}
