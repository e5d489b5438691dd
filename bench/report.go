package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// What is measured, by its name in a report.
const (
	whoami  = "whoami"
	ownerIn = "owner" // logs in from where that is known, and changes the password
	otherIn = "other" // logs in from a new network
)

// A result is what an attack has done.
type result struct {
	Attack, About  string
	Load           float64 // of the machine when it began
	Idle, Attacked observed
	Answers        map[string]int // how many the attackers got, by status
	Missed         []string       // goals, and what was there instead

	also *extra
}

type observed struct {
	Stats map[string]stat
	Peak  int64 // bytes

	// How long it took, and for how long the registry used processors, and the attackers with those
	// who are measured, who run on the same machine. Zero where the kernel does not tell.
	Took, Registry, Attackers time.Duration
}

const mebi = 1 << 20

// goals are what an attack must not cost others.
var goals = []struct {
	what   string
	missed func(r result) bool
}{
	{"whoami p99 is at most 2.5 times that of idle", func(r result) bool { return r.ratio() > 2.5 }},
	{"the memory grows by at most 64 MiB", func(r result) bool { return r.Attacked.Peak-r.Idle.Peak > 64*mebi }},
	{"an owner at a known place waits for at most 2 s", func(r result) bool { return r.Attacked.Stats[ownerIn].P99 > 2000 }},
	{"somebody else waits for at most 10 s", func(r result) bool { return r.Attacked.Stats[otherIn].P99 > 10_000 }},
	{"no request of others fails", func(r result) bool {
		for _, s := range r.Attacked.Stats {
			if s.Failed > 0 || s.N == 0 {
				return true
			}
		}
		return false
	}},
}

func (r result) ratio() float64 { return r.Attacked.Stats[whoami].P99 / r.Idle.Stats[whoami].P99 }

// judge finds the goals that were missed.
func (r *result) judge(a attack) {
	for _, g := range goals {
		if g.missed(*r) {
			r.Missed = append(r.Missed, g.what)
		}
	}
	for answer := range r.Answers {
		if answer != held && !slices.Contains(a.expect, answer) {
			r.Missed = append(r.Missed, "an attacker is answered "+strings.Join(a.expect, ", "))
			break
		}
	}
}

// columns of the table, each with idle and the attack.
var columns = []string{"attack", "whoami p99", "peak memory", "owner p99", "other p99", "goals"}

func printTable(w io.Writer, results []result) {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(table, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row(columns...)
	row(slices.Repeat([]string{"---"}, len(columns))...)
	for _, r := range results {
		pair := func(what string) string {
			cell := fmt.Sprintf("%s, %s ms", short(r.Idle.Stats[what].P99), short(r.Attacked.Stats[what].P99))
			if n := r.Attacked.Stats[what].Failed; n > 0 {
				cell += fmt.Sprintf(" (%d of %d failed)", n, r.Attacked.Stats[what].N)
			}
			return cell
		}
		verdict := "met"
		if len(r.Missed) > 0 {
			verdict = fmt.Sprintf("%d missed", len(r.Missed))
		}
		row(r.Attack, pair(whoami), fmt.Sprintf("%d, %d MiB", r.Idle.Peak/mebi, r.Attacked.Peak/mebi), pair(ownerIn), pair(otherIn), verdict)
	}
	table.Flush()
	fmt.Fprintln(w, "\nEach cell has idle, and then the attack.")
	for _, r := range results {
		fmt.Fprintf(w, "\n%s: %s\n", r.Attack, r.About)
		fmt.Fprintf(w, "  whoami p99 is %.1f times that of idle; the load of the machine was %.1f when it began\n", r.ratio(), r.Load)
		fmt.Fprintf(w, "  of each second the registry used processors for %.2f s, and its attackers on the same machine for %.2f s\n",
			r.Attacked.Registry.Seconds()/r.Attacked.Took.Seconds(), r.Attacked.Attackers.Seconds()/r.Attacked.Took.Seconds())
		for _, answer := range slices.Sorted(maps.Keys(r.Answers)) {
			fmt.Fprintf(w, "  answered %s: %d\n", answer, r.Answers[answer])
		}
		if r.also != nil {
			fmt.Fprintf(w, "  %s p99: %s, %s ms\n", r.also.name, short(r.Idle.Stats[r.also.name].P99), short(r.Attacked.Stats[r.also.name].P99))
		}
		for _, what := range slices.Sorted(maps.Keys(r.Attacked.Stats)) {
			if s := r.Attacked.Stats[what]; s.Failed > 0 {
				fmt.Fprintf(w, "  %s: %d of %d failed: %s\n", what, s.Failed, s.N, s.Error)
			}
		}
		for _, m := range r.Missed {
			fmt.Fprintf(w, "  missed: %s\n", m)
		}
	}
}

// short is a time with two digits at least.
func short(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}
