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

var freeze = policy.Rule{
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

func ExampleRun() {
	var t printer // of func TestPolicy(t *testing.T)
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

// A line that asks is answered with the line to paste.
func ExampleRun_question() {
	var t printer // of func TestPolicy(t *testing.T)
	policytest.Run(t, policy.New(freeze), `
now 2026-03-06T12:00:00Z # a Friday
session  auth-only  publish  plain=public:rw  totp  =>  ?
`)
	// Output:
	// table: a question is no test. The policy answers, from the first to the last:
	// session  auth-only  publish  plain=public:rw  totp  =>  deny freeze-on-fridays
	//
	// table:3: deny: publish plain by session c1 of alice with proof totp
	//   forbid      freeze-on-fridays  Nothing is published here on a Friday.
	//   answer      freeze-on-fridays
}

// What a company's rules change of npm's, with what the rule looks at.
func ExampleDifference() {
	own := policytest.Own{Actions: []string{"publish"}, Packages: []string{"plain"}, Times: []string{"2026-03-06T12:00:00Z"}}
	fmt.Print(policytest.Difference(policy.NPM().With(freeze), policy.NPM(), own.Box()))
	// Output:
	// # What the policy decides differently. Written by policytest.SnapshotDifference and not by hand.
	//
	// # Credentials: anonymous session publisher(rw:all) token(rw:all,rw:org=acme)+bypass
	// # Accounts: auth-only
	// # Packages: plain=public:rwa plain=absent:create
	// # Proofs: - totp
	// # Settings: - now=2026-03-06T12:00:00Z
	//
	// publish
	//   session
	//     auth-only        *                                           -         now=2026-03-06T12:00:00Z  =>  deny freeze-on-fridays  instead of  challenge publish-needs-factor
	//     auth-only        *                                           totp      now=2026-03-06T12:00:00Z  =>  deny freeze-on-fridays  instead of  allow
	//   publisher(rw:all)|token(rw:all,rw:org=acme)+bypass
	//     auth-only        *                                           *         now=2026-03-06T12:00:00Z  =>  deny freeze-on-fridays  instead of  allow
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
