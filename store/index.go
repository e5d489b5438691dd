package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The rows of an index are beside the records, under <table>.<index>/. No name has a dot or a
// slash and no escaped text has a slash, so that no row can be taken for a record or for the
// row of another value:
//
//	<table>.<index>/<value>          of a Unique, whose value is the id
//	<table>.<index>/<value>/<id>     of an Index, whose value is empty
//
// Those of a Listing have one more part.

// index is what Unique and Index have in common.
type index[T any] struct {
	name   string
	of     func(*T) string
	unique bool
}

// A Unique is a field of a table's records that no two of them share.
type Unique[T any] struct {
	t  *Table[T]
	ix *index[T]
}

// An Index finds the records of a table by a field.
type Index[T any] struct {
	t  *Table[T]
	ix *index[T]
}

// Unique declares that no two records may have the same value of, and returns the handle to
// find them by it. Records for which of returns "" are not indexed. It panics if name is
// unusable or taken, and must not be called after t was used.
func (t *Table[T]) Unique(name string, of func(*T) string) *Unique[T] {
	return &Unique[T]{t, t.index(name, of, true)}
}

// Index declares an index on the value of, and returns the handle to list
// records by it. Otherwise it is like Unique.
func (t *Table[T]) Index(name string, of func(*T) string) *Index[T] {
	return &Index[T]{t, t.index(name, of, false)}
}

func (t *Table[T]) index(name string, of func(*T) string, unique bool) *index[T] {
	if of == nil {
		panic(fmt.Sprintf("store: table %s: index %q", t.name, name))
	}
	t.claimName(name)
	ix := &index[T]{name, of, unique}
	t.indexes = append(t.indexes, ix)
	return ix
}

// claimName panics unless name is valid and free for an index or listing.
func (t *Table[T]) claimName(name string) {
	if !validName(name) {
		panic(fmt.Sprintf("store: table %s: index %q", t.name, name))
	}
	taken := func(other string) {
		if other == name {
			panic(fmt.Sprintf("store: table %s: two indexes %q", t.name, name))
		}
	}
	for _, ix := range t.indexes {
		taken(ix.name)
	}
	for _, ls := range t.listings {
		taken(ls.name)
	}
}

// prefix returns the prefix of the keys of the rows for value; it is the whole key of a
// Unique's row.
func (t *Table[T]) prefix(ix *index[T], value string) string {
	p := t.name + "." + ix.name + "/" + escape(value)
	if !ix.unique {
		p += "/"
	}
	return p
}

// A row is one entry of a record in an index or a listing.
type row struct {
	key    string
	value  []byte
	unique bool
}

// rows returns the entries that v must have.
func (t *Table[T]) rows(v *T) ([]row, error) {
	var rows []row
	for _, ix := range t.indexes {
		value := ix.of(v)
		if value == "" {
			continue
		}
		r := row{key: t.prefix(ix, value), unique: ix.unique}
		if ix.unique {
			r.value = []byte(t.id(v))
		} else {
			r.key += escape(t.id(v))
		}
		rows = append(rows, r)
	}
	for _, ls := range t.listings {
		group, order := ls.place(v)
		if group == "" {
			continue
		}
		value, err := ls.value(v)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{key: t.listingPrefix(ls, group) + escape(order) + "/" + escape(t.id(v)), value: value})
	}
	return rows, nil
}

// move turns the entries old into those of v. An unchanged entry is written only if its content
// or its expiry changed.
func (t *Table[T]) move(ctx context.Context, tx *Tx, old []row, v *T, expires time.Time, rewrite bool) error {
	now, err := t.rows(v)
	if err != nil {
		return err
	}
	id := t.id(v)
	if err := t.dropRows(ctx, tx, old, now, id); err != nil {
		return err
	}
	for _, r := range now {
		was := findRow(old, r.key)
		stays := was != nil
		if stays && rewrite {
			if stays, err = t.isRowOf(ctx, tx, r, id); err != nil {
				return err
			}
		}
		switch {
		case stays:
			if rewrite || !bytes.Equal(was.value, r.value) {
				tx.Put(r.key, r.value, expires)
			}
		case r.unique:
			if err := t.claim(ctx, tx, r.key, r.value, expires); err != nil {
				return err
			}
		default:
			tx.Put(r.key, r.value, expires)
		}
	}
	return nil
}

// dropRows deletes the entries old of the record id that are not among now.
func (t *Table[T]) dropRows(ctx context.Context, tx *Tx, old, now []row, id string) error {
	for _, r := range old {
		if findRow(now, r.key) != nil {
			continue
		}
		if ours, err := t.isRowOf(ctx, tx, r, id); err != nil {
			return err
		} else if ours {
			tx.Delete(r.key)
		}
	}
	return nil
}

// isRowOf reports whether an entry of the record id, which the Tx has read, still exists and
// belongs to it. It does as long as the record exists, unless the record can expire: then its
// row may be swept before it, and belong to another record since.
func (t *Table[T]) isRowOf(ctx context.Context, tx *Tx, r row, id string) (bool, error) {
	if !r.unique || t.expires == nil {
		return true, nil
	}
	it, err := getOne(ctx, tx, r.key)
	return err == nil && it.Exists() && string(it.Value) == id, err
}

