package policy_test

import (
	"testing"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

var freeze = policy.Rule{
	ID:       "freeze-on-fridays",
	Sentence: "Nothing is published here on a Friday.",
	Remedy:   "Come back on Monday.",
	Actions:  []protocol.Action{protocol.Publish},
	Judge: func(r *policy.Request) policy.Verdict {
		if r.Now.Weekday() == time.Friday {
			return policy.Forbid
		}
		return policy.Silent
	},
}

func TestPolicy(t *testing.T) {
	policytest.Run(t, policy.NPM().With(freeze), `
		covers own
		now 2026-03-06T12:00:00Z # a Friday
		session             auth-only  publish       plain=public:rw  totp  =>  deny       freeze-on-fridays
		session             auth-only  set-dist-tag  plain=public:rw  -     =>  allow

		now 2026-03-09T12:00:00Z
		session             auth-only  publish       plain=public:rw  -     =>  challenge  publish-needs-factor
		token(rw:@acme)     auth-only  publish       plain=public:rw  totp  =>  deny       no-grant
	`)
}
