package policy_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// says returns a rule that always says v.
func says(id string, v policy.Verdict) policy.Rule {
	return policy.Rule{ID: id, Sentence: "Because of " + id + ".", Judge: func(*policy.Request) policy.Verdict { return v }}
}

func TestDecideOrder(t *testing.T) {
	silent, permit, need, forbid := says("silent", policy.Silent), says("permit", policy.Permit), says("need", policy.NeedProof), says("forbid", policy.Forbid)
	for _, tt := range []struct {
		name  string
		rules []policy.Rule
		want  policy.Effect
		codes []string
	}{
		{"nothing said", []policy.Rule{silent}, policy.Deny, []string{policy.CodeNotPermitted}},
		{"permitted", []policy.Rule{silent, permit}, policy.Allow, nil},
		{"a proof is needed", []policy.Rule{permit, need}, policy.Challenge, []string{"need"}},
		{"a proof is needed for what nobody permits", []policy.Rule{need}, policy.Deny, []string{policy.CodeNotPermitted}},
		{"forbidden and permitted", []policy.Rule{permit, forbid}, policy.Deny, []string{"forbid"}},
		{"forbidden and a proof is needed", []policy.Rule{permit, need, forbid}, policy.Deny, []string{"forbid"}},
		{"forbidden twice", []policy.Rule{forbid, permit, says("other", policy.Forbid)}, policy.Deny, []string{"forbid", "other"}},
		{"forbidden first", []policy.Rule{forbid, permit, need}, policy.Deny, []string{"forbid"}},
		{"a verdict that is none", []policy.Rule{permit, says("odd", policy.Verdict(7))}, policy.Deny, []string{"odd"}},
		{"a verdict far off", []policy.Rule{permit, says("odd", policy.Verdict(255))}, policy.Deny, []string{"odd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy.New(tt.rules...)
			require.NoError(t, p.Err())
			d := p.Decide(request(protocol.Publish, nil))
			assert.Equal(t, tt.want.String(), d.Effect.String())
			assert.Equal(t, tt.codes, codes(d))
		})
	}
}

func TestZeroValuesDeny(t *testing.T) {
	assert.Equal(t, policy.Deny, policy.Decision{}.Effect)
	assert.Equal(t, policy.Deny, policy.NPM().Decide(policy.Request{}).Effect)

	var none *policy.Policy
	for name, p := range map[string]*policy.Policy{"nil": none, "zero": {}, "empty": policy.New()} {
		d := p.Decide(request(protocol.Ping, nil))
		assert.Equal(t, policy.Deny, d.Effect, name)
		assert.NotEmpty(t, d.Reasons, name)
		assert.ErrorIs(t, p.Err(), policy.ErrRule, name)
		assert.Equal(t, policy.Deny, p.Explain(request(protocol.Ping, nil)).Decision.Effect, name)
		assert.Empty(t, p.Rules(), name)
	}
	assert.NoError(t, none.With(says("a", policy.Permit)).Err(), "a policy may begin with nothing")
}

