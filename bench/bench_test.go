package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == attackerCommand {
		os.Exit(attackerMain(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	}
	versions = 2
	os.Exit(m.Run())
}

// A length for which nothing is measured that means anything.
const moment = 100 * time.Millisecond

// Each attack runs, nobody is told anything that is not expected, and the report has all of it.
func TestDrill(t *testing.T) {
	args, ran := []string{"-for", moment.String(), "-json", "-report"}, attacks
	if testing.Short() {
		ran = attacks[:1]
		args = append(args, "-attack", ran[0].name)
	}
	var out, log bytes.Buffer
	code := run(t.Context(), args, &out, &log)
	require.Zero(t, code, log.String())
	var results []result
	require.NoError(t, json.Unmarshal(out.Bytes(), &results))
	require.Len(t, results, len(ran))
	for i, r := range results {
		a := ran[i]
		assert.Equal(t, a.name, r.Attack)
		assert.NotEmpty(t, r.Answers, a.name)
		for answer := range r.Answers {
			assert.Contains(t, append([]string{held}, a.expect...), answer, a.name)
		}
		measured := []string{whoami, ownerIn, otherIn}
		if a.also != nil {
			measured = append(measured, a.also.name)
		}
		for name, o := range map[string]observed{"idle": r.Idle, "attacked": r.Attacked} {
			assert.Positive(t, o.Peak, a.name)
			assert.Len(t, o.Stats, len(measured), a.name)
			for _, what := range measured {
				assert.Positive(t, o.Stats[what].N, "%s, %s: %s", a.name, name, what)
				assert.Positive(t, o.Stats[what].P99, "%s, %s: %s", a.name, name, what)
			}
		}
		assert.Zero(t, r.Idle.Stats[ownerIn].Failed, r.Idle.Stats[ownerIn].Error)
		assert.Zero(t, r.Idle.Stats[otherIn].Failed, r.Idle.Stats[otherIn].Error)
	}

	var table strings.Builder
	printTable(&table, results)
	for line := range strings.Lines(table.String()) {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, len(columns)+1, strings.Count(line, "|"), line)
		}
	}
	for _, a := range ran {
		assert.Contains(t, table.String(), "| "+a.name)
	}
}

// The requests of an attack arrive where they should: they are refused for what they are.
func TestRequests(t *testing.T) {
	program, err := build(t.Context(), t.TempDir())
	require.NoError(t, err)
	s, err := populate(t.Context(), program, t.TempDir(), moment)
	require.NoError(t, err)
	wants := map[string][]string{
		"AU-20-owners": {"401", "401", "401"}, "AU-20-names": {"401", "401"}, "AU-21-48": {"401", "401"}, "AU-21-24": {"401", "401"},
		"AU-21-own": {"401", "401"}, "AU-21-1000": {"401", "401"}, "AU-22": {"401", "401", "303", "401"}, "AU-24": {"401", "401"},
		"AU-25": {held, held, held, "404"}, "AU-26": {"400", "400", "400", "400"}, "AU-27": {"200", "200"},
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			p, err := s.open(t.Context(), t.TempDir())
			require.NoError(t, err)
			defer func() { assert.NoError(t, p.end(os.Kill)) }()
			if a.prepare != nil {
				require.NoError(t, a.prepare(t.Context(), p.url, s))
			}
			require.NotEmpty(t, wants[a.name])
			for i, want := range wants[a.name] {
				ctx, cancel := t.Context(), func() {}
				if want == held {
					ctx, cancel = context.WithTimeout(ctx, moment)
				}
				got, err := a.send(ctx, &target{Base: p.url, Scene: s}, i)
				cancel()
				require.NoError(t, err)
				assert.Equal(t, want, got, "request %d", i)
			}
		})
	}
}

// What is missed is told, and decides the exit status.
func TestGoals(t *testing.T) {
	fine := func() result {
		stats := func() map[string]stat {
			return map[string]stat{whoami: {N: 10, P99: 2}, ownerIn: {N: 1, P99: 50}, otherIn: {N: 1, P99: 50}}
		}
		return result{Idle: observed{Stats: stats(), Peak: 50 * mebi}, Attacked: observed{Stats: stats(), Peak: 50 * mebi}, Answers: map[string]int{"401": 3, held: 1}}
	}
	set := func(what string, p99 float64, failed int) func(*result) {
		return func(r *result) { r.Attacked.Stats[what] = stat{N: 1, P99: p99, Failed: failed} }
	}
	for name, tt := range map[string]struct {
		change func(*result)
		missed int
	}{
		"none":                  {func(*result) {}, 0},
		"whoami at 2.5 times":   {set(whoami, 5, 0), 0},
		"whoami beyond":         {set(whoami, 5.1, 0), 1},
		"memory at 64 MiB":      {func(r *result) { r.Attacked.Peak = 114 * mebi }, 0},
		"memory beyond":         {func(r *result) { r.Attacked.Peak = 114*mebi + 1 }, 1},
		"owner at 2 s":          {set(ownerIn, 2000, 0), 0},
		"owner beyond":          {set(ownerIn, 2001, 0), 1},
		"other at 10 s":         {set(otherIn, 10_000, 0), 0},
		"other beyond":          {set(otherIn, 10_001, 0), 1},
		"a failure":             {set(otherIn, 1, 1), 1},
		"nothing was measured":  {func(r *result) { r.Attacked.Stats[ownerIn] = stat{} }, 1},
		"an attacker comes in":  {func(r *result) { r.Answers["201"] = 1 }, 1},
		"an attacker's trouble": {func(r *result) { r.Answers["dial tcp: too many open files"] = 1 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := fine()
			tt.change(&r)
			r.judge(attack{expect: refusedLogin})
			assert.Len(t, r.Missed, tt.missed)
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-attack", "nonsense"}, {"-for", "0s"}, {"more"}, {"-nonsense"}} {
		var out, log bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), args, &out, &log), args)
		assert.NotEmpty(t, log.String())
	}
}

// Sources are networks of their own.
func TestSources(t *testing.T) {
	networks := map[string]bool{}
	for i := range 1000 {
		p, err := anywhere(i).forwarded.Prefix(24)
		require.NoError(t, err)
		networks[p.String()] = true
		p, err = direct(i, i).local.Prefix(24)
		require.NoError(t, err)
		networks[p.String()] = true
	}
	assert.Len(t, networks, 2000)
	for i := range 256 {
		p, err := inSite(i).forwarded.Prefix(48)
		require.NoError(t, err)
		assert.Equal(t, "2001:db8:1::/48", p.String())
	}
}
