package linear_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest/linear"
)

// This is a backend as somebody else might write it, over versions of a map of which a commit
// replaces the current one. It has the flaws that a test gives it.

// A database is what several handles share.
type database struct {
	current atomic.Pointer[version]
}

type version struct {
	rows map[string]store.Item
	last store.Revision
	was  map[string]store.Item // the rows before the last commit
}

func newDatabase() *database {
	db := new(database)
	db.current.Store(&version{})
	return db
}

type flaw int

const (
	none       flaw = iota
	staleReads      // a read can miss the last commit
	lostChecks      // a Check is not part of a Commit
	torn            // a Get of several keys is of several moments
)

type backend struct {
	db    *database
	flaw  flaw
	reads atomic.Int64
}

func open(db *database, f flaw) *backend { return &backend{db: db, flaw: f} }

// version returns what a read sees.
func (b *backend) version(ctx context.Context) (*version, error) {
	v := b.db.current.Load()
	if b.flaw == staleReads && b.reads.Add(1)%5 == 0 {
		v = &version{rows: v.was}
	}
	return v, ctx.Err()
}

func (b *backend) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	v, err := b.version(ctx)
	if err != nil {
		return nil, err
	}
	var items []store.Item
	for _, key := range keys {
		items = append(items, v.item(key))
		if b.flaw == torn {
			time.Sleep(50 * time.Microsecond)
			v = b.db.current.Load()
		}
	}
	return items, nil
}

func (b *backend) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	v, err := b.version(ctx)
	if err != nil {
		return nil, err
	}
	var items []store.Item
	for _, key := range slices.Sorted(maps.Keys(v.rows)) {
		if strings.HasPrefix(key, prefix) && key > after && len(items) < limit {
			items = append(items, v.item(key))
		}
	}
	return items, nil
}

func (v *version) item(key string) store.Item {
	it := v.rows[key]
	it.Key, it.Value = key, slices.Clone(it.Value)
	return it
}

func (b *backend) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		was := b.db.current.Load()
		next := &version{rows: maps.Clone(was.rows), last: was.last + 1, was: was.rows}
		if next.rows == nil {
			next.rows = map[string]store.Item{}
		}
		var rev store.Revision
		for _, op := range ops {
			if b.flaw == lostChecks && op.Action == store.Check {
				continue
			}
			if op.At != store.Any && op.At != was.rows[op.Key].Revision {
				return 0, store.ErrConflict
			}
			switch op.Action {
			case store.Put:
				rev = next.last
				next.rows[op.Key] = store.Item{Value: slices.Clone(op.Value), Revision: rev, Expires: op.Expires.Truncate(time.Microsecond)}
			case store.Delete:
				delete(next.rows, op.Key)
			}
		}
		if b.db.current.CompareAndSwap(was, next) {
			return rev, nil
		}
	}
}

// AU-51: whoever writes a backend of their own runs the check on it: it passes, through one
// handle and through two.
func TestBackend(t *testing.T) {
	db := newDatabase()
	linear.Test(t, open(db, none), open(db, none))
	linear.Test(t, open(newDatabase(), none))
}

// AU-51: a backend that is not linearizable is refused.
func TestBrokenBackend(t *testing.T) {
	for name, f := range map[string]flaw{"stale reads": staleReads, "lost checks": lostChecks, "a read of several moments": torn} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase()
			err := linear.Check(t.Context(), 500, open(db, f), open(db, f))
			require.Error(t, err)
			t.Log(err)
		})
	}
	t.Run("two databases", func(t *testing.T) {
		assert.Error(t, linear.Check(t.Context(), 500, open(newDatabase(), none), open(newDatabase(), none)))
	})
}

// A check of nothing is no check.
func TestCheckOfNothing(t *testing.T) {
	assert.ErrorIs(t, linear.Check(t.Context(), 1), store.ErrInvalid)
	assert.ErrorIs(t, linear.Check(t.Context(), 0, store.NewMemory()), store.ErrInvalid)
}

func TestMemory(t *testing.T) {
	m := store.NewMemory()
	linear.Test(t, m, m)
}

// What stands above an engine keeps its order.
func TestWrappers(t *testing.T) {
	m := store.NewMemory()
	wrap := func() store.Store {
		return store.Observe(store.Seal(store.Sub(m, "x/"), store.Key{1}), func([]string) {})
	}
	linear.Test(t, wrap(), wrap())
}