func TestPolicyErrors(t *testing.T) {
	good := says("good", policy.Permit)
	with := func(change func(*policy.Rule)) policy.Rule {
		r := says("other", policy.Permit)
		change(&r)
		return r
	}
	for name, p := range map[string]*policy.Policy{
		"the same ID twice":      policy.New(good, good),
		"and in With":            policy.New(good).With(good),
		"no ID":                  policy.New(good, with(func(r *policy.Rule) { r.ID = "" })),
		"an ID in upper case":    policy.New(good, with(func(r *policy.Rule) { r.ID = "Other" })),
		"an ID with a space":     policy.New(good, with(func(r *policy.Rule) { r.ID = "an other" })),
		"an ID with a digit":     policy.New(good, with(func(r *policy.Rule) { r.ID = "2fa" })),
		"two hyphens":            policy.New(good, with(func(r *policy.Rule) { r.ID = "an--other" })),
		"a hyphen at the end":    policy.New(good, with(func(r *policy.Rule) { r.ID = "other-" })),
		"a long ID":              policy.New(good, with(func(r *policy.Rule) { r.ID = strings.Repeat("a", 65) })),
		"a reserved ID":          policy.New(good, with(func(r *policy.Rule) { r.ID = policy.CodeNotPermitted })),
		"another":                policy.New(good, with(func(r *policy.Rule) { r.ID = policy.CodeBrokenPolicy })),
		"no sentence":            policy.New(good, with(func(r *policy.Rule) { r.Sentence = "" })),
		"a sentence of spaces":   policy.New(good, with(func(r *policy.Rule) { r.Sentence = "  " })),
		"a sentence of lines":    policy.New(good, with(func(r *policy.Rule) { r.Sentence = "No.\r\nSet-Cookie: x" })),
		"a remedy of lines":      policy.New(good, with(func(r *policy.Rule) { r.Remedy = "Do\nthis." })),
		"no Judge":               policy.New(good, with(func(r *policy.Rule) { r.Judge = nil })),
		"an action that is none": policy.New(good, with(func(r *policy.Rule) { r.Actions = []protocol.Action{250} })),
		"a kind that is none":    policy.New(good, with(func(r *policy.Rule) { r.Kinds = []policy.Kind{9} })),
		"replacing nothing":      policy.New(good).Replace(says("godo", policy.Permit)),
		"leaving out nothing":    policy.New(good).Without("godo"),
		"one of two":             policy.New(good, says("a", policy.Permit)).Without("a", "b"),
		"twice":                  policy.New(good, says("a", policy.Permit)).Without("a", "a"),
		"a bad replacement":      policy.New(good).Replace(policy.Rule{ID: "good"}),
		"the last rule":          policy.New(good).Without("good"),
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, p.Err(), policy.ErrRule)
			d := p.Decide(request(protocol.Ping, nil))
			assert.Equal(t, policy.Deny, d.Effect)
			assert.NotEmpty(t, d.Reasons)
			if name != "the last rule" {
				assert.True(t, d.Has(policy.CodeBrokenPolicy))
				again := p.With(says("more", policy.Permit))
				assert.ErrorIs(t, again.Err(), policy.ErrRule, "an error is not mended by going on")
				assert.Equal(t, policy.Deny, again.Decide(request(protocol.Ping, nil)).Effect)
				assert.Contains(t, p.Explain(request(protocol.Ping, nil)).String(), policy.CodeBrokenPolicy)
			}
		})
	}
}

func TestPolicyDoesNotChange(t *testing.T) {
	p := policy.New(says("a", policy.Permit), says("b", policy.Silent))
	ping := request(protocol.Ping, nil)
	assert.Equal(t, policy.Deny, p.With(says("c", policy.Forbid)).Decide(ping).Effect)
	assert.Equal(t, policy.Deny, p.Replace(says("b", policy.Forbid)).Decide(ping).Effect)
	assert.Equal(t, policy.Deny, p.Without("a").Decide(ping).Effect)
	p.With(says("c", policy.Permit))
	p.With(says("d", policy.Permit))
	rules := p.Rules()
	rules[0] = says("z", policy.Forbid)
	assert.Equal(t, policy.Allow, p.Decide(ping).Effect)
	require.Len(t, p.Rules(), 2)
	assert.Equal(t, "a", p.Rules()[0].ID)

	actions := []protocol.Action{protocol.Ping}
	q := policy.New(policy.Rule{ID: "a", Sentence: "A.", Actions: actions, Judge: says("a", policy.Permit).Judge})
	actions[0] = protocol.Publish
	q.Rules()[0].Actions[0] = protocol.Publish
	assert.Equal(t, policy.Allow, q.Decide(ping).Effect)
	assert.Equal(t, policy.Allow, q.With(says("b", policy.Silent)).Decide(ping).Effect)
}

