package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
)

// CH-12: all that NPM decides, for review: every action, credential, mode of the second factor and
// proof. See [policytest.Snapshot].
func TestNPMSnapshot(t *testing.T) {
	policytest.Snapshot(t, policy.NPM(), "testdata/matrix.txt")
}

// No rule is dead, and so a snapshot shows the loss of each. The texts themselves are
// compared for a few.
func TestNPMSnapshotShowsEveryRule(t *testing.T) {
	p := policy.NPM()
	assert.Empty(t, policytest.Dead(p, nil))
	whole := policytest.Matrix(p)
	for i, rule := range p.Rules() {
		if i%9 != 0 {
			continue
		}
		assert.NotEqual(t, whole, policytest.Matrix(p.Without(rule.ID)), "without %s", rule.ID)
	}
}
