package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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

func oneWinner(t tb, e env) {
	handles := e.handles()
	rev := commit(t, handles[0], put("k", "", store.Absent))
	for round := range e.rounds(20) {
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
	for round := range e.rounds(20) {
		key := number(round)
		var fns []func() error
		for i := range contenders {
			fns = append(fns, committer(t, e.s, put(key, number(i), store.Absent)))
		}
		require.Equal(t, 1, winners(t, race(fns...)), "of %d creations", contenders)
	}
}

// skewAbsent (ST-15) lets commits race that each write what the other checks to be absent.
// There is no row that could be locked.
func skewAbsent(t tb, e env) {
	a, b := e.pair()
	for round := range e.rounds(100) {
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
	a, b := e.pair()
	for round := range e.rounds(100) {
		x, y := "x"+number(round), "y"+number(round)
		rev := commit(t, e.s, put(x, "free", store.Absent), put(y, "free", store.Absent))
		n := winners(t, race(
			committer(t, a, check(x, rev), put(y, "taken", store.Any)),
			committer(t, b, check(y, rev), put(x, "taken", store.Any))))
		require.LessOrEqual(t, n, 1, "both of two commits that exclude each other")
		items, err := e.s.Get(t.Context(), x, y)
		require.NoError(t, err)
		require.False(t, string(items[0].Value) == "taken" && string(items[1].Value) == "taken", "write skew")
	}
}

func skewDeleted(t tb, e env) {
	for round := range e.rounds(100) {
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
	handles := e.handles()
	var fns []func() error
	for i := range 8 {
		fns = append(fns, func() error {
			for range each {
				err := retry(t.Context(), handles[i%len(handles)], []string{"n"}, func(items []store.Item) []store.Op {
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

// retry commits the ops for the items until there is no conflict. It ends because in every
// round of conflicts one Commit succeeds.
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
	reader, writer := e.pair()
	snapshot(t, writer, keys, e.rounds(100), func() ([]store.Item, error) { return reader.Get(t.Context(), keys...) })
}

func listSnapshot(t tb, e env) {
	keys := []string{"s/a", "s/b", "s/c", "s/d", "s/e"}
	reader, writer := e.pair()
	snapshot(t, writer, keys, e.rounds(100), func() ([]store.Item, error) { return reader.List(t.Context(), "s/", "", 10) })
}

// snapshot writes one value to all keys repeatedly, sometimes deletes them all, and requires
// that a read finds all with one value, or none. The writer goes on until the readers are done.
func snapshot(t tb, s store.Store, keys []string, reads int, read func() ([]store.Item, error)) {
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
	whileWriting(t, write, reads, func() (bool, error) {
		items, err := read()
		if err != nil {
			return false, err
		}
		for _, it := range items {
			if it.Revision != items[0].Revision || !bytes.Equal(it.Value, items[0].Value) {
				return false, fmt.Errorf("a read of two moments: %q at %d and %q at %d",
					items[0].Value, items[0].Revision, it.Value, it.Revision)
			}
		}
		if n := len(items); n != 0 && n != len(keys) {
			return false, fmt.Errorf("a read of two moments: %d of %d keys", n, len(keys))
		}
		return len(items) > 0 && items[0].Exists(), nil
	})
}

// whileWriting lets three readers read until each has found something so many times, or nothing
// very often, while one writer writes until they are done.
func whileWriting(t tb, write func(i int) error, reads int, read func() (found bool, err error)) {
	require.NoError(t, write(0), "there is something to read before the readers begin")
	var reading atomic.Int32
	reading.Store(3)
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
		for try, found := 0, 0; found < reads; try++ {
			if try == 1000*reads {
				return fmt.Errorf("only %d of %d reads found something", found, try)
			}
			ok, err := read()
			if err != nil {
				return err
			}
			if ok {
				found++
			} else {
				time.Sleep(100 * time.Microsecond) // the writer's turn
			}
		}
		return nil
	}
	for _, err := range race(writer, reader, reader, reader) {
		require.NoError(t, err)
	}
}

// listPhantoms moves a window over the keys: each Commit adds a key at its end and removes one
// at its beginning. A page that is read in parts finds too many or too few.
func listPhantoms(t tb, e env) {
	const window = 5
	reader, writer := e.pair()
	write := func(i int) error {
		ops := []store.Op{put("w/"+number(i+window), "", store.Absent), del("w/"+number(i), store.Any)}
		if i == 0 {
			ops = nil
			for j := range window {
				ops = append(ops, put("w/"+number(j+1), "", store.Absent))
			}
		}
		_, err := writer.Commit(t.Context(), ops...)
		return err
	}
	whileWriting(t, write, e.rounds(100), func() (bool, error) {
		items, err := reader.List(t.Context(), "w/", "", 2*window)
		if err != nil {
			return false, err
		}
		keys := keysOf(items)
		if len(keys) != window {
			return false, fmt.Errorf("%d keys in a page, of a prefix that always has %d: %q", len(keys), window, keys)
		}
		first, err := strconv.Atoi(strings.TrimPrefix(keys[0], "w/"))
		if err != nil {
			return false, err
		}
		for i, key := range keys {
			if key != "w/"+number(first+i) {
				return false, fmt.Errorf("a page of two moments: %q", keys)
			}
		}
		return true, nil
	})
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
		listed := list(t, b, "", "", 10)
		require.Len(t, listed, 1)
		require.Equal(t, rev, listed[0].Revision, "in a list")
		commit(t, b, del("k", rev))
		require.False(t, get(t, a, "k").Exists(), "a committed deletion is seen at once")
		require.Empty(t, list(t, a, "", "", 10), "in a list")
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

// laterHandleRevisions opens a handle after the newest item was deleted. A handle that counts
// on from the items it finds reuses a revision.
func laterHandleRevisions(t tb, e env) {
	seen := map[store.Revision]bool{}
	for i := range 3 {
		s := e.reopen()
		for range 3 {
			rev := commit(t, s, put("k", number(i), store.Absent))
			require.False(t, seen[rev], "revision %d was used before", rev)
			seen[rev] = true
			commit(t, s, del("k", rev))
		}
	}
}

// overlapping lets large Commits write many of the same keys, each in an order of its own,
// without a precondition: none fails, and all writes of the last one are there.
func overlapping(t tb, e env) {
	handles := e.handles()
	each := e.rounds(12)
	var mu sync.Mutex
	written := map[store.Revision][]string{}
	var fns []func() error
	for g := range 6 {
		s := handles[g%len(handles)]
		r := rand.New(rand.NewPCG(3, uint64(g)))
		fns = append(fns, func() error {
			for i := range each {
				var ops []store.Op
				var keys []string
				for _, k := range r.Perm(store.MaxOps + 8)[:store.MaxOps] {
					keys = append(keys, "o/"+number(k))
					ops = append(ops, put(keys[len(keys)-1], fmt.Sprintf("%d/%d", g, i), store.Any))
				}
				rev, err := s.Commit(t.Context(), ops...)
				if err != nil {
					return fmt.Errorf("a Commit without preconditions: %w", err)
				}
				mu.Lock()
				written[rev] = keys
				mu.Unlock()
			}
			return nil
		})
	}
	for _, err := range race(fns...) {
		require.NoError(t, err)
	}
	require.Len(t, written, len(fns)*each, "each Commit has a revision of its own")
	left := map[store.Revision]int{}
	for _, it := range list(t, e.s, "o/", "", store.MaxLimit) {
		require.Contains(t, written[it.Revision], it.Key, "%s is at the revision of a Commit that did not write it", it.Key)
		left[it.Revision]++
	}
	require.Contains(t, slices.Collect(maps.Values(left)), store.MaxOps, "of no Commit everything is left, so none was the last")
}