func TestRuleActions(t *testing.T) {
	only := says("only-ping", policy.Forbid)
	only.Actions = []protocol.Action{protocol.Ping}
	p := policy.New(says("all", policy.Permit), only)
	assert.Equal(t, policy.Deny, p.Decide(request(protocol.Ping, nil)).Effect)
	assert.Equal(t, policy.Allow, p.Decide(request(protocol.Whoami, nil)).Effect)
	assert.Equal(t, policy.Allow, p.Decide(request(protocol.Action(200), nil)).Effect, "a rule for all is for those too")
	assert.True(t, only.Concerns(protocol.Ping, policy.KindUnknown))
	assert.False(t, only.Concerns(protocol.Whoami, policy.KindUnknown))
}

func TestRuleKinds(t *testing.T) {
	only := func(k ...policy.Kind) *policy.Policy {
		forbids := says("only", policy.Forbid)
		forbids.Kinds = k
		return policy.New(says("all", policy.Permit), forbids)
	}
	kinds := []policy.Kind{policy.KindSession, policy.KindToken, policy.KindPublisher, policy.KindForeign}
	for _, k := range kinds {
		for _, of := range kinds {
			want := policy.Allow
			if k == of {
				want = policy.Deny
			}
			assert.Equal(t, want, only(k).Decide(request(protocol.Ping, &policy.Credential{Kind: of})).Effect, "%v about %v", k, of)
			assert.Equal(t, k == of, only(k).Rules()[1].Concerns(protocol.Ping, of))
			assert.Equal(t, k == of, only(k).Explain(request(protocol.Ping, &policy.Credential{Kind: of})).Steps[1].Applies)
		}
		assert.Equal(t, policy.Allow, only(k).Decide(request(protocol.Ping, nil)).Effect, "%v and the anonymous", k)
		assert.Equal(t, policy.Deny, only(k, policy.KindUnknown).Decide(request(protocol.Ping, nil)).Effect)
	}
	for name, c := range map[string]*policy.Credential{"none": nil, "of no kind": {}, "of an unknown kind": {Kind: 200}} {
		assert.Equal(t, policy.Deny, only(policy.KindUnknown).Decide(request(protocol.Ping, c)).Effect, name)
		assert.Equal(t, policy.Deny, only().Decide(request(protocol.Ping, c)).Effect, name)
		assert.Equal(t, policy.Allow, only(kinds...).Decide(request(protocol.Ping, c)).Effect, name)
	}
	list := []policy.Kind{policy.KindToken}
	p := only(list...)
	list[0] = policy.KindSession
	p.Rules()[1].Kinds[0] = policy.KindSession
	assert.Equal(t, policy.Deny, p.Decide(request(protocol.Ping, &policy.Credential{Kind: policy.KindToken})).Effect, "a policy does not change")
}

// A rule that panics forbids. What it was to say is not said.
func TestRulePanics(t *testing.T) {
	broken := policy.Rule{
		ID: "broken", Sentence: "You are not on the list.", Remedy: "Get on the list.",
		Judge: func(r *policy.Request) policy.Verdict { panic("no list for " + r.Account.Name) },
	}
	for name, p := range map[string]*policy.Policy{
		"last":  policy.New(says("permit", policy.Permit), broken),
		"first": policy.New(broken, says("permit", policy.Permit)),
	} {
		t.Run(name, func(t *testing.T) {
			r := request(protocol.Whoami, &policy.Credential{Kind: policy.KindSession})
			d := p.Decide(r)
			assert.Equal(t, policy.Deny, d.Effect)
			require.Equal(t, []string{"broken"}, codes(d))
			assert.NotContains(t, d.Reasons[0].Sentence, "list")
			assert.NotContains(t, d.Reasons[0].Remedy, "list")
			assert.Contains(t, d.Reasons[0].Sentence, "broken")
			assert.Contains(t, p.Explain(r).String(), "panic: no list for alice")
		})
	}

	// One that does so only now and then is a Deny then, and no more than that.
	calls := 0
	flaky := policy.Rule{ID: "flaky", Sentence: "Sometimes.", Judge: func(*policy.Request) policy.Verdict {
		if calls++; calls == 1 {
			panic(nil)
		}
		return policy.Silent
	}}
	p := policy.New(says("permit", policy.Permit), flaky)
	d := p.Decide(request(protocol.Whoami, nil))
	assert.Equal(t, policy.Deny, d.Effect)
	assert.NotEmpty(t, d.Reasons)
	assert.Equal(t, policy.Allow, p.Decide(request(protocol.Whoami, nil)).Effect)
}

