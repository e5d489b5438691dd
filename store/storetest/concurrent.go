package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// race runs fns at once and returns their errors.
func race(fns ...func() error) []error {
	errs := make([]error, len(fns))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() {
			<-start
			errs[i] = fn()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winners requires that every error is nil or a conflict, and counts the nils.
func winners(t tb, errs []error) int {
	t.Helper()
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
			continue
		}
		require.ErrorIs(t, err, store.ErrConflict)
	}
	return n
}

func committer(t tb, s store.Store, ops ...store.Op) func() error {
	return func() error {
		_, err := s.Commit(t.Context(), ops...)
		return err
	}
}

const contenders = 16

func oneWinner(t tb, e env)          { winnersOf(t, e.s, e.s) }
func secondHandleWinner(t tb, e env) { winnersOf(t, e.s, e.other) }

func winnersOf(t tb, handles ...store.Store) {
	rev := commit(t, handles[0], put("k", "", store.Absent))
	for round := range 20 {
		var fns []func() error
		for i := range contenders {
			fns = append(fns, committer(t, handles[i%len(handles)],
				put("k", number(i), rev), put(fmt.Sprintf("won/%d/%d", round, i), "", store.Absent)))
		}
		require.Equal(t, 1, winners(t, race(fns...)), "of %d commits at one revision", contenders)
		it := get(t, handles[0], "k")
		i, err := strconv.Atoi(string(it.Value))
		require.NoError(t, err)
		won := list(t, handles[0], fmt.Sprintf("won/%d/", round), "", store.MaxLimit)
		require.Equal(t, []string{fmt.Sprintf("won/%d/%d", round, i)}, keysOf(won), "the losers wrote nothing")
		rev = it.Revision
	}
}

func oneCreator(t tb, e env) {
	for round := range 20 {
		key := number(round)
		var fns []func() error
		for i := range contenders {
			fns = append(fns, committer(t, e.s, put(key, number(i), store.Absent)))
		}
		require.Equal(t, 1, winners(t, race(fns...)), "of %d creations", contenders)
	}
}

func skewAbsent(t tb, e env)       { absentSkew(t, e.s, e.s) }
func secondHandleSkew(t tb, e env) { absentSkew(t, e.s, e.other) }

// absentSkew (ST-15) lets commits race that each write what the other checks to be
// absent. No row exists that could be locked.
func absentSkew(t tb, a, b store.Store) {
	for round := range 100 {
		x, y := "x"+number(round), "y"+number(round)
		errs := race(
			committer(t, a, check(x, store.Absent), put(y, "", store.Absent)),
			committer(t, b, put(x, "", store.Absent), check(y, store.Absent)))
		n := winners(t, errs)
		require.LessOrEqual(t, n, 1, "both of two commits that exclude each other")
		items, err := a.Get(t.Context(), x, y)
		require.NoError(t, err)
		require.False(t, items[0].Exists() && items[1].Exists(), "write skew")
	}
}

// ST-15
func skewPresent(t tb, e env) {
	for round := range 100 {
		x, y := "x"+number(round), "y"+number(round)
		rev := commit(t, e.s, put(x, "free", store.Absent), put(y, "free", store.Absent))
		n := winners(t, race(
			committer(t, e.s, check(x, rev), put(y, "taken", store.Any)),
			committer(t, e.s, check(y, rev), put(x, "taken", store.Any))))
		require.LessOrEqual(t, n, 1, "both of two commits that exclude each other")
		items, err := e.s.Get(t.Context(), x, y)
		require.NoError(t, err)
		require.False(t, string(items[0].Value) == "taken" && string(items[1].Value) == "taken", "write skew")
	}
}

func skewDeleted(t tb, e env) {
	for round := range 100 {
		guard, record := "g"+number(round), "r"+number(round)
		rev := commit(t, e.s, put(guard, "", store.Absent))
		n := winners(t, race(
			committer(t, e.s, check(guard, rev), put(record, "", store.Absent)),
			committer(t, e.s, del(guard, rev), check(record, store.Absent))))
		require.LessOrEqual(t, n, 1, "both of two commits that exclude each other")
		items, err := e.s.Get(t.Context(), guard, record)
		require.NoError(t, err)
		require.False(t, !items[0].Exists() && items[1].Exists(), "a record without its guard")
	}
}

