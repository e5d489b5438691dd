package fuzzbound_test

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
)

// A failing test is told what Check says.
type failing struct {
	testing.TB
	says string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.says = fmt.Sprintf(format, args...)
	panic(f)
}

// check returns what Check says, "" if it passes.
func check(t *testing.T, in string, b fuzzbound.Bounds, parse func(string) int) (says string) {
	f := &failing{TB: t}
	defer func() {
		if p := recover(); p != nil {
			require.Equal(t, f, p)
			says = f.says
		}
	}()
	fuzzbound.Check(f, in, b, parse)
	return ""
}

var kept []byte

func TestCheck(t *testing.T) {
	linear := fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10, PerByte: 8}, Work: fuzzbound.Limit{Base: 1, PerByte: 1}}
	copies := func(in string) int { kept = []byte(in); return len(in) }
	grows := func(in string) int { // as one that concatenates
		kept = nil
		for i := range in {
			kept = append(bytes.Clone(kept), in[i])
		}
		return len(in)
	}
	searches := func(in string) (steps int) { // as one that begins anew after each comma
		for i := range in {
			steps += strings.IndexByte(in[i:], ',') + 1
		}
		return steps
	}
	for _, in := range []string{"", "x", "0123456789,", strings.Repeat("x", fuzzbound.Stretched), strings.Repeat("x", 1<<16)} {
		assert.Empty(t, check(t, in, linear, copies), "%d bytes", len(in))
	}
	for _, in := range []string{"x", "0123456789,", strings.Repeat("x", 1<<13)} {
		assert.Contains(t, check(t, in, linear, grows), "bytes of input allocate", "%d bytes", len(in))
	}
	assert.Contains(t, check(t, "0123456789,", linear, searches), "bytes of input take")
	assert.Contains(t, check(t, "x", fuzzbound.Bounds{Work: linear.Work}, copies), "allocate", "no memory is allowed")
	assert.Contains(t, check(t, "x", fuzzbound.Bounds{Memory: linear.Memory}, copies), "take 1 steps, more than 0", "no work is allowed")
	assert.Empty(t, check(t, "x", fuzzbound.Bounds{}, func(string) int { return 0 }))
}

// A longer input than that of the fuzzer is made of it, the same in each run.
func TestCheckStretches(t *testing.T) {
	var seen [2][]string
	for i := range seen {
		require.Empty(t, check(t, "[1,2,3]", fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 20}}, func(in string) int {
			seen[i] = append(seen[i], in)
			return 0
		}))
	}
	require.Equal(t, seen[0], seen[1])
	require.Len(t, seen[0], 1+24)
	assert.Equal(t, "[1,2,3]", seen[0][0])
	for _, long := range seen[0][1:] {
		assert.LessOrEqual(t, len(long), fuzzbound.Stretched)
		assert.Greater(t, len(long), fuzzbound.Stretched-7)
		assert.True(t, repeats(long, "[1,2,3]"), "%.20q", long)
	}
	assert.Greater(t, len(slices.Compact(slices.Sorted(slices.Values(seen[0])))), 8, "different parts")
}

// A fuzzer makes enough inputs to stretch some of them once.
func TestCheckWhileFuzzing(t *testing.T) {
	require.NoError(t, flag.Set("test.fuzz", "FuzzSomething"))
	defer func() { require.NoError(t, flag.Set("test.fuzz", "")) }()
	calls := map[int]int{}
	for i := range 1000 {
		n := 0
		require.Empty(t, check(t, fmt.Sprint(i), fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 20}}, func(string) int { n++; return 0 }))
		calls[n]++
	}
	assert.Len(t, calls, 2)
	assert.Greater(t, calls[1], 600)
	assert.Greater(t, calls[2], 150)
}

// repeats reports whether long is short with one part of it repeated.
func repeats(long, short string) bool {
	for from := range len(short) {
		for to := from + 1; to <= len(short); to++ {
			part := strings.Repeat(short[from:to], (fuzzbound.Stretched-len(short))/(to-from))
			if long == short[:from]+part+short[from:] {
				return true
			}
		}
	}
	return false
}
