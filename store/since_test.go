package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// A pass is stored under schema 2; oldPasses is the table of the program before.
type pass struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
}

var (
	oldPasses = store.NewTable("pass", 1, func(p *pass) string { return p.ID })
	_         = oldPasses.Index("owner", func(p *pass) string { return p.Owner })
	_         = oldPasses.Unique("label", func(p *pass) string { return "label of " + p.ID })

	passes      = store.NewTable("pass", 3, func(p *pass) string { return p.ID }).Since(2)
	passByOwner = passes.Index("owner", func(p *pass) string { return p.Owner })
	passByLabel = passes.Unique("label", func(p *pass) string { return "label of " + p.ID })
)

// withOldPasses returns a store with passes 000 to n-1 of the old schema.
func withOldPasses(t *testing.T, n int) *store.Memory {
	t.Helper()
	m := store.NewMemory()
	for i := range n {
		require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			return oldPasses.Insert(t.Context(), tx, &pass{ID: fmt.Sprintf("%03d", i), Owner: "jane"})
		}))
	}
	return m
}

func TestSinceReadsNoOlderRecord(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 1)
	it := get(t, m, "pass/000")
	for name, value := range map[string]string{
		"as it was written":     string(it.Value),
		"whatever it holds":     `{"v":1,"d":{"colour":"red"}}`,
		"under another's id":    `{"v":1,"d":{"id":"7"}}`,
		"with its parts turned": `{"d":{"id":"000"},"v":1}`,
	} {
		it.Value = []byte(value)
		_, err := passes.Decode(it)
		assert.ErrorIs(t, err, store.ErrNotFound, name)
	}
	for name, value := range map[string]string{
		"no schema": `{"v":0,"d":{"id":"000"}}`, "a newer one": `{"v":4,"d":{"id":"000"}}`, "no record": `{"v":1}`, "nothing": ``,
	} {
		it.Value = []byte(value)
		_, err := passes.Decode(it)
		assert.ErrorIs(t, err, store.ErrSchema, name)
	}
	it.Value = []byte(`{"v":2,"d":{"id":"000"}}`)
	_, err := passes.Decode(it)
	assert.NoError(t, err, "older than the newest and not left behind")

	_, err = passes.Get(ctx, m, "000")
	assert.ErrorIs(t, err, store.ErrNotFound)
	_, err = passByLabel.Get(ctx, m, "label of 000")
	assert.ErrorIs(t, err, store.ErrNotFound)
	page, next, err := passByOwner.List(ctx, m, "jane", "", 10)
	require.NoError(t, err)
	assert.Empty(t, page)
	assert.Empty(t, next)
	before := get(t, m, "pass/000").Revision
	for name, write := range map[string]func(tx *store.Tx) error{
		"update": func(tx *store.Tx) error {
			_, err := passes.Update(ctx, tx, "000", func(*pass) error { return nil })
			return err
		},
		"delete": func(tx *store.Tx) error { return passes.Delete(ctx, tx, "000") },
	} {
		assert.ErrorIs(t, store.Transact(ctx, m, write), store.ErrNotFound, name)
	}
	assert.Equal(t, before, get(t, m, "pass/000").Revision)
}

// A list continues after records that it omits, so that a short page is the last one.
func TestSinceLists(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 250)
	for _, id := range []string{"100x", "170x", "249x", "zzz"} {
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			return passes.Insert(ctx, tx, &pass{ID: id, Owner: "jane"})
		}))
	}
	for limit, want := range map[int][]string{1: {"100x"}, 3: {"100x", "170x", "249x"}, 100: {"100x", "170x", "249x", "zzz"}} {
		page, err := passes.List(ctx, m, "", limit)
		require.NoError(t, err)
		var ids []string
		for _, p := range page {
			ids = append(ids, p.ID)
		}
		assert.Equal(t, want, ids, limit)
	}
	page, err := passes.List(ctx, m, "249x", 5)
	require.NoError(t, err)
	assert.Len(t, page, 1)
}

func TestSinceReplacesAtItsRevision(t *testing.T) {
	ctx := t.Context()
	fresh := pass{ID: "000", Owner: "joan"}
	for name, write := range map[string]func(tx *store.Tx) error{
		"insert": func(tx *store.Tx) error { return passes.Insert(ctx, tx, &fresh) },
		"insert of what was read": func(tx *store.Tx) error {
			if _, err := tx.Get(ctx, "pass/000"); err != nil {
				return err
			}
			return passes.Insert(ctx, tx, &fresh)
		},
		"upsert": func(tx *store.Tx) error {
			_, err := passes.Upsert(ctx, tx, "000", func(p *pass, found bool) error {
				assert.False(t, found)
				assert.Zero(t, *p, "nothing of it is carried over")
				*p = fresh
				return nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := withOldPasses(t, 1)
			require.NoError(t, store.Transact(ctx, m, write))
			got, err := passes.Get(ctx, m, "000")
			require.NoError(t, err)
			assert.Equal(t, fresh, *got)
			got, err = passByLabel.Get(ctx, m, "label of 000")
			require.NoError(t, err, "the value of the old one is taken over")
			assert.Equal(t, fresh, *got)
			assert.ErrorIs(t, store.Transact(ctx, m, func(tx *store.Tx) error { return passes.Insert(ctx, tx, &fresh) }), store.ErrExists)

			// A record that an old program writes meanwhile is not overwritten unread.
			m = withOldPasses(t, 1)
			it := get(t, m, "pass/000")
			runs := 0
			require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
				if runs++; runs == 2 {
					_, err := m.Commit(ctx, store.Op{Key: it.Key, At: it.Revision, Action: store.Put, Value: it.Value})
					assert.NoError(t, err)
				}
				return write(tx)
			}))
			got, err = passes.Get(ctx, m, "000")
			require.NoError(t, err)
			assert.Equal(t, fresh, *got)
		})
	}
	t.Run("expected", func(t *testing.T) {
		m := withOldPasses(t, 1)
		evidence := get(t, m, "pass/000").Evidence()
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			tx.Expect(evidence)
			return passes.Insert(ctx, tx, &fresh)
		}))
		err := store.Transact(ctx, m, func(tx *store.Tx) error {
			tx.Expect(evidence)
			return passes.Insert(ctx, tx, &fresh)
		})
		assert.ErrorIs(t, err, store.ErrExists)
	})
}

func TestSinceReindex(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 3)
	require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
		return passes.Insert(ctx, tx, &pass{ID: "new", Owner: "jane"})
	}))
	require.NoError(t, passes.Reindex(ctx, m))
	assert.Equal(t, []string{
		"pass.label/label%20of%20new", "pass.owner/jane/new", "pass/000", "pass/001", "pass/002", "pass/new",
	}, keys(t, m), "rows that lead to nothing go, records stay until they expire")
}

func TestSincePanics(t *testing.T) {
	tab := store.NewTable("a", 2, func(p *pass) string { return p.ID })
	assert.Panics(t, func() { tab.Since(0) })
	assert.Panics(t, func() { tab.Since(3) })
	assert.NotPanics(t, func() { tab.Since(2) })
}
