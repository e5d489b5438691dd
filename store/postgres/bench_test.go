package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// beside runs floor and subject in turn, workers of each at once, and reports the
// median of each and how many floors the subject takes.
func beside(b *testing.B, workers int, floor, subject func(worker, i int) error) {
	var took [2][]time.Duration
	for _, call := range []func(worker, i int) error{floor, subject} {
		var wg sync.WaitGroup
		for w := range workers { // connections are made and statements prepared
			for i := range 3 {
				wg.Go(func() { assert.NoError(b, call(w, -i-1)) })
			}
		}
		wg.Wait()
	}
	i := 0
	for b.Loop() {
		for which, call := range []func(worker, i int) error{floor, subject} {
			var wg sync.WaitGroup
			errs := make([]error, workers)
			begin := time.Now()
			for w := range workers {
				wg.Go(func() { errs[w] = call(w, i) })
			}
			wg.Wait()
			took[which] = append(took[which], time.Since(begin))
			for _, err := range errs {
				require.NoError(b, err)
			}
		}
		i++
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / 1e3
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took[0]), "floor-µs")
	b.ReportMetric(median(took[1]), "µs")
	b.ReportMetric(median(took[1])/median(took[0]), "x-floor")
}

// A Get beside a raw read, a Commit beside a raw insert, each with the same driver
// and pool and in the same run. 32 at once are given as many connections.
func BenchmarkStore(b *testing.B) {
	for _, workers := range []int{1, 32} {
		s, schema := benchStore(b, workers)
		value := make([]byte, 240)
		read := in(schema, "SELECT value FROM {s}.npmauth WHERE key = $1")
		insert := in(schema, "INSERT INTO {s}.plain (key, value, rev, expires) VALUES ($1, $2, nextval('{s}.npmauth_rev'), NULL)")
		serial := 0
		key := func(worker, i int) string { return fmt.Sprintf("new-%d-%d-%d-%d", workers, worker, serial, i) }
		rawInsert := func(w, i int) error {
			_, err := s.pool.Exec(b.Context(), insert, key(w, i), value)
			return err
		}
		run := func(name string, floor, subject func(worker, i int) error) {
			b.Run(fmt.Sprintf("%s/at once=%d", name, workers), func(b *testing.B) {
				serial++ // keys are new each time
				b.ReportAllocs()
				beside(b, workers, floor, subject)
			})
		}
		run("get", func(int, int) error {
			var v []byte
			return s.pool.QueryRow(b.Context(), read, "key-0500").Scan(&v)
		}, func(int, int) error {
			_, err := s.Get(b.Context(), "key-0500")
			return err
		})
		run("list of 100", func(int, int) error {
			rows, err := s.pool.Query(b.Context(), in(schema, "SELECT key, value, rev, expires FROM {s}.npmauth WHERE key >= 'key-' AND key < 'key.' ORDER BY key LIMIT 100"))
			_, err = scan(rows, err)
			return err
		}, func(int, int) error {
			_, err := s.List(b.Context(), "key-", "", 100)
			return err
		})
		run("commit of one creation", rawInsert, func(w, i int) error {
			_, err := s.Commit(b.Context(), store.Op{Key: key(w, i), Action: store.Put, Value: value})
			return err
		})
		run("commit of a check and three creations", rawInsert, func(w, i int) error {
			k := key(w, i)
			_, err := s.Commit(b.Context(), store.Op{Key: "absent"},
				store.Op{Key: k + "-a", Action: store.Put, Value: value},
				store.Op{Key: k + "-b", Action: store.Put, Value: value},
				store.Op{Key: k + "-c", Action: store.Put, Value: value})
			return err
		})
	}
}

func benchStore(b *testing.B, conns int) (*Store, string) {
	schema := NewSchema()
	s, err := Open(b.Context(), With(DSN(b), "pool_max_conns", fmt.Sprint(conns)), Config{Schema: schema})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	for _, query := range []string{
		`INSERT INTO {s}.npmauth SELECT 'key-' || lpad(n::text, 4, '0'), repeat('x', 240)::bytea, n FROM generate_series(1, 1000) n`,
		`CREATE TABLE {s}.plain (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, rev bigint NOT NULL, expires timestamptz)`,
		`ANALYZE {s}.npmauth`,
	} {
		_, err := s.pool.Exec(context.WithoutCancel(b.Context()), in(schema, query))
		require.NoError(b, err)
	}
	return s, schema
}
