package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

func TestDefaultLimits(t *testing.T) {
	const day = 24 * time.Hour
	l := policy.DefaultLimits()
	require.NoError(t, l.Validate())
	assert.Equal(t, policy.Limits{
		SessionTTL: 2 * time.Hour, WriteTokenTTL: 7 * day, MaxWriteTokenTTL: 90 * day, ReadTokenTTL: 30 * day, MinTokenTTL: day,
		TokenWarning: 7 * day,
		Tokens:       1000, Targets: 50, Orgs: 50, RecoveryCodes: 5, HighImpactHold: 3 * day,
	}, l)
	assert.NoError(t, policy.Limits{}.Validate())
}

func TestLimitsValidate(t *testing.T) {
	for _, tt := range []struct {
		field string
		l     policy.Limits
	}{
		{"SessionTTL", policy.Limits{SessionTTL: -1}},
		{"SessionTTL", policy.Limits{SessionTTL: 12*time.Hour + 1}},
		{"WriteTokenTTL", policy.Limits{WriteTokenTTL: -1}},
		{"WriteTokenTTL", policy.Limits{WriteTokenTTL: 90*24*time.Hour + 1}},
		{"WriteTokenTTL", policy.Limits{MaxWriteTokenTTL: 48 * time.Hour}}, // npm's default is more
		{"MaxWriteTokenTTL", policy.Limits{MaxWriteTokenTTL: -1}},
		{"MaxWriteTokenTTL", policy.Limits{MaxWriteTokenTTL: policy.MaxTokenTTL + 1}},
		{"ReadTokenTTL", policy.Limits{ReadTokenTTL: -1}},
		{"ReadTokenTTL", policy.Limits{ReadTokenTTL: policy.MaxTokenTTL + 1}},
		{"MinTokenTTL", policy.Limits{MinTokenTTL: -1}},
		{"MinTokenTTL", policy.Limits{MinTokenTTL: 7*24*time.Hour + 1}},
		{"TokenWarning", policy.Limits{TokenWarning: -1}},
		{"Tokens", policy.Limits{Tokens: -1}},
		{"Tokens", policy.Limits{Tokens: 3001}},
		{"Targets", policy.Limits{Targets: -5}},
		{"Targets", policy.Limits{Targets: 101}},
		{"Orgs", policy.Limits{Orgs: -1}},
		{"Orgs", policy.Limits{Orgs: 51}},
		{"RecoveryCodes", policy.Limits{RecoveryCodes: -1}},
		{"RecoveryCodes", policy.Limits{RecoveryCodes: 21}},
		{"HighImpactHold", policy.Limits{HighImpactHold: -1}},
	} {
		err := tt.l.Validate()
		require.ErrorIs(t, err, policy.ErrLimits, "%+v", tt.l)
		assert.ErrorContains(t, err, tt.field)
	}
	assert.NoError(t, policy.Limits{
		SessionTTL: 12 * time.Hour, MaxWriteTokenTTL: policy.MaxTokenTTL, ReadTokenTTL: policy.MaxTokenTTL, MinTokenTTL: 7 * 24 * time.Hour,
		Tokens: 3000, Targets: 100, Orgs: 50, RecoveryCodes: 20,
	}.Validate(), "the most is allowed")
}

// AU-31: there is no other place for the limits than the policy, which always has some.
func TestPolicyLimits(t *testing.T) {
	var none *policy.Policy
	for name, p := range map[string]*policy.Policy{"nil": none, "zero": {}, "npm": policy.NPM(), "own": policy.New(says("a", policy.Permit))} {
		assert.Equal(t, policy.DefaultLimits(), p.Limits(), name)
	}
	p := policy.NPM().WithLimits(policy.Limits{SessionTTL: time.Hour})
	want := policy.DefaultLimits()
	want.SessionTTL = time.Hour
	for name, q := range map[string]*policy.Policy{
		"set": p, "with a rule": p.With(says("a", policy.Permit)), "without one": p.Without("cidr"), "with one replaced": p.Replace(says("cidr", policy.Silent)),
	} {
		require.NoError(t, q.Err(), name)
		assert.Equal(t, want, q.Limits(), name)
	}
	want.SessionTTL, want.Tokens = 2*time.Hour, 5
	assert.Equal(t, want, p.WithLimits(policy.Limits{Tokens: 5}).Limits(), "what is not said again is npm's")

	// A rule that is asked outside of a decision knows npm's.
	for _, rule := range p.Rules() {
		if rule.ID == "account-held" {
			r := request(protocol.Publish, &policy.Credential{Kind: policy.KindSession})
			r.Account.HighImpact, r.Account.Recovered = true, now.Add(-71*time.Hour)
			assert.Equal(t, policy.Forbid, rule.Judge(&r))
		}
	}
}
