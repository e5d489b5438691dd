package etcdtest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
)

func synced(cfg *embed.Config) { cfg.UnsafeNoFsync = false }

func BenchmarkOneNode(b *testing.B) {
	benchmark(b, etcdtest.Start(b, synced).Endpoint())
}

func BenchmarkCluster(b *testing.B) {
	benchmark(b, etcdtest.StartCluster(b, synced).Endpoints()...)
}

// Gets and Commits beside one raw linearizable read or put through a client like the
// store's own, on servers that sync.
func benchmark(b *testing.B, endpoints ...string) {
	s, raw := etcdtest.Open(b, "", endpoints...), etcdtest.Client(b, endpoints...)
	ctx, value := b.Context(), make([]byte, 240)
	for i := range 1000 {
		_, err := s.Commit(ctx, store.Op{Key: fmt.Sprintf("key-%04d", i), At: store.Any, Action: store.Put, Value: value})
		require.NoError(b, err)
	}
	read := func() error {
		_, err := raw.Get(ctx, "npmauth/k/key-0500")
		return err
	}
	write := func() error {
		_, err := raw.Put(ctx, "floor", string(value))
		return err
	}
	get := func(keys ...string) func() error {
		return func() error {
			_, err := s.Get(ctx, keys...)
			return err
		}
	}
	commits := 0
	commit := func(ops ...store.Op) func() error {
		return func() error {
			commits++
			for i := range ops {
				if ops[i].Action == store.Put {
					ops[i].Key = fmt.Sprint("new-", commits, "-", i)
				}
			}
			_, err := s.Commit(ctx, ops...)
			return err
		}
	}
	plain := store.Op{At: store.Any, Action: store.Put, Value: value}
	expiring := plain
	expiring.Expires = time.Now().Add(time.Hour)
	for _, bb := range []struct {
		name        string
		floor, ours func() error
	}{
		{"get", read, get("key-0500")},
		{"get of three", read, get("key-0500", "key-0501", "absent")},
		{"commit", write, commit(plain)},
		{"commit of a check and three puts", write, commit(store.Op{Key: "absent"}, plain, plain, plain)},
		{"commit of a check and three puts that expire", write, commit(store.Op{Key: "absent"}, expiring, expiring, expiring)},
	} {
		b.Run(bb.name, func(b *testing.B) { alternate(b, bb.floor, bb.ours) })
	}
}

// alternate reports the medians of two functions that take turns, so that what else
// the machine does meets both.
func alternate(b *testing.B, floor, ours func() error) {
	var took [2][]time.Duration
	for b.Loop() {
		for i, f := range []func() error{floor, ours} {
			start := time.Now()
			require.NoError(b, f())
			took[i] = append(took[i], time.Since(start))
		}
	}
	var medians [2]float64
	for i := range took {
		slices.Sort(took[i])
		medians[i] = float64(took[i][len(took[i])/2].Microseconds())
	}
	b.ReportMetric(medians[0], "floor-µs")
	b.ReportMetric(medians[1], "ours-µs")
	b.ReportMetric(medians[1]/medians[0], "ratio")
	b.ReportMetric(0, "ns/op") // of both together
}
