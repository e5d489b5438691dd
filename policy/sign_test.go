package policy_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A rule is asked less often than it concerns. Each, alone with one that permits and alone with
// none, comes to what it comes to where it is always asked, as a rule is that was taken
// out of Rules.
func TestRulesThatAreNotAskedAreSilent(t *testing.T) {
	n := 20_000
	if testing.Short() || raceEnabled {
		n = 2_000
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	requests := make([]policy.Request, n)
	for i := range requests {
		requests[i] = randomRequest(rnd)
	}
	for _, row := range decisionRows(t) {
		requests = append(requests, row.Request)
	}

	npm := policy.NPM()
	permit := says("permit", policy.Permit)
	for i, rule := range npm.Rules() {
		var others []string
		for j, other := range npm.Rules() {
			if i != j {
				others = append(others, other.ID)
			}
		}
		alone := npm.Without(others...)
		require.NoError(t, alone.Err())
		pairs := [][2]*policy.Policy{{alone, policy.New(rule)}, {alone.With(permit), policy.New(rule, permit)}}
		said := false
		for _, r := range requests {
			if !rule.Concerns(r.Operation.Action) {
				continue
			}
			for k, pair := range pairs {
				got, want := pair[0].Decide(r).Effect, pair[1].Decide(r).Effect
				require.Equal(t, want, got, "seed %d: %s: %+v of %+v", seed, rule.ID, r, r.Credential)
				said = said || k == 0 && want == policy.Allow || k == 1 && want != policy.Allow
			}
		}
		assert.True(t, said, "%s is silent about every request of seed %d", rule.ID, seed)
	}
}

// Whoever changes a rule of NPM's is asked about more than the rule was.
func TestChangedRuleIsAsked(t *testing.T) {
	npm := policy.NPM()
	r := allowed()["bypass publish"]
	require.Equal(t, policy.Allow, npm.Decide(r).Effect)
	for _, rule := range npm.Rules() {
		if !rule.Concerns(protocol.Publish) {
			continue
		}
		rule.Judge = says("", policy.Forbid).Judge
		assert.Contains(t, codes(npm.Replace(rule).Decide(r)), rule.ID)
	}
}
