package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/npmauth/npmauth/store"
)

var errReplica = errors.New("the server is a replica")

// Get implements [store.Reader]. One statement reads at one moment.
func (s *Store) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	found, err := s.query(ctx, s.sql.get, keys)
	if err != nil {
		return nil, fmt.Errorf("postgres: get: %w", err)
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
	items, err := s.query(ctx, s.sql.list, from, prefix+"\x7f", limit)
	if err != nil {
		return nil, fmt.Errorf("postgres: list: %w", err)
	}
	// They have this order already, but SQL does not promise it of a union.
	slices.SortFunc(items, func(a, b store.Item) int { return strings.Compare(a.Key, b.Key) })
	return items, nil
}

// query returns the items that a read finds.
func (s *Store) query(ctx context.Context, query string, args ...any) ([]store.Item, error) {
	items, broken, err := s.tryQuery(context.WithValue(ctx, asIs{}, true), query, args...)
	if broken && ctx.Err() == nil {
		// Perhaps only this connection, which the server closed while it was idle.
		items, _, err = s.tryQuery(ctx, query, args...)
	}
	if err != nil {
		return nil, ended(ctx, err)
	}
	return items, nil
}

// tryQuery also reports whether it failed together with the connection it was given.
func (s *Store) tryQuery(ctx context.Context, query string, args ...any) (items []store.Item, broken bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, query, args...)
	items, err = scan(rows, err)
	if errors.Is(err, errReplica) {
		_ = conn.Conn().Close(ctx) // the next one is checked
		return nil, false, err
	}
	return items, err != nil && conn.Conn().IsClosed(), err
}

func scan(rows pgx.Rows, err error) ([]store.Item, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []store.Item
	for rows.Next() {
		var it store.Item
		var expires *time.Time
		if err := rows.Scan(&it.Key, &it.Value, &it.Revision, &expires); err != nil {
			return nil, err
		}
		if it.Revision < 0 { // see unlessStale
			return nil, errReplica
		}
		if expires != nil {
			it.Expires = expires.UTC()
		}
		items = append(items, it)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return items, nil
}

// Sweep implements [store.Sweeper]. The clock is the database's. It also deletes a bounded
// number of the rows for [Store.Watch].
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: a sweep has a limit of at least 1, not %d", store.ErrInvalid, limit)
	}
	if before.Before(earliest) {
		return 0, nil
	}
	if before.After(latest) {
		before = latest
	}
	items, err := s.query(ctx, s.sql.expired, before, limit)
	if err != nil {
		return 0, fmt.Errorf("postgres: sweep: %w", err)
	}
	deleted, err := store.Purge(ctx, s, items)
	if err != nil {
		return deleted, err
	}
	for range sweepTrims {
		trimmed, err := trim(ctx, s.pool, s, retention)
		if err != nil {
			return deleted, fmt.Errorf("postgres: sweep: %w", ended(ctx, err))
		}
		if trimmed < trimBatch {
			break
		}
	}
	return deleted, nil
}
