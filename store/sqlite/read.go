package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/store"
)

// getSizes are the numbers of keys for which a statement is prepared. A Get of another number
// repeats its last key.
var getSizes = [...]int{1, 2, 3, 4, 8, 16, 32, 64, store.MaxKeys}

const columns = "SELECT key, value, rev, expires FROM items "

func (s *Store) prepareReads(ctx context.Context) (err error) {
	for i, n := range getSizes {
		query := columns + "WHERE key IN (?" + strings.Repeat(", ?", n-1) + ")"
		if s.gets[i], err = s.readers.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	if s.list, err = s.readers.PrepareContext(ctx, columns+"WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"); err != nil {
		return err
	}
	s.expired, err = s.readers.PrepareContext(ctx, columns+"WHERE expires < ? ORDER BY expires LIMIT ?")
	return err
}

// Get implements [store.Reader]. One statement reads at one moment.
func (s *Store) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	size, _ := slices.BinarySearch(getSizes[:], len(keys))
	args := make([]any, getSizes[size])
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
	}
	found, err := query(ctx, s.gets[size], args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: get: %w", err)
	}
	items := make([]store.Item, len(keys))
	for i, k := range keys {
		items[i].Key = k
		for j := range found {
			if found[j].Key != k {
				continue
			}
			items[i] = found[j]
			if slices.Contains(keys[:i], k) { // repeated: no slice is shared
				items[i].Value = append([]byte{}, found[j].Value...)
			}
			break
		}
	}
	return items, nil
}

// List implements [store.Reader].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	// One bound at each end, so that no row is read in vain. In printable ASCII nothing sorts
	// between a key and the same key with a space appended, and DEL sorts after all that can
	// follow a prefix.
	from := prefix
	if after != "" {
		from = max(prefix, after+" ")
	}
	items, err := query(ctx, s.list, from, prefix+"\x7f", limit)
	if err != nil {
		return nil, fmt.Errorf("sqlite: list: %w", err)
	}
	return items, nil
}

// Sweep implements [store.Sweeper].
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: a sweep has a limit of at least 1, not %d", store.ErrInvalid, limit)
	}
	if last := time.Now().Add(-store.SweepGrace); before.After(last) {
		before = last
	}
	items, err := query(ctx, s.expired, before.UnixMicro(), limit)
	if err != nil {
		return 0, fmt.Errorf("sqlite: sweep: %w", err)
	}
	return store.Purge(ctx, s, items)
}

func query(ctx context.Context, stmt *sql.Stmt, args ...any) ([]store.Item, error) {
	items, err := scan(stmt.QueryContext(ctx, args...))
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // instead of the error that the statement was interrupted
	}
	return items, err
}

func scan(rows *sql.Rows, err error) ([]store.Item, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []store.Item
	for rows.Next() {
		var it store.Item
		var expires sql.NullInt64
		if err := rows.Scan(&it.Key, &it.Value, &it.Revision, &expires); err != nil {
			return nil, err
		}
		if expires.Valid {
			it.Expires = time.UnixMicro(expires.Int64).UTC()
		}
		items = append(items, it)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return items, nil
}