// Rules never see a nil credential, and can tell the anonymous all the same.
func TestRulesSeeTheAnonymous(t *testing.T) {
	asked := 0
	p := policy.New(policy.Rule{ID: "look", Sentence: "Looked.", Judge: func(r *policy.Request) policy.Verdict {
		asked++
		if r.Credential.Kind == policy.KindUnknown && r.Credential.User == "" && len(r.Credential.Grants) == 0 && r.Anonymous() {
			return policy.Permit
		}
		return policy.Forbid
	}})
	assert.Equal(t, policy.Allow, p.Decide(request(protocol.Publish, nil)).Effect)
	assert.Equal(t, policy.Allow, p.Explain(request(protocol.Publish, nil)).Decision.Effect)
	assert.Equal(t, policy.Deny, p.Decide(request(protocol.Publish, &policy.Credential{})).Effect, "an empty credential is one")
	assert.Equal(t, 5, asked)
}

// What a rule does to its request is not done to the caller's.
func TestRulesGetACopy(t *testing.T) {
	p := policy.New(policy.Rule{ID: "rude", Sentence: "Mine.", Judge: func(r *policy.Request) policy.Verdict {
		r.Account.Disabled, r.Package.ID = true, "other"
		return policy.Permit
	}})
	r := request(protocol.Whoami, &policy.Credential{Kind: policy.KindSession})
	before := r
	p.Decide(r)
	p.Explain(r)
	assert.Equal(t, before, r)
}

// A rule of the host's that knows about settings must not tell of a package that
// is hidden, and cannot.
func TestConcealedReasons(t *testing.T) {
	freeze := policy.Rule{
		ID: "frozen", Sentence: "This package is frozen.", Actions: []protocol.Action{protocol.SetDistTag},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Package.ID == "p-frozen" || r.Settings.Publish == protocol.FactorOnly {
				return policy.Forbid
			}
			return policy.Silent
		},
	}
	p := policy.NPM().With(freeze)
	hidden := request(protocol.SetDistTag, &policy.Credential{Kind: policy.KindSession})
	hidden.Package = policy.Facts{ID: "p-frozen", Private: true}
	hidden.Settings.Publish = protocol.FactorOnly
	absent := hidden
	absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}

	d := p.Decide(hidden)
	assert.Equal(t, p.Decide(absent), d)
	assert.Equal(t, []string{"hidden-package"}, codes(d))
	assert.True(t, d.Conceals())

	visible := hidden
	visible.Package.Rights = policy.RightRead | policy.RightWrite
	d = p.Decide(visible)
	assert.Equal(t, []string{"frozen"}, codes(d))
	assert.False(t, d.Conceals())

	// A rule of one's own that conceals what an absent package would not be refused
	// for shows nothing beside itself.
	secret := says("secret", policy.Forbid)
	secret.Conceal = true
	secret.Judge = func(r *policy.Request) policy.Verdict {
		if r.Package.ID != "" {
			return policy.Forbid
		}
		return policy.Permit
	}
	d = policy.New(secret, freeze).Decide(hidden)
	assert.Equal(t, []string{"secret"}, codes(d))

	// Nor do rights that are left on what may not be read.
	blind := says("blind", policy.Forbid)
	blind.Judge = func(r *policy.Request) policy.Verdict {
		if r.Rights() != 0 {
			return policy.Forbid
		}
		return policy.Silent
	}
	hidden.Package.Rights = policy.RightWrite
	assert.Equal(t, []string{"hidden-package"}, codes(policy.NPM().With(blind).Decide(hidden)))
}

