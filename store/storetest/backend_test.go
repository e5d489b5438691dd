package storetest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// This is the backend that docs/backend.md shows, over an engine that is a map.

func TestBackend(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open:    func(t *testing.T) store.Store { return open(t, newDatabase(t)) },
		Reopen:  func(t *testing.T, s store.Store) store.Store { return open(t, s.(*backend).db) },
		NoWatch: "the engine does not tell what another process changed",
	})
}

func newDatabase(*testing.T) *database { return &database{rows: map[string]store.Item{}} }

func open(_ *testing.T, db *database) *backend { return &backend{db: db} }

type backend struct{ db *database }

func (b *backend) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	rev, err := b.db.transaction(ctx, ops)
	switch {
	case err == nil:
		return rev, nil
	case errors.Is(err, errCondition):
		return 0, store.ErrConflict
	case errors.Is(err, errNoAnswer):
		return 0, fmt.Errorf("mine: commit: %w: %w", store.ErrUnknown, err)
	}
	return 0, fmt.Errorf("mine: commit: %w", err)
}

func (b *backend) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	items := make([]store.Item, 0, len(keys))
	err := b.db.read(ctx, func(rows map[string]store.Item) {
		for _, key := range keys {
			items = append(items, row(key, rows[key]))
		}
	})
	return items, err
}

func (b *backend) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	var items []store.Item
	err := b.db.read(ctx, func(rows map[string]store.Item) {
		for key, it := range rows {
			if strings.HasPrefix(key, prefix) && key > after {
				items = append(items, row(key, it))
			}
		}
	})
	slices.SortFunc(items, func(a, b store.Item) int { return cmp.Compare(a.Key, b.Key) })
	return items[:min(limit, len(items))], err
}

func (b *backend) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: a sweep of %d items", store.ErrInvalid, limit)
	}
	if last := time.Now().Add(-store.SweepGrace); before.After(last) {
		before = last
	}
	expired, err := b.db.expired(ctx, before, limit)
	if err != nil {
		return 0, fmt.Errorf("mine: sweep: %w", err)
	}
	return store.Purge(ctx, b, expired)
}

// row returns a copy of it as the item under key.
func row(key string, it store.Item) store.Item {
	it.Key, it.Value = key, slices.Clone(it.Value)
	return it
}

// What the engine answers.
var (
	errCondition = errors.New("a condition does not hold")
	errNoAnswer  = errors.New("no answer")
)

// A database is what several handles share.
type database struct {
	mu   sync.Mutex
	rows map[string]store.Item // guarded by mu
	last store.Revision        // guarded by mu
}

func (d *database) transaction(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range ops {
		if op.At != store.Any && op.At != d.rows[op.Key].Revision {
			return 0, errCondition
		}
	}
	var rev store.Revision
	for _, op := range ops {
		switch op.Action {
		case store.Put:
			if rev == 0 {
				d.last++
				rev = d.last
			}
			it := store.Item{Value: slices.Clone(op.Value), Revision: rev}
			if !op.Expires.IsZero() {
				it.Expires = op.Expires.Truncate(time.Microsecond)
			}
			d.rows[op.Key] = it
		case store.Delete:
			delete(d.rows, op.Key)
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, errors.Join(errNoAnswer, err)
	}
	return rev, nil
}

func (d *database) read(ctx context.Context, see func(rows map[string]store.Item)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	see(d.rows)
	return nil
}

func (d *database) expired(ctx context.Context, before time.Time, limit int) ([]store.Item, error) {
	var items []store.Item
	err := d.read(ctx, func(rows map[string]store.Item) {
		for key, it := range rows {
			if len(items) < limit && !it.Expires.IsZero() && it.Expires.Before(before) {
				items = append(items, row(key, it))
			}
		}
	})
	return items, err
}
