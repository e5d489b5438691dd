package policytest

import (
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// verdicts are the verdicts that rules gave to requests that they are about, as sets of bits, with
// the rules in their order.
type verdicts struct {
	rules []string
	said  map[string]uint8
}

const silence = 1 << policy.Silent

// silent returns the rules that said nothing.
func (v verdicts) silent() []string {
	return slices.DeleteFunc(slices.Clone(v.rules), func(id string) bool { return v.said[id]&^silence != 0 })
}

// spoken returns what the rules of p say of the rows.
func spoken(p *policy.Policy, rows []Row) verdicts {
	v := verdicts{said: map[string]uint8{}}
	for _, r := range p.Rules() {
		v.rules = append(v.rules, r.ID)
	}
	for _, row := range rows {
		for _, step := range p.Explain(row.Request).Steps {
			if step.Applies {
				v.said[step.Rule] |= 1 << step.Verdict
			}
		}
	}
	return v
}

// possible returns what those rules of p that are wanted say anywhere in the boxes.
func possible(p *policy.Policy, boxes []Box, wanted []string) map[string]uint8 {
	rules := slices.DeleteFunc(p.Rules(), func(r policy.Rule) bool { return !slices.Contains(wanted, r.ID) })
	said := make([]uint8, len(rules))
	for i := range rules {
		judge := rules[i].Judge
		rules[i].Judge = func(r *policy.Request) (verdict policy.Verdict) {
			defer func() {
				if recover() != nil {
					verdict = policy.Forbid
				}
				said[i] |= 1 << min(verdict, policy.Forbid)
			}()
			return judge(r)
		}
	}
	watched := policy.New(rules...).WithLimits(p.Limits())
	for r := range requests(boxes, rules) {
		watched.Decide(r)
	}
	can := map[string]uint8{}
	for i, r := range rules {
		can[r.ID] = said[i]
	}
	return can
}

// Uncovered returns the verdicts that rules of p can return and return for no row: "cidr say
// forbid" for a verdict that the rule cidr returns for a request of [Boxes] or of boxes, such as
// those of an [Own]. "cidr speak" is returned for a rule that is silent on all rows and all
// requests of the boxes.
//
// The rows must also make each rule of [policy.Policy.Own] silent about a request that it applies
// to.
func Uncovered(p *policy.Policy, rows []Row, boxes ...Box) []string {
	return Table{Rows: rows, Covers: []string{"all", "own"}}.gaps(p, boxes)
}

// gaps returns what Covers wants and no row has.
func (table Table) gaps(p *policy.Policy, boxes []Box) []string {
	if len(table.Covers)+len(table.Always) == 0 {
		return nil
	}
	var gaps []string
	said := spoken(p, table.Rows)
	for _, id := range table.Always {
		if said.said[id]&silence != 0 {
			gaps = append(gaps, id+" speak always (it is silent on one that it is about)")
		}
	}
	for _, id := range slices.Concat(table.Covers, table.Always) {
		if id != "all" && id != "own" && !slices.Contains(said.rules, id) {
			gaps = append(gaps, fmt.Sprintf("%s speak (%v)", id, no("rule", id, said.rules, "Policy.Rules")))
		}
	}
	var mine []string
	if slices.Contains(table.Covers, "own") {
		mine = p.Own()
	}
	wanted := slices.DeleteFunc(slices.Clone(said.rules), func(id string) bool {
		return !slices.Contains(mine, id) && !slices.Contains(table.Covers, id) && !slices.Contains(table.Covers, "all")
	})
	can := possible(p, append(Boxes(), boxes...), wanted)
	for _, id := range wanted {
		if (can[id]|said.said[id])&^silence == 0 {
			gaps = append(gaps, id+" speak")
		}
		for v := policy.Permit; v <= policy.Forbid; v++ {
			if can[id]&^said.said[id]&(1<<v) != 0 {
				gaps = append(gaps, fmt.Sprintf("%s say %v", id, v))
			}
		}
		if slices.Contains(mine, id) && said.said[id]&silence == 0 && !slices.Contains(table.Always, id) {
			gaps = append(gaps, id+" silent about a request with one of its actions")
		}
	}
	return gaps
}

// Dead returns the rules without which p decides the same, with the same reasons, about every
// request of [Boxes], of rows and of boxes. Pass boxes for rules that depend on what Boxes does not
// vary, such as the time: see [Own].
//
// A rule that forbids what no rule permits is not dead, since it changes the reasons.
func Dead(p *policy.Policy, rows []Row, boxes ...Box) []string {
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
	all := append(Boxes(), boxes...)
	slices.Reverse(all)
	for r := range requests(all, p.Rules()) {
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
