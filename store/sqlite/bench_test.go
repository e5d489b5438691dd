package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// Each benchmark takes turns with its floor, one read or one durable write through
// the driver alone, and reports how many times as long it takes by the medians. Its
// ns/op is of both together.

// beside times op and floor alternately.
func beside(b *testing.B, floor, op func(i int)) {
	var floors, ops []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		floor(i)
		between := time.Now()
		op(i)
		floors, ops = append(floors, between.Sub(start)), append(ops, time.Since(between))
	}
	report(b, floors, ops)
}

func report(b *testing.B, floors, ops []time.Duration) {
	b.Helper()
	at := func(all []time.Duration, percent int) float64 {
		slices.Sort(all)
		return float64(all[(len(all)-1)*percent/100].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(floors, 50), "floor-µs")
	b.ReportMetric(at(ops, 50), "µs")
	b.ReportMetric(at(ops, 50)/at(floors, 50), "x-floor")
	b.ReportMetric(at(ops, 99)/at(floors, 99), "x-floor-p99")
}

// atOnce is beside for 32 goroutines, a round of each after the other: what it
// reports is of a single call in a round.
func atOnce(b *testing.B, floor, op func(i int)) {
	const goroutines, calls = 32, 8
	var next atomic.Int64
	round := func(fn func(i int)) (each []time.Duration, all time.Duration) {
		each = make([]time.Duration, goroutines*calls)
		var done sync.WaitGroup
		start := time.Now()
		for g := range goroutines {
			done.Go(func() {
				for c := range calls {
					begun := time.Now()
					fn(int(next.Add(1)))
					each[g*calls+c] = time.Since(begun)
				}
			})
		}
		done.Wait()
		return each, time.Since(start)
	}
	var floors, ops, floorRounds, opRounds []time.Duration
	for b.Loop() {
		each, all := round(floor)
		floors, floorRounds = append(floors, each...), append(floorRounds, all)
		each, all = round(op)
		ops, opRounds = append(ops, each...), append(opRounds, all)
	}
	report(b, floors, ops)
	slices.Sort(floorRounds)
	slices.Sort(opRounds)
	b.ReportMetric(float64(floorRounds[len(floorRounds)/2])/float64(opRounds[len(opRounds)/2]), "x-floor-per-s")
}

func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	s, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	require.NoError(b, err)
	defer s.Close()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	require.NoError(b, err)
	raw.SetMaxOpenConns(1)
	defer raw.Close()
	_, err = raw.ExecContext(b.Context(), "CREATE TABLE item (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID")
	require.NoError(b, err)
	read, err := raw.PrepareContext(b.Context(), "SELECT value FROM item WHERE key = ?")
	require.NoError(b, err)
	write, err := raw.PrepareContext(b.Context(), "INSERT INTO item (key, value) VALUES (?, ?)")
	require.NoError(b, err)

	value := make([]byte, 240)
	key := func(name string, i int) string { return fmt.Sprintf("%s-%08d", name, i) }
	const items = 10000
	for i := 0; i < items; {
		var ops []store.Op
		for ; len(ops) < store.MaxOps && i < items; i++ {
			ops = append(ops, store.Op{Key: key("item", i), Action: store.Put, Value: value})
		}
		_, err := s.Commit(b.Context(), ops...)
		require.NoError(b, err)
	}
	_, err = raw.ExecContext(b.Context(),
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO item SELECT printf('item-%08d', i), ? FROM n", items-1, value)
	require.NoError(b, err)

	rawRead := func(i int) {
		var v []byte
		assert.NoError(b, read.QueryRowContext(b.Context(), key("item", i*7919%items)).Scan(&v))
	}
	unique := 0 // the functions of a benchmark begin at 0 repeatedly
	name := func(i int) string { return key(fmt.Sprint(unique), i) }
	rawWrite := func(i int) {
		_, err := write.ExecContext(context.Background(), name(i), value)
		assert.NoError(b, err)
	}
	commit := func(n int, more ...store.Op) func(i int) {
		return func(i int) {
			ops := slices.Clone(more)
			for j := range n {
				ops = append(ops, store.Op{Key: fmt.Sprint(name(i), "-", j), Action: store.Put, Value: value})
			}
			_, err := s.Commit(context.Background(), ops...)
			assert.NoError(b, err)
		}
	}
	get := func(keys int) func(i int) {
		return func(i int) {
			var ask []string
			for j := range keys {
				ask = append(ask, key("item", (i+j)*7919%items))
			}
			got, err := s.Get(b.Context(), ask...)
			assert.NoError(b, err)
			assert.True(b, got[keys-1].Exists())
		}
	}
	token := commit(3, store.Op{Key: "absent"}) // as a token is made: a check and three rows
	for _, tt := range []struct {
		name      string
		run       func(b *testing.B, floor, op func(i int))
		floor, op func(i int)
	}{
		{"get", beside, rawRead, get(1)},
		{"get of 4", beside, rawRead, get(4)},
		{"commit", beside, rawWrite, commit(1)},
		{"commit of a check and three", beside, rawWrite, token},
		{"32 at once", atOnce, rawWrite, commit(1)},
		{"32 at once of a check and three", atOnce, rawWrite, token},
	} {
		b.Run(tt.name, func(b *testing.B) {
			unique++
			tt.run(b, tt.floor, tt.op)
		})
	}
	watching, stop := context.WithCancel(b.Context())
	defer stop()
	go func() { _ = s.Watch(watching, time.Second, func(store.Change) {}) }()
	b.Run("commit, watched", func(b *testing.B) {
		unique++
		beside(b, rawWrite, commit(1))
	})
	b.Run("32 at once, watched", func(b *testing.B) {
		unique++
		atOnce(b, rawWrite, commit(1))
	})
}
