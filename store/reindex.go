package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// Reindex makes the rows of t's indexes and listings in s match its records: run it once after
// an index or listing was added to a table that has records, was removed, or was changed. Each
// record is a Commit of its own, so Reindex may be interrupted and repeated, and records may be
// written meanwhile, but only by programs that have the same indexes. If two records share the
// value of a [Unique], it stops with an error that wraps [ErrExists].
//
// A row that is not visible through s, such as one outside a [Sub], does not change.
func (t *Table[T]) Reindex(ctx context.Context, s Store) error {
	err := each(ctx, s, t.name+"/", func(it Item) error {
		id, ok := t.ID(it.Key)
		if !ok {
			return fmt.Errorf("%w: table %s has a key that is no id", ErrSchema, t.name)
		}
		return Transact(ctx, s, func(tx *Tx) error { return t.addRows(ctx, tx, id) })
	})
	if err != nil {
		return err
	}
	return each(ctx, s, t.name+".", func(it Item) error {
		return Transact(ctx, s, func(tx *Tx) error { return t.dropRow(ctx, tx, it.Key) })
	})
}

// each calls fn for every item of s below prefix.
func each(ctx context.Context, s Store, prefix string, fn func(Item) error) error {
	after := ""
	for {
		items, err := s.List(ctx, prefix, after, MaxLimit)
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := fn(it); err != nil {
				return err
			}
			after = it.Key
		}
		if len(items) < MaxLimit {
			return nil
		}
	}
}

// addRows writes the rows that the record id lacks.
func (t *Table[T]) addRows(ctx context.Context, tx *Tx, id string) error {
	it, err := t.item(ctx, tx, id)
	if err != nil {
		return err
	}
	v, err := t.Decode(it)
	if errors.Is(err, ErrNotFound) {
		return nil // deleted since it was listed, or of a schema before Since
	}
	if err != nil {
		return err
	}
	rows, err := t.rows(v)
	if err != nil {
		return err
	}
	for _, r := range rows {
		have, err := getOne(ctx, tx, r.key)
		if err != nil {
			return err
		}
		if have.Exists() && bytes.Equal(have.Value, r.value) {
			continue
		}
		if !r.unique {
			tx.Put(r.key, r.value, it.Expires)
			continue
		}
		if err := t.claim(ctx, tx, r.key, r.value, it.Expires); err != nil {
			return fmt.Errorf("table %s: two records with one unique value: %w", t.name, err)
		}
	}
	return nil
}

// dropRow deletes the row under key if no record needs it.
func (t *Table[T]) dropRow(ctx context.Context, tx *Tx, key string) error {
	row, err := getOne(ctx, tx, key)
	if err != nil || !row.Exists() {
		return err
	}
	if id, ok := t.owner(row); ok {
		v, err := t.Get(ctx, tx, id)
		needed := false
		if err == nil {
			needed, err = t.hasRow(v, key)
		}
		if needed {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	tx.Delete(key)
	return nil
}

// owner returns the id of the record that a row of an index or a listing points to.
func (t *Table[T]) owner(row Item) (string, bool) {
	for _, ix := range t.indexes {
		rest, ok := strings.CutPrefix(row.Key, t.name+"."+ix.name+"/")
		if !ok {
			continue
		}
		if ix.unique {
			return string(row.Value), true
		}
		if i := strings.IndexByte(rest, '/'); i > 0 {
			return unescape(rest[i+1:])
		}
	}
	for _, ls := range t.listings {
		rest, ok := strings.CutPrefix(row.Key, t.name+"."+ls.name+"/")
		if !ok {
			continue
		}
		if _, place, ok := strings.Cut(rest, "/"); ok {
			_, id, ok := splitPlace(place)
			return id, ok
		}
	}
	return "", false
}
