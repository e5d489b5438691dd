package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/npmauth/npmauth/store"
)

// Get implements [store.Reader]. One statement reads at one moment.
func (s *Store) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	query := "SELECT key, value, rev, expires FROM item WHERE key IN (?" + strings.Repeat(",?", len(keys)-1) + ")"
	found, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: get: %w", err)
	}
	items := make([]store.Item, len(keys))
	for i, k := range keys {
		items[i].Key = k
		for _, it := range found {
			if it.Key == k {
				it.Value = append(make([]byte, 0, len(it.Value)), it.Value...) // a key may be asked for twice
				items[i] = it
			}
		}
	}
	return items, nil
}

// List implements [store.Reader].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	// Keys are ASCII: DEL is above every one that begins with prefix.
	items, err := s.query(ctx, "SELECT key, value, rev, expires FROM item WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?",
		prefix, prefix+"\x7f", after, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlite: list: %w", err)
	}
	return items, nil
}

func (s *Store) query(ctx context.Context, query string, args ...any) ([]store.Item, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scan(rows)
}

func scan(rows *sql.Rows) (items []store.Item, err error) {
	defer rows.Close()
	for rows.Next() {
		var it store.Item
		var expires sql.NullInt64
		if err := rows.Scan(&it.Key, &it.Value, &it.Revision, &expires); err != nil {
			return nil, err
		}
		if it.Value == nil {
			it.Value = []byte{}
		}
		if expires.Valid {
			it.Expires = time.UnixMicro(expires.Int64).UTC()
		}
		items = append(items, it)
	}
	return items, rows.Err()
}

// Sweep implements [store.Sweeper].
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("sqlite: sweep: %w: the limit is %d", store.ErrInvalid, limit)
	}
	if last := time.Now().Add(-store.SweepGrace); before.After(last) {
		before = last
	}
	items, err := s.query(ctx, "SELECT key, value, rev, expires FROM item WHERE expires < ? ORDER BY expires LIMIT ?", before.UnixMicro(), limit)
	if err != nil {
		return 0, fmt.Errorf("sqlite: sweep: %w", err)
	}
	return store.Purge(ctx, s, items)
}
