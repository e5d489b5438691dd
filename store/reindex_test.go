package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// before is the table of people as an older program knew it.
var before = store.NewTable("person", 1, func(p *person) string { return p.ID })
var _ = before.Index("gone", func(p *person) string { return p.Name })

func TestReindex(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	for i := range 120 {
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			return before.Insert(ctx, tx, &person{ID: fmt.Sprintf("p/%d", i), Name: fmt.Sprintf("name %d", i), Team: "core"})
		}))
	}
	put(t, m, "person.name/nobody", "p/999")
	put(t, m, "person.name/stale", "p/1")
	put(t, m, "person.team/old/p%2F1", "")
	put(t, m, "personal/x", "another table's")
	_, err := byName.Get(ctx, m, "name 7")
	require.ErrorIs(t, err, store.ErrNotFound)

	for range 2 { // the second time there is nothing to do
		require.NoError(t, people.Reindex(ctx, m))
		items, err := m.List(ctx, "person.gone/", "", 100)
		require.NoError(t, err)
		assert.Empty(t, items)
		for _, k := range []string{"person.name/nobody", "person.name/stale", "person.team/old/p%2F1"} {
			assert.False(t, get(t, m, k).Exists(), k)
		}
		assert.True(t, get(t, m, "personal/x").Exists())
		got, err := byName.Get(ctx, m, "name 7")
		require.NoError(t, err)
		assert.Equal(t, "p/7", got.ID)
		page, next, err := byTeam.List(ctx, m, "core", "", 100)
		require.NoError(t, err)
		assert.Len(t, page, 100)
		page, next, err = byTeam.List(ctx, m, "core", next, 100)
		require.NoError(t, err)
		assert.Len(t, page, 20)
		assert.Empty(t, next)
	}
}

func TestReindexFindsTwoWithOneValue(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	for _, id := range []string{"1", "2"} {
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			return before.Insert(ctx, tx, &person{ID: id, Name: "same"})
		}))
	}
	assert.ErrorIs(t, people.Reindex(ctx, m), store.ErrExists)
}

func TestUniqueWithoutItsRecord(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane"}))
	_, err := m.Commit(ctx, store.Op{Key: people.Key("1"), At: store.Any, Action: store.Delete}) // as a sweep may
	require.NoError(t, err)

	_, err = byName.Get(ctx, m, "jane")
	assert.ErrorIs(t, err, store.ErrNotFound)
	assert.ErrorIs(t, store.Transact(ctx, m, func(tx *store.Tx) error {
		_, err := byName.Get(ctx, tx, "jane")
		return err
	}), store.ErrNotFound)
	require.NoError(t, insert(t, m, person{ID: "2", Name: "jane"}), "the value is taken over")
	got, err := byName.Get(ctx, m, "jane")
	require.NoError(t, err)
	assert.Equal(t, "2", got.ID)
}

// A value that moves from one record to another between the two reads of Unique.Get is found
// all the same.
func TestUniqueMovesWhileItIsRead(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane"}))
	require.NoError(t, insert(t, m, person{ID: "2", Name: "joan"}))
	swap := func() {
		require.NoError(t, update(t, m, "1", func(p *person) error { p.Name = "june"; return nil }))
		require.NoError(t, update(t, m, "2", func(p *person) error { p.Name = "jane"; return nil }))
	}

	got, err := byName.Get(ctx, &betweenGets{Store: m, do: swap}, "jane")
	require.NoError(t, err)
	assert.Equal(t, "2", got.ID)

	require.NoError(t, update(t, m, "2", func(p *person) error { p.Name = "joan"; return nil }))
	require.NoError(t, update(t, m, "1", func(p *person) error { p.Name = "jane"; return nil }))
	runs := 0
	require.NoError(t, store.Transact(ctx, &betweenGets{Store: m, do: swap}, func(tx *store.Tx) error {
		runs++
		got, err = byName.Get(ctx, tx, "jane")
		return err
	}))
	assert.Equal(t, "2", got.ID)
	assert.Equal(t, 2, runs, "a Tx that read two moments runs again")
}
