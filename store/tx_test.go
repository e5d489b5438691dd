package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

var never time.Time

func put(t *testing.T, s store.Store, key, value string) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
	require.NoError(t, err)
	return rev
}

func get(t *testing.T, r store.Reader, key string) store.Item {
	t.Helper()
	items, err := r.Get(t.Context(), key)
	require.NoError(t, err)
	require.Len(t, items, 1)
	return items[0]
}

// counter counts calls, and runs a hook before a Commit.
type counter struct {
	store.Store
	gets, lists, commits int
	rows                 int // that lists returned
	before               func(ops []store.Op)
	err                  error // instead of a Commit
}

func (c *counter) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	c.gets++
	return c.Store.Get(ctx, keys...)
}

func (c *counter) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	c.lists++
	items, err := c.Store.List(ctx, prefix, after, limit)
	c.rows += len(items)
	return items, err
}

func (c *counter) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.commits++
	if c.before != nil {
		c.before(ops)
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.Store.Commit(ctx, ops...)
}

// betweenGets runs do once, after the first Get.
type betweenGets struct {
	store.Store
	do func()
}

func (b *betweenGets) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	items, err := b.Store.Get(ctx, keys...)
	if do := b.do; do != nil {
		b.do = nil
		do()
	}
	return items, err
}

// ST-04
func TestTransactReadsBecomePreconditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		put(t, m, "guard", "open")
		c := &counter{Store: m}
		c.before = func([]store.Op) {
			if c.commits == 1 {
				put(t, m, "guard", "shut")
			}
		}
		runs := 0
		err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
			runs++
			if string(get(t, tx, "guard").Value) != "open" {
				return errors.New("shut")
			}
			tx.Put("entered", []byte("yes"), never)
			return nil
		})
		assert.EqualError(t, err, "shut")
		assert.Equal(t, 2, runs)
		assert.False(t, get(t, m, "entered").Exists())
	})
}

func TestTransactChecksAbsentKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		c := &counter{Store: m}
		c.before = func([]store.Op) {
			if c.commits == 1 {
				put(t, m, "blocked", "")
			}
		}
		err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
			if get(t, tx, "blocked").Exists() {
				return errors.New("blocked")
			}
			tx.Create("k", nil, never)
			return nil
		})
		assert.EqualError(t, err, "blocked")
		assert.False(t, get(t, m, "k").Exists())
	})
}

func TestTransactReadsItsOwnWrites(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "a", "1")
	put(t, m, "b", "1")
	require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
		tx.Put("a", []byte("2"), never)
		assert.Equal(t, "2", string(get(t, tx, "a").Value))
		tx.Delete("b")
		assert.False(t, get(t, tx, "b").Exists())
		tx.Create("b", []byte("3"), never)
		assert.True(t, get(t, tx, "b").Exists())
		tx.Create("c", nil, never)
		it := get(t, tx, "c")
		assert.True(t, it.Exists(), "a nil value is present")

		listed, err := tx.List(t.Context(), "", "", 10)
		require.NoError(t, err)
		require.Len(t, listed, 2, "only what is committed")
		assert.Equal(t, "1", string(listed[0].Value))
		return nil
	}))
	assert.Equal(t, "2", string(get(t, m, "a").Value))
	assert.Equal(t, "3", string(get(t, m, "b").Value))
	assert.True(t, get(t, m, "c").Exists())
}

func TestTransactErrorCommitsNothing(t *testing.T) {
	c := &counter{Store: store.NewMemory()}
	boom := errors.New("boom")
	err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
		tx.Put("a", nil, never)
		return boom
	})
	assert.ErrorIs(t, err, boom)
	assert.Zero(t, c.commits)
}

// ST-03
func TestTransactUnknownIsNotRunAgain(t *testing.T) {
	for _, outcome := range []error{
		store.ErrUnknown,
		fmt.Errorf("backend: %w", store.ErrUnknown),
		errors.Join(store.ErrUnknown, store.ErrConflict),
	} {
		c := &counter{Store: store.NewMemory(), err: outcome}
		err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
			tx.Put("a", nil, never)
			return nil
		})
		assert.ErrorIs(t, err, store.ErrUnknown)
		assert.Equal(t, 1, c.commits)
	}
}

func TestTransactGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{Store: store.NewMemory(), err: store.ErrConflict}
		err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
			tx.Put("a", nil, never)
			return nil
		})
		assert.ErrorIs(t, err, store.ErrConflict)
		assert.Greater(t, c.commits, 5)
		assert.Less(t, c.commits, 100)
	})
}

func TestTransactStopsWaitingWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &counter{Store: store.NewMemory(), err: store.ErrConflict, before: func([]store.Op) { cancel() }}
	err := store.Transact(ctx, c, func(tx *store.Tx) error {
		tx.Put("a", nil, never)
		return nil
	})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, c.commits)
}

func TestTransactCreateExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		put(t, m, "a", "1")
		create := func(tx *store.Tx) error { tx.Create("a", nil, never); return nil }
		assert.ErrorIs(t, store.Transact(t.Context(), m, create), store.ErrExists, "without a read")
		assert.ErrorIs(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			get(t, tx, "a")
			return create(tx)
		}), store.ErrExists, "after a read")
		assert.ErrorIs(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			tx.Put("a", nil, never)
			return create(tx)
		}), store.ErrExists, "after a write")
		assert.Equal(t, "1", string(get(t, m, "a").Value))
	})
}

func TestTransactTrips(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "a", "1")
	for _, tt := range []struct {
		name          string
		fn            func(tx *store.Tx) error
		gets, commits int
	}{
		{"nothing", func(*store.Tx) error { return nil }, 0, 0},
		{"one read is of one moment", func(tx *store.Tx) error {
			_, err := tx.Get(t.Context(), "a", "b")
			return err
		}, 1, 0},
		{"the same key again", func(tx *store.Tx) error {
			get(t, tx, "a")
			get(t, tx, "a")
			return nil
		}, 1, 0},
		{"two reads are checked", func(tx *store.Tx) error {
			get(t, tx, "a")
			get(t, tx, "b")
			return nil
		}, 2, 1},
		{"creation does not look", func(tx *store.Tx) error { tx.Create("c", nil, never); return nil }, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &counter{Store: m}
			require.NoError(t, store.Transact(t.Context(), c, tt.fn))
			assert.Equal(t, tt.gets, c.gets, "gets")
			assert.Equal(t, tt.commits, c.commits, "commits")
		})
	}
}

func TestTransactWritesListedItemsAtTheirRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		put(t, m, "a", "1")
		c := &counter{Store: m}
		c.before = func([]store.Op) {
			if c.commits == 1 {
				put(t, m, "a", "2")
			}
		}
		var saw []string
		require.NoError(t, store.Transact(t.Context(), c, func(tx *store.Tx) error {
			items, err := tx.List(t.Context(), "a", "", 1)
			require.NoError(t, err)
			saw = append(saw, string(items[0].Value))
			tx.Delete("a")
			return nil
		}))
		assert.Equal(t, []string{"1", "2"}, saw)
	})
}

func TestTransactValuesAreNotAliased(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "a", "1")
	require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
		get(t, tx, "a").Value[0] = 'x'
		assert.Equal(t, "1", string(get(t, tx, "a").Value))
		tx.Put("b", []byte("1"), never)
		get(t, tx, "b").Value[0] = 'x'
		return nil
	}))
	assert.Equal(t, "1", string(get(t, m, "b").Value))
}

func TestTxAfterItsRun(t *testing.T) {
	var kept *store.Tx
	require.NoError(t, store.Transact(t.Context(), store.NewMemory(), func(tx *store.Tx) error {
		kept = tx
		return nil
	}))
	assert.Panics(t, func() { kept.Put("a", nil, never) })
	assert.Panics(t, func() { kept.Create("a", nil, never) })
	assert.Panics(t, func() { kept.Delete("a") })
	assert.Panics(t, func() { _, _ = kept.Get(t.Context(), "a") })
}

func TestTransactManyWriters(t *testing.T) {
	m := store.NewMemory()
	const writers, each = 16, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				assert.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
					items, err := tx.Get(t.Context(), "n")
					if err != nil {
						return err
					}
					tx.Put("n", append(items[0].Value, 'x'), never)
					return nil
				}))
			}
		})
	}
	wg.Wait()
	assert.Len(t, get(t, m, "n").Value, writers*each)
}

// AU-33: a nil Tx reads nothing and says so, and is no Reader.
func TestNilTx(t *testing.T) {
	ctx, own := t.Context(), store.NewMemory()
	var none *store.Tx
	assert.Equal(t, store.Reader(own), store.ReaderOr(nil, own))
	assert.Equal(t, store.Reader(own), store.ReaderOr(none, own))
	assert.Equal(t, store.Reader(own), store.ReaderOr(own, nil))
	require.NoError(t, store.Transact(ctx, own, func(tx *store.Tx) error {
		assert.Equal(t, store.Reader(tx), store.ReaderOr(tx, own))
		return nil
	}))
	_, err := none.Get(ctx, "k")
	require.ErrorIs(t, err, store.ErrInvalid)
	_, err = none.List(ctx, "", "", 1)
	assert.ErrorIs(t, err, store.ErrInvalid)
}
