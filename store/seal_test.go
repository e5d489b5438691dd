package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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
