// Package policy decides what a request to an npm registry may do: allow, challenge or deny. A
// policy is a list of rules, and the rules are data.
//
// Most programs take npm's rules and change a few:
//
//	p := policy.NPM().With(freezeOnFridays)
//	if err := p.Err(); err != nil { … }
//
//	op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
//	d := p.Decide(policy.Request{Operation: op, Credential: …, Now: time.Now(), …})
//
// [protocol.Classify] turns method and path into a [protocol.Operation]. A [Request] adds who sends
// it ([Credential], [Account]), what is true of the package ([Facts], [Settings]) or the
// organization ([OrgFacts]) and which second factor was verified ([Proof]). [Policy.Decide] returns
// a [Decision]: Allow, Challenge or Deny, and the reasons where it is not Allow. [Policy.Explain]
// returns the verdict of each rule.
//
// # Deciding
//
// Decide evaluates every rule that applies to the action and the kind of credential. If one
// forbids, the decision is Deny. If none permits, it is Deny too. Otherwise, if one needs a proof,
// it is Challenge; else it is Allow. So nobody is challenged for a request that would be denied
// with a second factor.
//
// A program decides first without a proof. Only if the decision is Challenge, it verifies the
// second factor that came with the request and decides once more with the proof. [Policy.Check] is
// the first of these decisions.
//
// # Grants
//
// A request may do what its user may do now and a [protocol.Grant] of its credential allows, both.
// A grant covers a package, a scope, all packages or an organization; one on an organization covers
// its members and teams and none of its packages. [protocol.Verbs] narrow a grant that writes, for
// instance to publishing and dist-tags. A session has all rights of its user and needs no grant.
//
// # Failing
//
// Whatever is missing, unknown or out of range denies: the zero Request, an action that no rule
// permits, a policy with an error, a rule that panics.
//
// # Testing
//
// Package [github.com/npmauth/npmauth/policy/policytest] checks a policy against a table of
// requests, and keeps all its decisions in a file whose diff is reviewed.
//
// # Dependencies
//
// The package has no clock, no store and no network. Apart from the standard library it imports
// package protocol and a small internal one. A Policy whose rules are pure functions always makes
// the same decision about the same Request.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/npmauth/npmauth/protocol"
)

// A Policy is a list of rules and the [Limits] of credentials. It is immutable: With, Replace,
// Without and WithLimits return a new one. It is safe for concurrent use if its rules are. The nil
// and the zero Policy deny everything.
type Policy struct {
	rules  []Rule
	limits Limits // without zeros
	errs   []error
	broken bool // there are errors: Decide must not ask the rules
	// about has the rules that are about an action and a kind of credential, in their order.
	about [protocol.ActionCount][kinds][]*Rule
}

// New returns a policy with these rules, in this order, and [DefaultLimits]. [Policy.Err] returns
// what is wrong with them.
func New(rules ...Rule) *Policy { return (&Policy{}).With(rules...) }

// With returns p with rules added at the end. If a rule is invalid, or its ID is in use, the new
// policy has an error: see [Policy.Err].
func (p *Policy) With(rules ...Rule) *Policy {
	q := p.clone()
	for _, r := range rules {
		if q.index(r.ID) >= 0 {
			q.errs = append(q.errs, fmt.Errorf("%w: ID %q twice", ErrRule, r.ID))
		}
		q.rules = append(q.rules, r.clone())
	}
	return q.seal()
}

// Replace returns p with rule in the place of the rule that has the same ID. If there is none, the
// new policy has an error, so that a program notices when a release renames the rule.
func (p *Policy) Replace(rule Rule) *Policy {
	q := p.clone()
	if i := q.index(rule.ID); i >= 0 {
		q.rules[i] = rule.clone()
	} else {
		q.errs = append(q.errs, fmt.Errorf("%w: no ID %q to replace", ErrRule, rule.ID))
	}
	return q.seal()
}

// Without returns p without the rules of these IDs. If no rule has one of the IDs, the new policy
// has an error.
func (p *Policy) Without(ids ...string) *Policy {
	q := p.clone()
	for _, id := range ids {
		i := q.index(id)
		if i < 0 {
			q.errs = append(q.errs, fmt.Errorf("%w: no ID %q to leave out", ErrRule, id))
			continue
		}
		q.rules = slices.Delete(q.rules, i, i+1)
	}
	return q.seal()
}

