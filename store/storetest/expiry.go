package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func expiring(key string, expires time.Time) store.Op {
	return store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte("x"), Expires: expires}
}

// expiryIsAHint tests that an expired item is there until the store deletes it, no sooner than
// SweepGrace after, and counts in preconditions like any other.
func expiryIsAHint(t tb, e env) {
	now := time.Now()
	for i, expires := range []time.Time{now.Add(-time.Minute), now, now.Add(time.Hour)} {
		key := fmt.Sprint("k", i)
		rev := commit(t, e.s, expiring(key, expires))
		assert.True(t, get(t, e.s, key).Exists(), "expiry %s", expires)
		assert.Len(t, list(t, e.s, key, "", 1), 1)
		conflicts(t, e.s, put(key, "x", store.Absent))
		commit(t, e.s, check(key, rev))
		rev = commit(t, e.s, put(key, "y", rev))
		assert.True(t, get(t, e.s, key).Expires.IsZero(), "a put without expiry takes it away")
		commit(t, e.s, del(key, rev))
	}
}

// TK-09
func expiryPrecision(t tb, e env) {
	zone := time.FixedZone("elsewhere", 3*3600)
	for _, want := range []time.Time{
		time.Date(2030, 1, 2, 3, 4, 5, 6789, time.UTC),
		time.Date(2030, 1, 2, 3, 4, 5, 999_999_999, zone),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Unix(0, 0), // not the zero time
		time.Now(),
	} {
		commit(t, e.s, expiring("k", want))
		cut := want.Truncate(time.Microsecond)
		got := get(t, e.s, "k").Expires
		assert.True(t, cut.Equal(got), "got %s, want %s", got, cut)
		assert.True(t, cut.Equal(list(t, e.s, "k", "", 1)[0].Expires), "in a list")
	}
	commit(t, e.s, expiring("k", never))
	assert.True(t, get(t, e.s, "k").Expires.IsZero())
}

func sweep(t tb, e env) {
	sweeper, ok := store.As[store.Sweeper](e.s)
	require.True(t, ok, "the store is no Sweeper")
	now := time.Now()
	fill := func() {
		for i := range 40 {
			commit(t, e.s, expiring("old/"+number(i), now.Add(-2*store.SweepGrace)))
		}
	}
	fill()
	commit(t, e.s,
		expiring("just expired", now.Add(-store.SweepGrace/2)),
		expiring("later", now.Add(time.Hour)),
		expiring("never", never))
	rest := map[string]string{"just expired": "x", "later": "x", "never": "x"}

	n, err := sweeper.Sweep(t.Context(), now.Add(-3*store.SweepGrace), 100)
	require.NoError(t, err)
	assert.Zero(t, n, "nothing expired before that time")
	n, err = sweeper.Sweep(t.Context(), now, 33)
	require.NoError(t, err)
	assert.Equal(t, 33, n, "limit")
	n, err = sweeper.Sweep(t.Context(), now.Add(24*time.Hour), 100)
	require.NoError(t, err)
	assert.Equal(t, 7, n, "an hour must have passed, whatever time is given")
	holds(t, e.s, rest)

	_, err = sweeper.Sweep(t.Context(), now, 0)
	assert.ErrorIs(t, err, store.ErrInvalid)

	rev := commit(t, e.s, expiring("old", now.Add(-2*store.SweepGrace)))
	n, err = sweeper.Sweep(t.Context(), now, 100)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.NotEqual(t, rev, commit(t, e.s, put("old", "new", store.Absent)), "a revision used before the sweep")
}

// expiredStay waits for a store that deletes expired items by itself, sooner than SweepGrace
// after, for instance by a lease of its engine.
func expiredStay(t tb, e env) {
	if _, ok := e.s.(interface{ Unwrap() store.Store }); ok {
		t.Skip("a wrapper")
	}
	now := time.Now()
	revisions := map[string]store.Revision{}
	for key, expires := range map[string]time.Time{
		"long ago": now.Add(time.Minute - store.SweepGrace),
		"just now": now,
		"soon":     now.Add(time.Second),
	} {
		revisions[key] = commit(t, e.s, expiring(key, expires))
	}
	time.Sleep(3 * time.Second) // the shortest lease of etcd is over, and collected
	for key, rev := range revisions {
		assert.Equal(t, rev, get(t, e.s, key).Revision, "what expired %s", key)
	}
	assert.Len(t, list(t, e.s, "", "", 10), len(revisions))
}

// sweepAgainstWriters (ST-11) renews expired items while two sweepers delete them.
func sweepAgainstWriters(t tb, e env) {
	sweeper, ok := store.As[store.Sweeper](e.s)
	require.True(t, ok, "the store is no Sweeper")
	const items = 20
	var keys []string
	for i := range items {
		keys = append(keys, number(i))
	}
	for round := range e.rounds(12) {
		var ops []store.Op
		for _, key := range keys {
			ops = append(ops, expiring(key, time.Now().Add(-2*store.SweepGrace)))
		}
		rev := commit(t, e.s, ops...)
		renewed := make([]bool, items)
		var deleted [2]int
		run := func(i int) func() error {
			return func() (err error) {
				deleted[i], err = sweeper.Sweep(t.Context(), time.Now(), store.MaxLimit)
				return err
			}
		}
		errs := race(run(0), func() error {
			for n := range items {
				i := (n + round) % items
				if _, err := e.s.Get(t.Context(), keys[i]); err != nil { // leaves the others some time
					return err
				}
				_, err := e.s.Commit(t.Context(), put(keys[i], "new", rev))
				if err != nil && !errors.Is(err, store.ErrConflict) {
					return err
				}
				renewed[i] = err == nil
			}
			return nil
		}, run(1))
		for _, err := range errs {
			require.NoError(t, err)
		}
		kept := 0
		left, err := e.s.Get(t.Context(), keys...)
		require.NoError(t, err)
		for i, it := range left {
			if renewed[i] {
				require.Equal(t, "new", string(it.Value), "an item that was renewed in time was swept")
			}
			if it.Exists() {
				kept++
			}
		}
		require.Equal(t, items-kept, deleted[0]+deleted[1], "Sweep returns how many it deleted")
	}
}
