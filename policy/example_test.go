package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// publishing returns the request of alice, who publishes a package of hers in a
// session that she opened at nine.
func publishing(at time.Time) policy.Request {
	nine := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC) // a Friday
	return policy.Request{
		Operation: protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}},
		Credential: &policy.Credential{
			ID: "5d1e", Kind: policy.KindSession, User: "u-17", Created: nine, Expires: nine.Add(2 * time.Hour),
		},
		Account: policy.Account{ID: "u-17", Name: "alice", TwoFactor: protocol.AuthOnly},
		Package: policy.Facts{ID: "p-4", Rights: policy.RightRead | policy.RightWrite},
		Addr:    netip.MustParseAddr("192.0.2.7"),
		Now:     at,
	}
}

func ExamplePolicy_Decide() {
	p := policy.NPM()
	r := publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC))

	d := p.Decide(r) // first without a proof: what comes of it decides whether one is looked at
	fmt.Println(d.Effect, d.Reasons[0].Code)

	r.Proof = policy.ProofTOTP
	fmt.Println(p.Decide(r).Effect)

	r.Now = r.Credential.Expires
	d = p.Decide(r)
	fmt.Println(d.Effect, d.Reasons[0].Sentence, d.Reasons[0].Remedy)
	// Output:
	// challenge publish-needs-factor
	// allow
	// deny This session or token has expired. Run npm login for a new session or create a new token.
}

func ExamplePolicy_With() {
	freezeOnFridays := policy.Rule{
		ID:       "freeze-on-fridays",
		Doc:      "Nobody wants to be called on a Saturday.",
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
	p := policy.NPM().With(freezeOnFridays)
	if err := p.Err(); err != nil {
		fmt.Println(err)
	}

	// It is a Friday, so alice is not even asked for her one-time password.
	d := p.Decide(publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC)))
	fmt.Println(d.Effect)
	for _, reason := range d.Reasons {
		fmt.Println(reason.Code+":", reason.Sentence, reason.Remedy)
	}
	// Output:
	// deny
	// freeze-on-fridays: Nothing is published here on a Friday. Come back on Monday.
}

// One of npm's rules with another sentence and for fewer people: those who have a second factor
// publish with it, and from the office without.
func ExamplePolicy_Replace() {
	office := netip.MustParsePrefix("192.0.2.0/24")
	npm := policy.NPM()
	rules := npm.Rules()
	rule := rules[slices.IndexFunc(rules, func(r policy.Rule) bool { return r.ID == "publish-needs-factor" })]
	judge := rule.Judge
	rule.Sentence = "Publishing from outside the office needs a one-time password."
	rule.Judge = func(r *policy.Request) policy.Verdict {
		if office.Contains(r.Addr) {
			return policy.Silent
		}
		return judge(r)
	}
	p := npm.Replace(rule)
	if err := p.Err(); err != nil {
		fmt.Println(err)
	}

	r := publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC))
	fmt.Println(r.Addr, p.Decide(r).Effect)
	r.Addr = netip.MustParseAddr("198.51.100.7")
	d := p.Decide(r)
	fmt.Println(r.Addr, d.Effect, d.Reasons[0].Sentence)
	// Output:
	// 192.0.2.7 allow
	// 198.51.100.7 challenge Publishing from outside the office needs a one-time password.
}

func ExampleBypassPublishEnds() {
	p := policy.NPM().With(policy.BypassPublishEnds(time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC)))
	if err := p.Err(); err != nil {
		fmt.Println(err)
	}

	r := publishing(time.Date(2027, 1, 14, 23, 59, 59, 0, time.UTC))
	r.Credential = &policy.Credential{
		ID: "77b0", Kind: policy.KindToken, User: "u-17", Bypass: true, Expires: r.Now.AddDate(0, 1, 0),
		Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}},
	}
	fmt.Println(p.Decide(r).Effect)
	r.Now = r.Now.Add(time.Second)
	d := p.Decide(r)
	fmt.Println(d.Effect, d.Reasons[0].Code)
	// Output:
	// allow
	// deny bypass-publishes-no-more
}

func ExampleEvidenceStays() {
	p := policy.NPM().With(policy.EvidenceStays(""))
	if err := p.Err(); err != nil {
		fmt.Println(err)
	}

	r := publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC))
	r.Proof = policy.ProofTOTP
	fmt.Println(p.Decide(r).Effect, "after", r.Package.Evidence)
	r.Package.Evidence = policy.EvidencePublisher // as the host says
	d := p.Decide(r)
	fmt.Println(d.Effect, "after", r.Package.Evidence, d.Reasons[0].Code)
	// Output:
	// allow after none
	// deny after publisher less-evidence
}

// A token for a release job that moves dist-tags and does nothing else.
func ExampleVerbs() {
	grant := protocol.Grant{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbDistTag}
	fmt.Println(grant, grant.Validate())

	r := publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC))
	r.Credential = &policy.Credential{
		ID: "77b0", Kind: policy.KindToken, User: "u-17", Bypass: true, Expires: r.Now.Add(time.Hour), Grants: []protocol.Grant{grant},
	}
	p := policy.NPM()
	for _, r.Operation.Action = range []protocol.Action{protocol.SetDistTag, protocol.Publish, protocol.UnpublishAll} {
		d := p.Decide(r)
		fmt.Println(r.Operation.Action, d.Effect)
		for _, reason := range d.Reasons {
			fmt.Println("  " + reason.Code + ": " + reason.Sentence)
		}
	}
	// Output:
	// read-write (dist-tag) on scope @acme <nil>
	// set-dist-tag allow
	// publish deny
	//   verb-not-granted: This token may write to this package but not do this.
	// unpublish-all deny
	//   verb-not-granted: This token may write to this package but not do this.
}

func ExamplePolicy_Explain() {
	r := publishing(time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC))
	fmt.Print(policy.NPM().Explain(r))
	// Output:
	// challenge: publish @acme/widget by session 5d1e of alice
	//   need-proof  publish-needs-factor  Publishing needs a one-time password.
	//   permit      write-package         You may write to this package.
	//   silent      unknown-operation unknown-credential account-mismatch account-disabled expired cidr unknown-factor-mode service-signs-in-never hidden-package may-not-create may-not-write publishers-only stage-required org-requires-factor account-held no-security-key security-key-only no-second-factor recovery-code create-package
	//   answer      publish-needs-factor
}
