package wire_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

func TestRefusal(t *testing.T) {
	publish := protocol.Operation{Action: protocol.Publish}
	because := func(reasons ...policy.Reason) policy.Decision { return policy.Decision{Reasons: reasons} }
	rule := policy.Reason{Code: "rule", Sentence: "No.", Remedy: "Wait."}
	for name, tt := range map[string]struct {
		op        protocol.Operation
		d         policy.Decision
		anonymous bool
		want      wire.Error
	}{
		"no reason":            {publish, policy.Decision{}, false, wire.Error{Status: 403, Code: "denied", Sentence: "You may not do this."}},
		"an allow":             {publish, policy.Decision{Effect: policy.Allow}, false, wire.Error{Status: 403, Code: "denied", Sentence: "You may not do this."}},
		"a rule":               {publish, because(rule), false, wire.Error{Status: 403, Code: "rule", Sentence: "No. Wait."}},
		"a rule for anonymous": {publish, because(rule), true, wire.Error{Status: 403, Code: "rule", Sentence: "No. Wait."}},
		"login":                {publish, because(policy.Reason{Code: policy.CodeLoginRequired, Sentence: "Log in."}), true, *wire.LoginRequired},
		"anonymous":            {publish, policy.Decision{}, true, *wire.LoginRequired},
		"unknown operation":    {protocol.Operation{}, because(rule), true, wire.Error{Status: 404, Code: "rule", Sentence: "No. Wait."}},
		"address":              {publish, because(policy.Reason{Code: policy.CodeCIDR, Sentence: "Not here."}), false, wire.Error{Status: 401, Code: policy.CodeCIDR, Sentence: "Not here.", Authenticate: "ipaddress"}},
		"concealed":            {publish, because(rule, policy.Reason{Code: "hidden", Sentence: "There is none.", Conceal: true}), false, wire.Error{Status: 404, Code: "not-found", Sentence: "There is none."}},
	} {
		assert.Equal(t, &tt.want, wire.Refusal(tt.op, tt.d, tt.anonymous), name)
	}
}