// Err returns what is wrong with the policy, or nil. The error wraps [ErrRule] for an ID that is
// malformed, reserved, used twice or, in Replace and Without, unknown; for a Sentence that is
// empty, and a Sentence or Remedy that is not one printable line; for a missing Judge; for an
// unknown action or kind of credential; and for a policy without rules. It wraps [ErrLimits] for
// limits that WithLimits refused. A policy with an error denies everything, and so does every
// policy made from it.
func (p *Policy) Err() error {
	if p == nil || len(p.rules) == 0 {
		return errors.Join(append([]error{fmt.Errorf("%w: there are none", ErrRule)}, p.problems()...)...)
	}
	return errors.Join(p.problems()...)
}

func (p *Policy) problems() []error {
	if p == nil {
		return nil
	}
	errs := slices.Clone(p.errs)
	for _, r := range p.rules {
		if err := r.validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// WithLimits returns p with the limits l. A field that is zero means npm's number. If
// [Limits.Validate] returns an error, the new policy has it.
func (p *Policy) WithLimits(l Limits) *Policy {
	q := p.clone()
	if err := l.Validate(); err != nil {
		q.errs = append(q.errs, err)
	} else {
		q.limits = l.OrNPM()
	}
	return q.seal()
}

// FactorRemedy is the Remedy of the rules of [NPM] that want a second factor of an account that has none.
const FactorRemedy = "Run npm profile enable-2fa auth-and-writes and try again."

// WithFactorRemedy returns p with text, one printable line, as the Remedy of each rule that has [FactorRemedy] as
// its Remedy: for a registry where that command does nothing.
func (p *Policy) WithFactorRemedy(text string) *Policy {
	q := p.clone()
	for i := range q.rules {
		if q.rules[i].Remedy == FactorRemedy {
			q.rules[i].Remedy = text
		}
	}
	return q.seal()
}

// Limits returns the limits of p, with npm's number for each that WithLimits did not set; of the
// nil Policy, [DefaultLimits]. The method fits the Limits fields of the configurations of packages
// session, token and twofactor.
func (p *Policy) Limits() Limits {
	if p == nil {
		return DefaultLimits()
	}
	return p.limits.OrNPM()
}

// Rules returns a copy of the rules in their order. The copies count as the caller's own: see
// [Policy.Own].
func (p *Policy) Rules() []Rule {
	if p == nil {
		return nil
	}
	rules := slices.Clone(p.rules)
	for i := range rules {
		rules[i] = rules[i].clone()
		rules[i].npm = false
	}
	return rules
}

// Own returns the IDs of the rules that are not [NPM]'s: those that were added or replaced, and
// copies from [Policy.Rules].
func (p *Policy) Own() []string {
	if p == nil {
		return nil
	}
	var ids []string
	for _, r := range p.rules {
		if !r.npm {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func (r Rule) clone() Rule {
	r.Actions, r.Kinds = slices.Clone(r.Actions), slices.Clone(r.Kinds)
	return r
}

func (p *Policy) clone() *Policy {
	if p == nil {
		return &Policy{}
	}
	return &Policy{rules: slices.Clone(p.rules), limits: p.limits, errs: slices.Clone(p.errs)}
}

func (p *Policy) index(id string) int {
	return slices.IndexFunc(p.rules, func(r Rule) bool { return r.ID == id })
}

func (p *Policy) seal() *Policy {
	p.limits = p.limits.OrNPM()
	p.broken = p.Err() != nil
	if p.broken {
		return p
	}
	for a := range protocol.ActionCount {
		for k := range kinds {
			for i := range p.rules {
				if r := &p.rules[i]; r.Concerns(a, k) {
					p.about[a][k] = append(p.about[a][k], r)
				}
			}
		}
	}
	return p
}

// requests are the copies that rules get to see. A Judge is a func value, so its
// argument would be allocated for every decision.
var requests = sync.Pool{New: func() any { return new(Request) }}

// Decide decides about req. It allocates nothing if it allows.
//
// The rules receive a copy of req, in which Credential is never nil.
func (p *Policy) Decide(req Request) Decision {
	if p == nil || p.broken {
		return Decision{Reasons: []Reason{brokenReason}}
	}
	r := requests.Get().(*Request)
	*r = req
	r.prepare(p)
	d := p.decide(r)
	*r = Request{} // the pool must not keep a credential alive
	requests.Put(r)
	return d
}

func (p *Policy) decide(r *Request) Decision {
	said := p.judge(r)
	switch {
	case said&forbidden != 0 || said&permitted == 0:
		return Decision{Effect: Deny, Reasons: p.refusals(r)}
	case said&proofNeeded != 0:
		return Decision{Effect: Challenge, Reasons: p.reasons(r, NeedProof)}
	default:
		return Decision{Effect: Allow}
	}
}

// Unoffered returns the refusal of an operation that is not to be had whoever sends it: the rule
// not-offered forbids it, or it is none of npm's and the rule unknown-operation does. ok is false for
// every other. Call it before the request is authenticated: a token exchange presents a token of its
// CI system, which is no credential of the registry.
func (p *Policy) Unoffered(op protocol.Operation) (d Decision, ok bool) {
	if p == nil || p.broken {
		return Decision{}, false
	}
	r := Request{Operation: op}
	for _, rule := range p.rulesFor(&r) {
		if rule.ID != CodeNotOffered && (rule.ID != ruleUnknown || r.action() != protocol.Unknown) {
			continue
		}
		q := Request{Operation: op}
		q.prepare(p)
		if v, _ := rule.ask(&q); v == Forbid {
			return Decision{Reasons: []Reason{rule.reason()}}, true
		}
	}
	return Decision{}, false
}

const (
	permitted   = 1 << Permit
	proofNeeded = 1 << NeedProof
	forbidden   = 1 << Forbid
)

// judge asks the rules that are about r and returns the set of their verdicts. If one panics the
// rest are not called, since the decision is Deny whatever they return.
func (p *Policy) judge(r *Request) (said uint8) {
	defer func() {
		if recover() != nil {
			said = forbidden
		}
	}()
	for _, rule := range p.rulesFor(r) {
		said |= 1 << min(rule.Judge(r), Forbid)
	}
	return said
}

// rulesFor returns the rules that are about r.
func (p *Policy) rulesFor(r *Request) []*Rule { return p.about[r.action()][r.Kind()] }

// action returns r's action, Unknown for a number that is none.
func (r *Request) action() protocol.Action {
	if r.Operation.Action >= protocol.ActionCount {
		return protocol.Unknown
	}
	return r.Operation.Action
}

// ask calls Judge of one rule and recovers a panic.
func (r *Rule) ask(q *Request) (v Verdict, panicked any) {
	defer func() {
		if x := recover(); x != nil {
			v, panicked = Forbid, x
		}
	}()
	return min(r.Judge(q), Forbid), nil
}

// reasons returns the reasons of the rules that say want.
func (p *Policy) reasons(r *Request, want Verdict) []Reason {
	var reasons []Reason
	for _, rule := range p.rulesFor(r) {
		v, panicked := rule.ask(r)
		if v != want {
			continue
		}
		reason := rule.reason()
		if panicked != nil {
			// What it was about to say is not known, so its sentence could be false.
			reason.Sentence = "This registry's rule " + rule.ID + " failed and so nothing is allowed."
			reason.Remedy = "Tell the people who run this registry."
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

// refusals returns why r is denied. What its sender may not know of is no reason: the rules are
// called once more about what does not exist. Otherwise a rule about, say, a package's settings would
// tell that it exists.
func (p *Policy) refusals(r *Request) []Reason {
	reasons := p.reasons(r, Forbid)
	if pkg, org := r.concealed(reasons); pkg || org {
		facts, settings, of := r.Package, r.Settings, r.Org
		r.conceal(pkg, org)
		r.prepare(p)
		absent := p.reasons(r, Forbid)
		r.Package, r.Settings, r.Org = facts, settings, of
		switch {
		case len(absent) > 0:
			reasons = absent
		case (Decision{Reasons: reasons}).Conceals():
			reasons = slices.DeleteFunc(reasons, func(reason Reason) bool { return !reason.Conceal })
		default:
			reasons = nil
		}
	}
	if len(reasons) == 0 {
		reasons = []Reason{notPermittedReason}
	}
	return reasons
}

var (
	notPermittedReason = Reason{
		Code:     CodeNotPermitted,
		Sentence: "Nothing in the policy of this registry allows this.",
	}
	brokenReason = Reason{
		Code:     CodeBrokenPolicy,
		Sentence: "The policy of this registry has an error and so nothing is allowed.",
		Remedy:   "Tell the people who run this registry.",
	}
)
