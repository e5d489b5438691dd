package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

var key1, key2 = store.Key{1}, store.Key{2}

func TestSealedStoreIsAStore(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open:   func(*testing.T) store.Store { return store.Seal(store.NewMemory(), key1) },
		Reopen: same,
	})
}

func TestSealHidesAndBindsValues(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	s := store.Seal(m, key1)
	put(t, s, "a", "plain text")
	put(t, s, "b", "")
	raw := get(t, m, "a")
	assert.NotContains(t, string(raw.Value), "plain")
	assert.Equal(t, "plain text", string(get(t, s, "a").Value))
	assert.Empty(t, get(t, s, "b").Value)
	assert.False(t, get(t, s, "absent").Exists())

	first := get(t, m, "b").Value
	put(t, s, "b", "")
	assert.NotEqual(t, first, get(t, m, "b").Value, "the same value is sealed anew")

	flipped := bytes.Clone(raw.Value)
	flipped[len(flipped)-1] ^= 1
	other := bytes.Clone(raw.Value)
	other[0]++
	for name, value := range map[string][]byte{
		"moved from another key": get(t, m, "b").Value,
		"not sealed":             []byte("plain text of some length, longer than a header and tag"),
		"empty":                  nil,
		"short":                  raw.Value[:20],
		"cut":                    raw.Value[:len(raw.Value)-1],
		"edited":                 flipped,
		"another version":        other,
	} {
		t.Run(name, func(t *testing.T) {
			put(t, m, "a", string(value))
			_, err := s.Get(ctx, "a")
			assert.ErrorIs(t, err, store.ErrSeal)
			_, err = s.Get(ctx, "b", "a")
			assert.ErrorIs(t, err, store.ErrSeal)
			_, err = s.List(ctx, "", "", 10)
			assert.ErrorIs(t, err, store.ErrSeal)
		})
	}
	_, err := store.Seal(m, key2).Get(ctx, "b")
	assert.ErrorIs(t, err, store.ErrSeal, "another key")
}

// swapping answers a Get of two keys with each other's items, names and all.
type swapping struct{ store.Store }

func (s swapping) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	if err == nil && len(items) == 2 {
		items[0], items[1] = items[1], items[0]
	}
	return items, err
}

// A value is bound to the requested key and not to the one that the backend returns.
func TestSealRefusesSwappedItems(t *testing.T) {
	m := store.NewMemory()
	put(t, store.Seal(m, key1), "a", "of a")
	put(t, store.Seal(m, key1), "b", "of b")
	items, err := store.Seal(swapping{m}, key1).Get(t.Context(), "a", "b")
	assert.ErrorIs(t, err, store.ErrSeal)
	assert.Empty(t, items)
}

func TestSealRotation(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	old := store.Seal(m, key1)
	for i := range 250 {
		put(t, old, fmt.Sprintf("k%03d", i), "v")
	}
	rotating := store.Seal(m, key2, key1)
	put(t, rotating, "k000", "new")
	untouched := get(t, m, "k000").Revision
	assert.Equal(t, "v", string(get(t, rotating, "k249").Value))
	_, err := old.Get(ctx, "k000")
	assert.ErrorIs(t, err, store.ErrSeal)

	require.NoError(t, store.Reseal(ctx, store.Observe(rotating, func([]string) {})))
	only := store.Seal(m, key2)
	for i := range 250 {
		assert.NotEmpty(t, get(t, only, fmt.Sprintf("k%03d", i)).Value)
	}
	assert.Equal(t, untouched, get(t, m, "k000").Revision)

	assert.ErrorIs(t, store.Reseal(ctx, m), store.ErrInvalid, "no seal")
	assert.ErrorIs(t, store.Reseal(ctx, old), store.ErrSeal, "not its key")
}

func TestSealLimit(t *testing.T) {
	s := store.Seal(store.NewMemory(), key1)
	put(t, s, "a", strings.Repeat("x", store.MaxValue))
	assert.Len(t, get(t, s, "a").Value, store.MaxValue)
	_, err := s.Commit(t.Context(), store.Op{Key: "b", Action: store.Put, Value: make([]byte, store.MaxValue+1)})
	assert.ErrorIs(t, err, store.ErrInvalid)
}

func TestSealZeroKeyPanics(t *testing.T) {
	assert.Panics(t, func() { store.Seal(store.NewMemory(), store.Key{}) })
	assert.Panics(t, func() { store.Seal(store.NewMemory(), key1, store.Key{}) })
}

