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
				assert.True(t, s.Applies, row.Text)
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

// On request only what is not npm's: a rule that was added, or replaced, or handed out and so
// perhaps changed.
func TestTraceOwn(t *testing.T) {
	npm := policy.NPM()
	assert.Empty(t, npm.Own())
	assert.Empty(t, npm.Explain(policy.Request{}).Own().Steps)
	cidr := says(policy.CodeCIDR, policy.Silent)
	p := npm.With(says("mine", policy.Permit)).Replace(cidr).WithLimits(policy.Limits{Tokens: 5})
	assert.Equal(t, []string{policy.CodeCIDR, "mine"}, p.Own())
	trace := p.Explain(request(protocol.Ping, nil))
	assert.Len(t, trace.Steps, len(npm.Rules())+1)
	own := trace.Own()
	require.Len(t, own.Steps, 2)
	assert.Equal(t, "mine", own.Steps[1].Rule)
	assert.Len(t, trace.Steps, len(npm.Rules())+1, "and the trace is as it was")
	assert.Len(t, policy.New(npm.Rules()...).Own(), len(npm.Rules()))
	var none *policy.Policy
	assert.Empty(t, none.Own())
}

// Who sent the request hears of a hidden package what they hear of one that does not exist.
func TestExplainToSender(t *testing.T) {
	p := policy.NPM().With(policy.Rule{
		ID: "labelled", Sentence: "It has a label.", Judge: func(r *policy.Request) policy.Verdict {
			if r.Package.HasLabel("critical") || r.Settings.Publish == protocol.FactorOnly || r.Org.ID != "" {
				return policy.Forbid
			}
			return policy.Silent
		},
	})
	tried := 0
	for _, a := range protocol.Actions() {
		hidden := request(a, &policy.Credential{ID: "t1", Kind: policy.KindSession})
		hidden.Package = policy.Facts{ID: "p", Private: true, Labels: []string{"critical"}}
		hidden.Settings.Publish = protocol.FactorOnly
		if !a.OfPackage() && !a.OfOrg() || a == protocol.ExchangeToken { // refused in one way, whatever the reason
			continue
		}
		if a.OfOrg() {
			hidden.Org = policy.OrgFacts{ID: "o-1"}
		}
		absent := hidden
		absent.Package, absent.Settings, absent.Org = policy.Facts{}, policy.Settings{}, policy.OrgFacts{}
		assert.Equal(t, p.Explain(absent), p.ExplainToSender(hidden), a.String())
		assert.NotEqual(t, p.Explain(hidden), p.ExplainToSender(hidden), a.String())
		tried++
	}
	assert.Greater(t, tried, 20)
	seen := request(protocol.Publish, &policy.Credential{ID: "t1", Kind: policy.KindSession})
	assert.Equal(t, p.Explain(seen), p.ExplainToSender(seen))
}