func noLostUpdate(t tb, e env) {
	const each = 10
	var fns []func() error
	for range 8 {
		fns = append(fns, func() error {
			for range each {
				err := retry(t.Context(), e.s, []string{"n"}, func(items []store.Item) []store.Op {
					return []store.Op{{Key: "n", At: items[0].Revision, Action: store.Put, Value: append(items[0].Value, 'x')}}
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, err := range race(fns...) {
		require.NoError(t, err)
	}
	assert.Len(t, get(t, e.s, "n").Value, len(fns)*each)
}

// retry commits what ops makes of the items until there is no conflict. It ends
// because in every round of conflicts one of the contenders wins.
func retry(ctx context.Context, s store.Store, keys []string, ops func([]store.Item) []store.Op) error {
	for {
		items, err := s.Get(ctx, keys...)
		if err != nil {
			return err
		}
		if _, err = s.Commit(ctx, ops(items)...); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func transfers(t tb, e env) {
	const accounts, total = 4, 400
	keys := make([]string, accounts)
	var ops []store.Op
	for i := range keys {
		keys[i] = "account/" + number(i)
		ops = append(ops, put(keys[i], strconv.Itoa(total/accounts), store.Absent))
	}
	commit(t, e.s, ops...)
	var fns []func() error
	for g := range 4 {
		fns = append(fns, func() error {
			for i := range 20 {
				from, to := keys[(g+i)%accounts], keys[(g+i*3+1)%accounts]
				if from == to {
					continue
				}
				err := retry(t.Context(), e.s, []string{from, to}, func(items []store.Item) []store.Op {
					a, _ := strconv.Atoi(string(items[0].Value))
					b, _ := strconv.Atoi(string(items[1].Value))
					return []store.Op{
						put(from, strconv.Itoa(a-1), items[0].Revision),
						put(to, strconv.Itoa(b+1), items[1].Revision),
					}
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, err := range race(fns...) {
		require.NoError(t, err)
	}
	sum := 0
	for _, it := range list(t, e.s, "account/", "", 10) {
		n, err := strconv.Atoi(string(it.Value))
		require.NoError(t, err)
		sum += n
	}
	assert.Equal(t, total, sum)
}

func getSnapshot(t tb, e env) {
	keys := []string{"a", "b", "c", "d", "e"}
	snapshot(t, e.s, keys, func() ([]store.Item, error) { return e.s.Get(t.Context(), keys...) })
}

func listSnapshot(t tb, e env) {
	keys := []string{"s/a", "s/b", "s/c", "s/d", "s/e"}
	snapshot(t, e.s, keys, func() ([]store.Item, error) { return e.s.List(t.Context(), "s/", "", 10) })
}

// snapshot writes one value to all keys again and again, now and then deletes
// them all, and requires that a read finds all with one value, or none. The
// writer goes on until the readers have had their fill.
func snapshot(t tb, s store.Store, keys []string, read func() ([]store.Item, error)) {
	const readers, reads = 3, 100
	var reading atomic.Int32
	reading.Store(readers)
	write := func(i int) error {
		ops := make([]store.Op, len(keys))
		for j, key := range keys {
			if i%10 == 9 {
				ops[j] = del(key, store.Any)
			} else {
				ops[j] = put(key, number(i), store.Any)
			}
		}
		_, err := s.Commit(t.Context(), ops...)
		return err
	}
	require.NoError(t, write(0), "there is something to read before the readers begin")
	writer := func() error {
		for i := 1; reading.Load() > 0; i++ {
			if err := write(i); err != nil {
				return err
			}
		}
		return nil
	}
	reader := func() error {
		defer reading.Add(-1)
		for range reads {
			items, err := read()
			if err != nil {
				return err
			}
			for _, it := range items {
				if it.Revision != items[0].Revision || !bytes.Equal(it.Value, items[0].Value) {
					return fmt.Errorf("a read of two moments: %q at %d and %q at %d",
						items[0].Value, items[0].Revision, it.Value, it.Revision)
				}
			}
			if n := len(items); n != 0 && n != len(keys) {
				return fmt.Errorf("a read of two moments: %d of %d keys", n, len(keys))
			}
		}
		return nil
	}
	for _, err := range race(writer, reader, reader, reader) {
		require.NoError(t, err)
	}
}

func secondHandleReads(t tb, e env) {
	for i := range 50 {
		a, b := e.s, e.other
		if i%2 == 1 {
			a, b = b, a
		}
		rev := commit(t, a, put("k", number(i), store.Any))
		it := get(t, b, "k")
		require.Equal(t, number(i), string(it.Value), "a committed value is seen at once")
		require.Equal(t, rev, it.Revision)
		require.Len(t, list(t, b, "", "", 10), 1)
		commit(t, b, del("k", rev))
		require.False(t, get(t, a, "k").Exists(), "a committed deletion is seen at once")
	}
}

func secondHandleRevisions(t tb, e env) {
	seen := map[store.Revision]bool{}
	for i := range 40 {
		a, b := e.s, e.other
		if i%2 == 1 {
			a, b = b, a
		}
		rev := commit(t, a, put("k", number(i), store.Absent))
		require.False(t, seen[rev], "revision %d was used before", rev)
		seen[rev] = true
		commit(t, b, del("k", rev))
	}
}
