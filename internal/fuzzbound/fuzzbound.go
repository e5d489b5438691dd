// Package fuzzbound holds parsers to the memory and the work that the length of their input allows.
// Only tests import it.
package fuzzbound

import (
	"flag"
	"hash/fnv"
	"runtime"
	"testing"
)

// A Limit grows with the length of an input by PerByte for each byte. The zero value allows nothing.
type Limit struct{ Base, PerByte int }

// Of returns what an input of n bytes is allowed.
func (l Limit) Of(n int) int { return l.Base + l.PerByte*n }

// Bounds are what a parser may take for an input.
type Bounds struct {
	Memory Limit // bytes that are allocated, what is garbage at once too
	Work   Limit // steps, as the parser's test counts them
}

// Stretched is how long an input is made by [Check], in bytes. In a longer one by an order than most
// that a fuzzer makes, a quadratic parser takes more than its linear bound.
const Stretched = 4 << 10

// Check calls parse with in, and with in stretched: a part of it, which depends on in alone, is
// repeated until it is [Stretched] bytes long. A seed is stretched in many places; while a fuzzer
// runs, which makes many inputs, that is one place of each fourth. Check fails the test if parse
// allocates more than b.Memory or returns more steps than b.Work, where steps are what its work can
// be counted by: calls, tokens, or the size of what it returns. parse must accept being called
// several times.
func Check[T ~[]byte | ~string](t testing.TB, in T, b Bounds, parse func(in T) (steps int)) {
	t.Helper()
	check(t, in, b, parse)
	if len(in) == 0 || len(in) >= Stretched {
		return
	}
	if !fuzzing() {
		for n := range places {
			check(t, stretch(in, sum(in, n)), b, parse)
		}
	} else if place := sum(in, 0); place>>62 == 0 {
		check(t, stretch(in, place), b, parse)
	}
}

func check[T ~[]byte | ~string](t testing.TB, in T, b Bounds, parse func(in T) (steps int)) {
	t.Helper()
	steps := 0
	Memory(t, in, func() int {
		steps = parse(in)
		return b.Memory.Of(len(in))
	})
	if most := b.Work.Of(len(in)); steps > most {
		t.Fatalf("%d bytes of input take %d steps, more than %d: %.300q", len(in), steps, most, in)
	}
}

// Memory fails the test if parse allocates more bytes than it returns, as the most that in may
// take. That is what the whole process allocates, so nothing else may run meanwhile: of what a
// collection or another goroutine adds to one run, another run is free.
func Memory[T ~[]byte | ~string](t testing.TB, in T, parse func() (most int)) {
	t.Helper()
	memory, most := 0, 0
	for range 5 {
		if memory = allocated(t, func() { most = parse() }); memory <= most {
			return
		}
	}
	t.Fatalf("%d bytes of input allocate %d bytes, more than %d: %.300q", len(in), memory, most, in)
}

// places is in how many places a seed is stretched.
const places = 24

// fuzzing reports whether a fuzzer runs, which finds what it fails at among the seeds next time.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// sum returns the nth number of in.
func sum[T ~[]byte | ~string](in T, n int) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(in))
	hash.Write([]byte{byte(n)})
	return hash.Sum64()
}

// stretch repeats a part of in, at a place that is a number of any size.
func stretch[T ~[]byte | ~string](in T, place uint64) T {
	size := uint64(len(in))
	from := place >> 32 % size
	part := in[from : from+1+place%(size-from)]
	long := append(make([]byte, 0, Stretched), in[:from]...)
	for range (Stretched - len(in)) / len(part) {
		long = append(long, part...)
	}
	return T(append(long, in[from:]...))
}

// probe is allocated with each measurement, so that one that sees nothing is no success. It is a
// variable of the package, or the compiler would leave it out.
var probe []byte //nolint:unused // see above

const probeSize = 8 << 10

// allocated returns how many bytes fn allocates.
func allocated(t testing.TB, fn func()) int {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	probe = make([]byte, probeSize)
	fn()
	runtime.ReadMemStats(&after)
	n := int(after.TotalAlloc-before.TotalAlloc) - probeSize
	if n < 0 {
		t.Fatal("fuzzbound: allocations are not counted")
	}
	return n
}
