package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
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