func TestKeyIsNotPrinted(t *testing.T) {
	key := store.Key([]byte("0123456789abcdef0123456789abcdef"))
	holder := struct{ Key store.Key }{key}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, key)
		fmt.Fprintf(&out, verb, holder)
		fmt.Fprintf(&out, verb, []store.Key{key})
	}
	require.NoError(t, json.NewEncoder(&out).Encode(holder))
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", key, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", key, "holder", holder)
	for _, leak := range []string{"0123", "30313233", "48 49 50", "0x30"} {
		assert.NotContains(t, out.String(), leak)
	}
}

// No bit of a sealed value can be changed, and none of its end be cut (ST-09).
func TestSealRefusesEveryChange(t *testing.T) {
	m := store.NewMemory()
	s := store.Seal(m, key1)
	put(t, s, "a", "value")
	sealed := get(t, m, "a").Value
	refused := func(value []byte, what string, i int) {
		t.Helper()
		put(t, m, "a", string(value))
		items, err := s.Get(t.Context(), "a")
		require.ErrorIs(t, err, store.ErrSeal, "%s %d", what, i)
		require.Nil(t, items)
	}
	for bit := range 8 * len(sealed) {
		value := bytes.Clone(sealed)
		value[bit/8] ^= 1 << (bit % 8)
		refused(value, "bit", bit)
	}
	for n := range len(sealed) {
		refused(sealed[:n], "of bytes", n)
		refused(sealed[n+1:], "after byte", n)
	}
	refused(append(bytes.Clone(sealed), 0), "longer by", 1)
	put(t, m, "a", string(sealed))
	assert.Equal(t, "value", string(get(t, s, "a").Value))
}

// A value that cannot be opened is an error to every layer above, and never an absent record:
// that would enable a disabled account, or ignore a limit (ST-09).
func TestSealBadValueIsNotAbsent(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	require.NoError(t, insert(t, store.Seal(m, key1), person{ID: "1", Name: "jane"}))
	before := keys(t, m)
	s := store.Seal(m, key2)
	changed := false
	for what, err := range map[string]error{
		"get":    second(people.Get(ctx, s, "1")),
		"unique": second(byName.Get(ctx, s, "jane")),
		"list":   second(people.List(ctx, s, "", 10)),
		"insert": insert(t, s, person{ID: "1", Name: "joe"}),
		"name":   insert(t, s, person{ID: "2", Name: "jane"}),
		"update": update(t, s, "1", func(*person) error { changed = true; return nil }),
		"upsert": store.Transact(ctx, s, func(tx *store.Tx) error {
			return second(people.Upsert(ctx, tx, "1", func(*person, bool) error { changed = true; return nil }))
		}),
		"delete": store.Transact(ctx, s, func(tx *store.Tx) error { return people.Delete(ctx, tx, "1") }),
	} {
		assert.ErrorIs(t, err, store.ErrSeal, what)
		assert.NotErrorIs(t, err, store.ErrNotFound, what)
	}
	assert.False(t, changed)
	assert.Equal(t, before, keys(t, m))

	// A watch needs no key.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started, reported := make(chan struct{}), make(chan string, 1)
	go func() {
		_ = store.Watch(ctx, s, time.Hour, func(c store.Change) {
			if len(c.Keys) == 0 {
				close(started)
			} else {
				reported <- c.Keys[0]
			}
		})
	}()
	<-started
	put(t, store.Seal(m, key1), "new", "x")
	assert.Equal(t, "new", <-reported)
}

func second[T any](_ T, err error) error { return err }

// A store without a seal is copied into a sealed one, as Seal's comment says.
func TestSealACopy(t *testing.T) {
	ctx, plain, m := t.Context(), store.NewMemory(), store.NewMemory()
	require.NoError(t, insert(t, plain, person{ID: "1", Name: "jane"}))
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	_, err := plain.Commit(ctx, store.Op{Key: "expiring", Action: store.Put, Expires: expires})
	require.NoError(t, err)
	_, err = people.Get(ctx, store.Seal(plain, key1), "1")
	assert.ErrorIs(t, err, store.ErrSeal, "it is not taken as it is")
	assert.ErrorIs(t, store.Reseal(ctx, store.Seal(plain, key1)), store.ErrSeal)

	s := store.Seal(m, key1)
	items, err := plain.List(ctx, "", "", store.MaxLimit)
	require.NoError(t, err)
	for _, it := range items {
		_, err := s.Commit(ctx, store.Op{Key: it.Key, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(t, err)
	}
	jane, err := byName.Get(ctx, s, "jane")
	require.NoError(t, err)
	assert.Equal(t, "1", jane.ID)
	assert.Equal(t, expires, get(t, s, "expiring").Expires)
}

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