func findRow(rows []row, key string) *row {
	for i := range rows {
		if rows[i].key == key {
			return &rows[i]
		}
	}
	return nil
}

// hasRow reports whether v must have an entry under key.
func (t *Table[T]) hasRow(v *T, key string) (bool, error) {
	rows, err := t.rows(v)
	return findRow(rows, key) != nil, err
}

// claim writes the row of a Unique. The first run only asserts that the row is absent, unless
// the Tx knows better; the next run reads it, and replaces a row whose record is gone: an
// expired record may be swept before its rows.
func (t *Table[T]) claim(ctx context.Context, tx *Tx, key string, id []byte, expires time.Time) error {
	if !tx.rerun && !tx.knows(key) && !tx.expectsPresent(key) {
		tx.Create(key, id, expires)
		return nil
	}
	it, err := getOne(ctx, tx, key)
	if err != nil {
		return err
	}
	// A row with this record's id was left by an earlier record with the same id.
	if it.Exists() && string(it.Value) != string(id) {
		owner, err := t.Get(ctx, tx, string(it.Value))
		taken := false
		if err == nil {
			taken, err = t.hasRow(owner, key)
		}
		if taken {
			return ErrExists
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	tx.Put(key, id, expires)
	return nil
}

// Get returns the record that has this value, or [ErrNotFound].
func (u *Unique[T]) Get(ctx context.Context, r Reader, value string) (*T, error) {
	key := u.t.prefix(u.ix, value)
	if value == "" || validKey(key) != nil {
		return nil, ErrNotFound
	}
	it, err := getOne(ctx, r, key)
	if err != nil {
		return nil, err
	}
	for range 3 {
		if !it.Exists() {
			return nil, ErrNotFound
		}
		v, err := u.t.Get(ctx, r, string(it.Value))
		if err == nil && u.ix.of(v) == value {
			return v, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		// Either the value moved between the two reads, or the record expired and was swept
		// before its row. If the row is still the same, it was so all the time.
		row, err := u.reread(ctx, r, it)
		if err != nil {
			return nil, err
		}
		if row.Revision == it.Revision {
			return nil, ErrNotFound
		}
		it = row
	}
	return nil, fmt.Errorf("%w: table %s: %s changes all the time", ErrConflict, u.t.name, u.ix.name)
}

// Value returns the value whose row has this key; ok is false for the key of anything else.
func (u *Unique[T]) Value(key string) (value string, ok bool) {
	rest, ok := strings.CutPrefix(key, u.t.name+"."+u.ix.name+"/")
	if !ok || rest == "" {
		return "", false
	}
	return unescape(rest)
}

// reread reads the row it once more.
func (u *Unique[T]) reread(ctx context.Context, r Reader, it Item) (Item, error) {
	tx, ok := r.(*Tx)
	if !ok {
		return getOne(ctx, r, it.Key)
	}
	// A Tx reads each key once. If the store has another row by now, this run fails whatever
	// its function does.
	if tx.write(it.Key) != nil {
		return it, nil
	}
	now, err := getOne(ctx, tx.s, it.Key)
	if err != nil {
		return Item{}, err
	}
	if now.Revision != it.Revision {
		tx.torn = true
		return Item{}, fmt.Errorf("%w: read at two moments", ErrConflict)
	}
	return it, nil
}

// List returns records that have this value, in the order of their keys, from the id after on
// ("" begins with the first). It reads up to limit index entries (1 to [MaxLimit]); next is the
// cursor of the next page, "" at the end. A page may have fewer records, since one that changes
// meanwhile is omitted.
//
// In a [Tx] every record listed is a precondition and counts against [MaxOps].
func (x *Index[T]) List(ctx context.Context, r Reader, value, after string, limit int) (vs []*T, next string, err error) {
	prefix := x.t.prefix(x.ix, value)
	from := ""
	if after != "" {
		from = prefix + escape(after)
	}
	if err := ValidateList("", "", limit); err != nil {
		return nil, "", err
	}
	if value == "" || ValidateList(prefix, from, limit) != nil {
		return nil, "", nil // too long for a key: nothing is stored under it
	}
	rows, err := r.List(ctx, prefix, from, limit)
	if err != nil || len(rows) == 0 {
		return nil, "", err
	}
	keys := make([]string, len(rows))
	for i, it := range rows {
		id, ok := unescape(strings.TrimPrefix(it.Key, prefix))
		if !ok {
			return nil, "", fmt.Errorf("%w: table %s: index %s has a row that names no record", ErrSchema, x.t.name, x.ix.name)
		}
		keys[i] = x.t.Key(id)
		next = id
	}
	if len(rows) < limit {
		next = ""
	}
	items, err := r.Get(ctx, keys...)
	if err != nil {
		return nil, "", err
	}
	vs = make([]*T, 0, len(items))
	for _, it := range items {
		v, err := x.t.Decode(it)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if x.ix.of(v) == value {
			vs = append(vs, v)
		}
	}
	return vs, next, nil
}
