package policytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// printer stands for the *testing.T of a test, so that its failures can be shown here.
type printer struct{ testing.TB }

func (printer) Helper()                           {}
func (printer) Logf(string, ...any)               {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func ExampleRun() {
	var t printer // of func TestPolicy(t *testing.T)
	freeze := policy.Rule{
		ID:       "freeze-on-fridays",
		Sentence: "Nothing is published here on a Friday.",
		Actions:  []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Now.Weekday() == time.Friday {
				return policy.Forbid
			}
			return policy.Silent
		},
	}
	policytest.Run(t, policy.New(freeze), `
		covers freeze-on-fridays
		let hers = plain=public:rw

		now 2026-03-06T23:59:59Z # a Friday
		session  auth-only  publish  $hers  totp  =>  deny  freeze-on-fridays

		now 2026-03-07T00:00:00Z
		session  auth-only  publish  $hers  totp  =>  allow
	`)
	// Output:
	// table:9: session  auth-only  publish  $hers  totp  =>  allow
	// got deny not-permitted
	// deny: publish plain by session c1 of alice with proof totp
	//   silent      freeze-on-fridays
	//   answer      not-permitted
}

func ExampleFormat() {
	r := policy.Request{
		Operation: protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}},
		Credential: &policy.Credential{
			ID: "c1", Kind: policy.KindToken, User: "u-17", Created: policytest.Noon.Add(-time.Hour), Expires: policytest.Noon.Add(time.Hour),
			Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}},
		},
		Account: policy.Account{ID: "u-17", Name: "alice", TwoFactor: protocol.AuthOnly},
		Package: policy.Facts{ID: "p-1", Rights: policy.RightRead | policy.RightWrite},
		Addr:    policytest.Here,
		Now:     policytest.Noon,
	}
	line, err := policytest.Format(r)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(line, " => ", policytest.Answer(policy.NPM().Decide(r)))
	// Output:
	// token(ro:@acme)  auth-only,id=u-17  publish  @acme/widget=public:rw  -  =>  deny read-only-token
}
