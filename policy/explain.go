package policy

import (
	"fmt"
	"strings"

	"github.com/npmauth/npmauth/protocol"
)

// A Step is what one rule said of a request.
type Step struct {
	Rule     string // its ID
	Verdict  Verdict
	Sentence string
	Asked    bool   // false: the rule is about other actions or kinds of credential
	Panic    string // what it panicked with, and so forbade
}

// A Trace is a decision with all that led to it. It names credentials by their
// public ID only, but it tells of hidden packages: it is for those who run the
// registry and not for an answer.
type Trace struct {
	Operation  protocol.Operation
	Credential string // kind and ID
	Account    string // name
	Proof      Proof
	Decision   Decision
	Steps      []Step // one per rule, in their order
}

// Explain decides about req as [Policy.Decide] does and returns what each rule said.
func (p *Policy) Explain(req Request) Trace {
	t := Trace{Operation: req.Operation, Credential: "anonymous", Account: req.Account.Name, Proof: req.Proof}
	if req.Credential != nil {
		t.Credential = strings.TrimSpace(req.Credential.Kind.String() + " " + req.Credential.ID)
	}
	t.Decision = p.Decide(req)
	if p == nil || p.broken {
		return t
	}
	req.prepare(p)
	for i := range p.rules {
		rule := &p.rules[i]
		step := Step{Rule: rule.ID, Sentence: rule.Sentence, Asked: rule.Concerns(req.action(), req.Kind())}
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
	fmt.Fprintf(&b, "%v: %v by %s", t.Decision.Effect, t.Operation, t.Credential)
	if t.Account != "" {
		fmt.Fprintf(&b, " of %s", t.Account)
	}
	if t.Proof != NoProof {
		fmt.Fprintf(&b, " with proof %v", t.Proof)
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
