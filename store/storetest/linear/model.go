package linear

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/npmauth/npmauth/store"
)

// A cell is what is under a key. Zero: it is absent.
type cell struct {
	revision store.Revision
	value    string
}

// A state is what is under the keys of a group.
type state [keys]cell

// An input is a read of some keys of a group, or a Commit.
type input struct {
	group string
	reads []int
	steps []step
}

// A step is one op of a Commit, with what it makes of its key.
type step struct {
	key     int
	at      store.Revision
	action  store.Action
	becomes cell
}

type outcome uint8

const (
	done     outcome = iota
	conflict         // a condition did not hold
	unknown          // it may have happened, may happen yet, or never
)

// An output is what a read found, or what became of a Commit.
type output struct {
	cells   []cell
	outcome outcome
}

// model is the contract for whoever makes one call after the other.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byGroup := map[string][]porcupine.Operation{}
		for _, op := range history {
			group := op.Input.(input).group
			byGroup[group] = append(byGroup[group], op)
		}
		return slices.Collect(maps.Values(byGroup))
	},
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) { return next(s.(state), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return describe(in.(input), out.(output))
	},
	DescribeState: func(s any) string { return fmt.Sprint(s) },
}

// next returns whether s explains what was told, and what it becomes.
func next(s state, in input, out output) (bool, state) {
	for i, key := range in.reads {
		if s[key] != out.cells[i] {
			return false, s
		}
	}
	holds := true
	for _, step := range in.steps {
		holds = holds && (step.at == store.Any || step.at == s[step.key].revision)
	}
	switch {
	case in.steps == nil:
		return true, s
	case !holds:
		// An unknown one that meets a conflict, also after all others, never happened.
		return out.outcome != done, s
	case out.outcome == conflict:
		return false, s
	}
	for _, step := range in.steps {
		if step.action != store.Check {
			s[step.key] = step.becomes
		}
	}
	return true, s
}

func describe(in input, out output) string {
	var b strings.Builder
	for i, key := range in.reads {
		fmt.Fprintf(&b, "%d=%q@%d ", key, out.cells[i].value, out.cells[i].revision)
	}
	for _, step := range in.steps {
		fmt.Fprintf(&b, "%s %d@%d %q, ", [...]string{"check", "put", "delete"}[step.action], step.key, step.at, step.becomes.value)
	}
	if in.steps != nil {
		b.WriteString([...]string{"done", "conflict", "unknown"}[out.outcome])
	}
	return b.String()
}
