package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

func TestCheck(t *testing.T) {
	always := func(v policy.Verdict) *policy.Policy {
		verdicts := []policy.Rule{{ID: "permit", Doc: "d", Sentence: "s", Judge: func(*policy.Request) policy.Verdict { return policy.Permit }}}
		if v != policy.Permit {
			verdicts = append(verdicts, policy.Rule{ID: "other", Doc: "d", Sentence: "s", Judge: func(*policy.Request) policy.Verdict { return v }})
		}
		p := policy.New(verdicts...)
		require.NoError(t, p.Err())
		return p
	}
	read := &policy.Request{Operation: protocol.Operation{Action: protocol.ReadPackument}}
	write := &policy.Request{Operation: protocol.Operation{Action: protocol.Publish}, Credential: &policy.Credential{Kind: policy.KindSession}}
	assert.NoError(t, always(policy.Permit).Check(read))
	assert.NoError(t, always(policy.Permit).Check(write))
	assert.NoError(t, always(policy.NeedProof).Check(write), "its second factor comes later")
	for _, tt := range []struct {
		p   *policy.Policy
		req *policy.Request
	}{
		{always(policy.NeedProof), read}, {always(policy.Forbid), read}, {always(policy.Forbid), write}, {nil, read},
		{always(policy.NeedProof).Without("permit"), write},
	} {
		var denied *policy.DeniedError
		require.ErrorAs(t, tt.p.Check(tt.req), &denied)
		assert.Equal(t, tt.req.Operation, denied.Operation)
		assert.Equal(t, tt.req == read, denied.Anonymous)
		assert.NotEmpty(t, denied.Decision.Reasons)
		assert.Contains(t, denied.Error(), tt.req.Operation.Action.String())
	}
}
