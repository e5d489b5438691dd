package policytest

import (
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// verdicts are the verdicts that rules gave, as sets of bits, with the rules in their order.
type verdicts struct {
	rules []string
	said  map[string]uint8
}

// silent returns the rules that said nothing.
func (v verdicts) silent() []string {
	return slices.DeleteFunc(slices.Clone(v.rules), func(id string) bool { return v.said[id] != 0 })
}

// spoken returns what the rules of p say of the rows.
func spoken(p *policy.Policy, rows []Row) verdicts {
	v := newVerdicts(p)
	for _, row := range rows {
		for _, step := range p.Explain(row.Request).Steps {
			if step.Verdict != policy.Silent {
				v.said[step.Rule] |= 1 << step.Verdict
			}
		}
	}
	return v
}

func newVerdicts(p *policy.Policy) verdicts {
	v := verdicts{said: map[string]uint8{}}
	for _, r := range p.Rules() {
		v.rules = append(v.rules, r.ID)
	}
	return v
}

// possible returns what the rules of p say anywhere in the boxes.
func possible(p *policy.Policy, boxes []Box) verdicts {
	v := newVerdicts(p)
	rules := p.Rules()
	said := make([]uint8, len(rules))
	for i := range rules {
		judge := rules[i].Judge
		rules[i].Judge = func(r *policy.Request) (verdict policy.Verdict) {
			defer func() {
				if recover() != nil {
					verdict = policy.Forbid
				}
				if verdict != policy.Silent {
					said[i] |= 1 << min(verdict, policy.Forbid)
				}
			}()
			return judge(r)
		}
	}
	watched := policy.New(rules...).WithLimits(p.Limits())
	for r := range requests(boxes) {
		watched.Decide(r)
	}
	for i, r := range rules {
		v.said[r.ID] = said[i]
	}
	return v
}

// Uncovered returns what no row makes the rules of p say: "cidr say forbid" where the
// matrix of [Boxes] shows that the rule can, and "cidr speak" of a rule that is silent on
// the rows and in the matrix alike.
func Uncovered(p *policy.Policy, rows []Row) []string {
	return Table{Rows: rows, Covers: []string{"all"}}.gaps(p)
}

// gaps returns what Covers wants and no row has.
func (table Table) gaps(p *policy.Policy) []string {
	if len(table.Covers) == 0 {
		return nil
	}
	var gaps []string
	said := spoken(p, table.Rows)
	can := possible(p, Boxes())
	for _, id := range table.Covers {
		if id != "all" && !slices.Contains(said.rules, id) {
			gaps = append(gaps, id+" speak (there is no such rule)")
		}
	}
	for _, id := range said.rules {
		if !slices.Contains(table.Covers, id) && !slices.Contains(table.Covers, "all") {
			continue
		}
		if can.said[id]|said.said[id] == 0 {
			gaps = append(gaps, id+" speak")
		}
		for v := policy.Permit; v <= policy.Forbid; v++ {
			if can.said[id]&^said.said[id]&(1<<v) != 0 {
				gaps = append(gaps, fmt.Sprintf("%s say %v", id, v))
			}
		}
	}
	return gaps
}

// Dead returns the rules that are there for nothing: without them p decides the same,
// for the same reasons, about every request of [Boxes] and of the rows. The rows are
// for rules about what the boxes do not vary, such as the hour.
//
// A rule that only puts into words what nothing permits is not dead: it is a reason.
func Dead(p *policy.Policy, rows ...Row) []string {
	type suspect struct {
		rule policy.Rule
		rest *policy.Policy
	}
	var suspects []suspect
	for _, r := range p.Rules() {
		suspects = append(suspects, suspect{r, p.Without(r.ID)})
	}
	clear := func(r policy.Request) (done bool) {
		var d policy.Decision
		decided := false
		suspects = slices.DeleteFunc(suspects, func(s suspect) bool {
			if !s.rule.Concerns(known(r.Operation.Action), r.Kind()) {
				return false
			}
			if !decided {
				d, decided = p.Decide(r), true
			}
			return answer(s.rest.Decide(r)) != answer(d)
		})
		return len(suspects) == 0
	}
	for _, row := range rows {
		if clear(row.Request) {
			return nil
		}
	}
	// The smaller boxes are the later ones, and clear the rules that are about every action.
	boxes := Boxes()
	slices.Reverse(boxes)
	for r := range requests(boxes) {
		if clear(r) {
			return nil
		}
	}
	var dead []string
	for _, s := range suspects {
		dead = append(dead, s.rule.ID)
	}
	return dead
}

// known returns Unknown for a number that is no action, as a policy does.
func known(a protocol.Action) protocol.Action {
	if _, err := a.MarshalText(); err != nil {
		return protocol.Unknown
	}
	return a
}
