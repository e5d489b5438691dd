package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Step is what one rule said of a request.
type Step struct {
	Rule     string // its ID
	Own      bool   // the rule is not one of NPM's
	Verdict  Verdict
	Sentence string
	Asked    bool   // false: the rule is about other actions or kinds of credential
	Panic    string // what it panicked with, and so forbade
}

// A Trace is a decision with all that led to it. It names credentials by their
// public ID only, but it tells of hidden packages: it is for those who run the
// registry and not for an answer, which is [Policy.ExplainToSender]'s.
type Trace struct {
	Request  Request // as the rules saw it, but that a Credential of nobody is nil
	Decision Decision
	Steps    []Step // one per rule, in their order
}

// Own returns t with the steps only of rules that are not NPM's.
func (t Trace) Own() Trace {
	t.Steps = slices.DeleteFunc(slices.Clone(t.Steps), func(s Step) bool { return !s.Own })
	return t
}

// Explain decides about req as [Policy.Decide] does and returns what each rule said.
func (p *Policy) Explain(req Request) Trace { return p.explain(req, p.Decide(req)) }

// ExplainToSender is Explain for the sender of the request: if it is denied and its sender may not
// know that there is the package or the organization, the rules are asked about one that does not
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
		step := Step{Rule: rule.ID, Own: !rule.npm, Sentence: rule.Sentence, Asked: rule.Concerns(req.action(), req.Kind())}
		if step.Asked {
			var panicked any
			if step.Verdict, panicked = rule.ask(&req); panicked != nil {
				step.Panic = fmt.Sprint(panicked)
			}
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// String returns the trace for people: the decision, the rules that said something
// one to a line, those that had nothing to say, and the reasons given where they
// differ because the package is concealed.
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
		case s.Verdict == Silent && s.Asked:
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
