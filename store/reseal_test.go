package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// between is a store that calls do before each call.
type between struct {
	store.Store
	do func(ctx context.Context, ops []store.Op) error // an error is that of the call
}

func (b *between) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := b.do(ctx, nil); err != nil {
		return nil, err
	}
	return b.Store.List(ctx, prefix, after, limit)
}

func (b *between) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := b.do(ctx, ops); err != nil {
		return 0, err
	}
	return b.Store.Commit(ctx, ops...)
}

// all returns every key of s, however many pages they are.
func all(t *testing.T, s store.Store) (keys []string) {
	t.Helper()
	for after := ""; ; after = keys[len(keys)-1] {
		items, err := s.List(t.Context(), "", after, store.MaxLimit)
		require.NoError(t, err)
		for _, it := range items {
			keys = append(keys, it.Key)
		}
		if len(items) < store.MaxLimit {
			return keys
		}
	}
}

// sealedWith returns how many values of m each of the keys opens.
func sealedWith(t *testing.T, m store.Store, by ...store.Key) []int {
	t.Helper()
	counts := make([]int, len(by))
	for i, key := range by {
		s := store.Seal(m, key)
		for _, k := range all(t, m) {
			if _, err := s.Get(t.Context(), k); err == nil {
				counts[i]++
			}
		}
	}
	return counts
}

