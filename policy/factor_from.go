package policy

import (
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

const ruleFactorDemanded = "factor-demanded"

// WithFactorFrom returns p with a date for everybody: from the instant at on, who has no second factor
// neither writes packages, nor manages packages, organizations and service accounts, nor creates a token
// that writes. That holds for tokens that bypass the second factor, too, and for packages with mfa=none;
// it does not hold for service accounts and trusted publishers. The rule is factor-demanded, the last of
// the new policy. A further call moves the date. The zero time, which a policy begins with, means never,
// and takes the rule away.
//
// npmjs.com made such a demand of the maintainers of its most used packages, in steps from 2022 on.
// Before the date npmauth tells those whom it is about: see [Policy.FactorMissing].
func (p *Policy) WithFactorFrom(at time.Time) *Policy {
	q := p.clone()
	q.rules = slices.DeleteFunc(q.rules, func(r Rule) bool { return !r.from.IsZero() })
	if at.IsZero() {
		return q.seal()
	}
	q = q.With(factorDemanded(at))
	return q
}

// FactorFrom returns the date of [Policy.WithFactorFrom], the zero time if there is none.
func (p *Policy) FactorFrom() time.Time {
	if i := p.dated(); i >= 0 {
		return p.rules[i].from
	}
	return time.Time{}
}

// FactorMissing reports whether req is early for [Policy.FactorFrom]: whether the account has no second
// factor, and what it does is denied for that from then on. It is false from that instant on, when
// [Policy.Decide] denies, and without a date.
func (p *Policy) FactorMissing(req Request) bool {
	i := p.dated()
	if i < 0 || p.broken {
		return false
	}
	rule := &p.rules[i]
	if !req.Now.Before(rule.from) || !rule.Concerns(req.action(), req.Kind()) {
		return false
	}
	req.Now = rule.from
	req.prepare(p)
	v, panicked := rule.ask(&req)
	return v == Forbid && panicked == nil
}

// dated returns the index of the rule of WithFactorFrom, -1 if there is none.
func (p *Policy) dated() int {
	if p == nil {
		return -1
	}
	return slices.IndexFunc(p.rules, func(r Rule) bool { return !r.from.IsZero() })
}

func factorDemanded(at time.Time) Rule {
	return Rule{
		ID:       ruleFactorDemanded,
		Doc:      "From " + at.UTC().Format(time.RFC3339) + " on who has no second factor neither writes nor manages nor creates a token that writes, also with a token that bypasses it and where the package needs none.",
		Sentence: "This registry requires a second factor of everybody who writes and your account has none.",
		Remedy:   FactorRemedy,
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(!r.Now.Before(at) && !r.Account.HasFactor() && !r.Account.Service && r.lasting())
		},
		npm: true, from: at,
	}
}
