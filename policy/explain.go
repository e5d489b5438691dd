package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Step is the verdict of one rule about a request.
type Step struct {
	Rule     string // its ID
	Own      bool   // the rule is not one of NPM's
	Verdict  Verdict
	Sentence string
	Applies  bool   // to the action and the kind of credential; if not, the verdict is Silent
	Panic    string // the value of a panic of the rule, whose verdict is then Forbid; else empty
}

// A Trace is a decision and the verdict of each rule. It has no secrets, but it may tell of hidden
// packages and organizations: show the sender of a request only one of [Policy.ExplainToSender].
type Trace struct {
	Request  Request // as it was decided about; its Credential is nil if it is anonymous
	Decision Decision
	Steps    []Step // one per rule, in their order
}

// Own returns t with only the steps of rules that are not [NPM]'s: see [Policy.Own].
func (t Trace) Own() Trace {
	t.Steps = slices.DeleteFunc(slices.Clone(t.Steps), func(s Step) bool { return !s.Own })
	return t
}

// Explain decides about req as [Policy.Decide] does and returns the decision with the verdict of
// each rule. A policy with an error has no steps.
func (p *Policy) Explain(req Request) Trace { return p.explain(req, p.Decide(req)) }

// ExplainToSender is [Policy.Explain] for the sender of the request. If it is denied and the sender may
// not know that the package or the organization exists, the steps are those about one that does not
// exist.
func (p *Policy) ExplainToSender(req Request) Trace {
	d := p.Decide(req)
	if d.Effect == Deny && p != nil && !p.broken {
		r := req
		r.prepare(p)
		req.conceal(r.concealed(p.reasons(&r, Forbid)))
	}
	return p.explain(req, d)
}

func (p *Policy) explain(req Request, d Decision) Trace {
	t := Trace{Request: req, Decision: d}
	if p == nil || p.broken {
		return t
	}
	req.prepare(p)
	for i := range p.rules {
		rule := &p.rules[i]
		step := Step{Rule: rule.ID, Own: !rule.npm, Sentence: rule.Sentence, Applies: rule.Concerns(req.action(), req.Kind())}
		if step.Applies {
			var panicked any
			if step.Verdict, panicked = rule.ask(&req); panicked != nil {
				step.Panic = fmt.Sprint(panicked)
			}
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// String returns the trace as lines of text: the decision; each rule whose verdict is not Silent;
// the rules that apply and are silent, in one line; and the reasons of the decision.
func (t Trace) String() string {
	var b strings.Builder
	r := &t.Request
	by := "anonymous"
	if r.Credential != nil {
		by = strings.TrimSpace(r.Credential.Kind.String() + " " + r.Credential.ID)
	}
	fmt.Fprintf(&b, "%v: %v by %s", t.Decision.Effect, r.Operation, by)
	if r.Account.Name != "" {
		fmt.Fprintf(&b, " of %s", r.Account.Name)
	}
	if r.Proof != NoProof {
		fmt.Fprintf(&b, " with proof %v", r.Proof)
	}
	b.WriteByte('\n')
	width := 0
	for _, s := range t.Steps {
		if s.Verdict != Silent {
			width = max(width, len(s.Rule))
		}
	}
	var silent []string
	for _, s := range t.Steps {
		switch {
		case s.Verdict == Silent && s.Applies:
			silent = append(silent, s.Rule)
		case s.Verdict == Silent:
		case s.Panic != "":
			fmt.Fprintf(&b, "  %-10v  %-*s  panic: %s\n", s.Verdict, width, s.Rule, s.Panic)
		default:
			fmt.Fprintf(&b, "  %-10v  %-*s  %s\n", s.Verdict, width, s.Rule, s.Sentence)
		}
	}
	if len(silent) > 0 {
		fmt.Fprintf(&b, "  %-10v  %s\n", Silent, strings.Join(silent, " "))
	}
	for _, reason := range t.Decision.Reasons {
		fmt.Fprintf(&b, "  answer      %s", reason.Code)
		if reason.Conceal {
			b.WriteString(" (as if absent)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