// Whatever fails, and wherever it is cancelled, nothing is lost, and the next Reseal does the
// rest.
func TestResealInterrupted(t *testing.T) {
	failed := errors.New("failed")
	for name, interrupt := range map[string]func(m store.Store, cancel func(), ops []store.Op) error{
		"failed":    func(store.Store, func(), []store.Op) error { return failed },
		"cancelled": func(_ store.Store, cancel func(), _ []store.Op) error { cancel(); return nil },
		"unknown, not done": func(store.Store, func(), []store.Op) error {
			return store.ErrUnknown
		},
		"unknown, done": func(m store.Store, _ func(), ops []store.Op) error {
			if len(ops) > 0 {
				if _, err := m.Commit(context.Background(), ops...); err != nil {
					return err
				}
			}
			return store.ErrUnknown
		},
	} {
		t.Run(name, func(t *testing.T) {
			const items = 103 // more than a page
			for at := 0; ; at += 7 {
				m := store.NewMemory()
				expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
				old := store.Seal(m, key1)
				for i := range items {
					_, err := old.Commit(t.Context(), store.Op{Key: fmt.Sprintf("k%03d", i), Action: store.Put, Value: []byte(strconv.Itoa(i)), Expires: expires})
					require.NoError(t, err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				calls, hit := 0, false
				err := store.Reseal(ctx, store.Seal(&between{m, func(_ context.Context, ops []store.Op) error {
					if calls++; calls-1 != at {
						return nil
					}
					hit = true
					return interrupt(m, cancel, ops)
				}}, key2, key1))
				cancel()
				both := store.Seal(m, key2, key1)
				intact := func(s store.Store) {
					for i := range items {
						it := get(t, s, fmt.Sprintf("k%03d", i))
						require.Equal(t, strconv.Itoa(i), string(it.Value))
						require.Equal(t, expires, it.Expires)
					}
				}
				if !hit {
					require.NoError(t, err)
					require.Greater(t, at, items)
					return
				}
				require.Error(t, err, "call %d", at)
				intact(both)
				require.NoError(t, store.Reseal(t.Context(), both))
				intact(store.Seal(m, key2))
			}
		})
	}
}

// A value that a node with the old key writes just before Reseal rewrites it is neither lost
// nor left, and one that is deleted does not come back.
func TestResealMeetsWrites(t *testing.T) {
	m := store.NewMemory()
	old := store.Seal(m, key1)
	put(t, old, "deleted", "1")
	put(t, old, "written", "1")
	writes := 0
	s := store.Seal(&between{m, func(ctx context.Context, ops []store.Op) error {
		if len(ops) == 0 {
			return nil
		}
		op := store.Op{Key: ops[0].Key, At: store.Any, Action: store.Delete}
		if op.Key == "written" {
			if writes++; writes > 3 {
				return nil
			}
			op.Action, op.Value = store.Put, []byte(fmt.Sprint("again ", writes))
		}
		_, err := old.Commit(ctx, op)
		return err
	}}, key2, key1)
	require.NoError(t, store.Reseal(t.Context(), s))
	assert.Equal(t, []string{"written"}, keys(t, m))
	assert.Equal(t, "again 3", string(get(t, store.Seal(m, key2), "written").Value))
}

// Reseal runs while nodes with the old key first and with the new one count: nothing is lost,
// and once only the new one seals, another Reseal completes it.
func TestResealWhileInUse(t *testing.T) {
	m := store.NewMemory()
	nodes := []store.Store{store.Seal(m, key1, key2), store.Seal(m, key2, key1)}
	for i := range 150 {
		put(t, nodes[0], fmt.Sprintf("counter-%03d", i), "0")
	}
	const rounds = 200
	var done sync.WaitGroup
	for g := range 4 {
		done.Go(func() {
			for i := range rounds {
				key := fmt.Sprintf("counter-%03d", (i*7+g)%150)
				assert.NoError(t, store.Transact(t.Context(), nodes[g%2], func(tx *store.Tx) error {
					items, err := tx.Get(t.Context(), key)
					if err != nil {
						return err
					}
					n, err := strconv.Atoi(string(items[0].Value))
					tx.Put(key, []byte(strconv.Itoa(n+1)), time.Time{})
					return err
				}))
			}
		})
	}
	for range 3 {
		require.NoError(t, store.Reseal(t.Context(), nodes[1]))
	}
	done.Wait()
	require.NoError(t, store.Reseal(t.Context(), nodes[1]))
	assert.Equal(t, []int{0, 150}, sealedWith(t, m, key1, key2))
	sum := 0
	for _, k := range all(t, m) {
		n, err := strconv.Atoi(string(get(t, store.Seal(m, key2), k).Value))
		require.NoError(t, err)
		sum += n
	}
	assert.Equal(t, 4*rounds, sum)
}

// Several nodes rotate the key, and none is refused anything.
func TestSealRotationOfSeveralNodes(t *testing.T) {
	m := store.NewMemory()
	a, b := store.Seal(m, key1), store.Seal(m, key1)
	agree := func() {
		t.Helper()
		for i, from := range []store.Store{a, b} {
			key := fmt.Sprint("from ", i)
			put(t, from, key, "x")
			for _, s := range []store.Store{a, b} {
				require.Equal(t, "x", string(get(t, s, key).Value))
			}
		}
	}
	agree()
	for _, with := range [][]store.Key{{key1, key2}, {key2, key1}, {key2}} {
		if len(with) == 1 {
			require.NoError(t, store.Reseal(t.Context(), a))
		}
		a = store.Seal(m, with[0], with[1:]...)
		agree() // one node after the other
		b = store.Seal(m, with[0], with[1:]...)
		agree()
	}
	assert.Equal(t, []int{0, 2}, sealedWith(t, m, key1, key2))

	put(t, a, "new", "x")
	_, err := store.Seal(m, key1).Get(t.Context(), "new")
	assert.ErrorIs(t, err, store.ErrSeal, "a node that was left out")
}

// One value that cannot be opened does not leave others under an old key, and does not change
// (ST-09).
func TestResealDamaged(t *testing.T) {
	m := store.NewMemory()
	old := store.Seal(m, key1)
	for _, k := range []string{"a", "b", "c", "d"} {
		put(t, old, k, "x")
	}
	put(t, m, "b", "plain")
	put(t, m, "c", string(get(t, m, "d").Value))
	before := get(t, m, "c")
	err := store.Reseal(t.Context(), store.Seal(m, key2, key1))
	assert.ErrorIs(t, err, store.ErrSeal)
	assert.ErrorContains(t, err, `"b"`)
	assert.Equal(t, []int{0, 2}, sealedWith(t, m, key1, key2))
	assert.Equal(t, before, get(t, m, "c"))
	assert.Equal(t, "plain", string(get(t, m, "b").Value))
}

// Reseal goes through wrappers to the seal, rewrites what is below it and nothing else, and
// Watch reports it.
func TestResealThroughWrappers(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "host", "the host's own, and plain")
	put(t, store.Seal(store.Sub(m, "auth/"), key1), "sub/a", "x")
	put(t, store.Seal(store.Sub(m, "auth/"), key1), "b", "y")
	host := get(t, m, "host")
	var above, below []string
	s := store.Observe(store.Sub(store.Seal(store.Observe(store.Sub(m, "auth/"),
		func(keys []string) { below = append(below, keys...) }), key2, key1), "sub/"),
		func(keys []string) { above = append(above, keys...) })
	before := get(t, s, "a")
	require.NoError(t, store.Reseal(t.Context(), s))
	assert.Equal(t, []string{"b", "sub/a"}, below)
	assert.Empty(t, above)
	assert.Equal(t, host, get(t, m, "host"))
	after := get(t, store.Seal(store.Sub(m, "auth/"), key2), "sub/a")
	assert.Equal(t, "x", string(after.Value))
	_, err := s.Commit(t.Context(), store.Op{Key: "a", At: before.Revision, Action: store.Delete})
	assert.ErrorIs(t, err, store.ErrConflict, "its revision is another")
}