func TestDecideConcurrently(t *testing.T) {
	p := policy.NPM()
	rows := decisionRows(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, row := range rows {
				assert.Equal(t, row.Codes, codes(p.Decide(row.Request)), row.Text)
			}
		})
	}
	wg.Wait()
}

func allowed() map[string]policy.Request {
	write := []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}
	rs := map[string]policy.Request{
		"anonymous read": request(protocol.ReadPackument, nil),
		"token read":     request(protocol.ReadTarball, &policy.Credential{Kind: policy.KindToken, Grants: write}),
		"whoami":         request(protocol.Whoami, &policy.Credential{Kind: policy.KindSession}),
		"bypass publish": request(protocol.Publish, &policy.Credential{Kind: policy.KindToken, Grants: write, Bypass: true}),
	}
	proven := request(protocol.Publish, &policy.Credential{Kind: policy.KindSession})
	proven.Proof = policy.ProofTOTP
	rs["proven publish"] = proven
	return rs
}

func TestDecideAllocatesNothingOnAllow(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops what is put back")
	}
	p := policy.NPM()
	for name, r := range allowed() {
		n := testing.AllocsPerRun(1000, func() {
			if p.Decide(r).Effect != policy.Allow {
				panic("not allowed")
			}
		})
		assert.Zero(t, n, name)
	}
}

func BenchmarkDecide(b *testing.B) {
	p := policy.NPM()
	for name, r := range allowed() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Decide(r).Effect != policy.Allow {
					b.Fatal("not allowed")
				}
			}
		})
	}
	refused := request(protocol.Publish, &policy.Credential{Kind: policy.KindSession})
	b.Run("challenge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p.Decide(refused).Effect != policy.Challenge {
				b.Fatal("not challenged")
			}
		}
	})
}

// AU-66: what is not offered is refused before anybody is authenticated; all else is decided with
// the credential.
func TestUnoffered(t *testing.T) {
	op := func(a protocol.Action) protocol.Operation {
		return protocol.Operation{Action: a, Package: protocol.PackageName{Name: "plain"}, Org: "acme"}
	}
	npm := policy.NPM()
	for _, a := range append(protocol.Actions(), protocol.Unknown) {
		d, ok := npm.Unoffered(op(a))
		assert.Equal(t, npm.Decide(policy.Request{Operation: op(a)}).Has(policy.CodeNotOffered) || a == protocol.Unknown, ok, "%v", a)
		assert.Equal(t, policy.Deny, d.Effect)
		assert.Equal(t, ok, len(d.Reasons) == 1, "%v", a)
	}
	_, ok := npm.Unoffered(protocol.Operation{Action: protocol.GrantTeam, Org: "acme"})
	assert.False(t, ok, "its package is in the body")
	for name, p := range map[string]*policy.Policy{"nil": nil, "broken": policy.New(), "without": npm.Without(policy.CodeNotOffered)} {
		_, ok := p.Unoffered(op(protocol.ExchangeToken))
		assert.False(t, ok, name)
	}
	served := npm.Replace(policy.Rule{
		ID: policy.CodeNotOffered, Sentence: "Not today.", Actions: []protocol.Action{protocol.Stage, protocol.ReadHooks},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Credential.Kind == policy.KindUnknown && r.Operation.Action == protocol.Stage {
				return policy.Forbid
			}
			return policy.Silent
		},
	})
	require.NoError(t, served.Err())
	for a, want := range map[protocol.Action]bool{protocol.ExchangeToken: false, protocol.ReadHooks: false, protocol.Stage: true} {
		_, ok := served.Unoffered(op(a))
		assert.Equal(t, want, ok, "%v", a)
	}
}
