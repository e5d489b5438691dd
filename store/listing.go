package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Listing keeps, beside the records of a table, what a list shows of them, in groups and in
// an order of their own: a page is one List of the store and no Get of records, whatever the
// number of records.
//
//	newest := store.NewListing(posts, "newest",
//		func(p *Post) (group, order string) { return p.Author, descending(p.Time) },
//		func(p *Post) *Headline { return &Headline{p.ID, p.Title} })
//
//	page, next, err := newest.List(ctx, s, "jane", "", 20)
//
// A row is written, moved and deleted in the Commit of its record, which costs one op, and none
// if the row does not change. It expires when its record does, and may be swept before or after
// it: a list of expiring records shows the time, which its reader compares.
type Listing[T, V any] struct {
	t  *Table[T]
	ls *listing[T]
}

// listing is the part of a Listing that its table needs. The rows are under
//
//	<table>.<name>/<group>/<order>/<id>
type listing[T any] struct {
	name  string
	place func(*T) (group, order string)
	value func(*T) ([]byte, error)
}

// NewListing declares a listing of the records of t. Place returns the group of a record, ""
// for none, and its place: by the byte order of order, and then by id, as far as neither has
// bytes that a key must escape. Show returns the content of the row. Like a record it is JSON
// under the schema of t, and an unknown field is an error. Both must depend on the record
// alone.
//
// NewListing panics if name is unusable or that of another listing or index of t, and must not
// be called after t was used. A table that has records needs a [Table.Reindex] then.
func NewListing[T, V any](t *Table[T], name string, place func(*T) (group, order string), show func(*T) *V) *Listing[T, V] {
	if place == nil || show == nil {
		panic(fmt.Sprintf("store: table %s: listing %q", t.name, name))
	}
	t.claimName(name)
	ls := &listing[T]{name, place, func(v *T) ([]byte, error) { return t.wrap(show(v)) }}
	t.listings = append(t.listings, ls)
	return &Listing[T, V]{t, ls}
}

func (t *Table[T]) listingPrefix(ls *listing[T], group string) string {
	return t.name + "." + ls.name + "/" + escape(group) + "/"
}

// List returns the content of up to limit rows (1 to [MaxLimit]) of the group, in their order,
// after the cursor after, which is "" or the next of an earlier page; anything else is
// [ErrInvalid]. Next is the cursor of the next page, "" at the end. It reads as many rows as it
// returns, apart from those of a schema that [Table.Since] excludes.
func (l *Listing[T, V]) List(ctx context.Context, r Reader, group, after string, limit int) (page []*V, next string, err error) {
	if err := ValidateList("", "", limit); err != nil {
		return nil, "", err
	}
	prefix, from := l.t.listingPrefix(l.ls, group), ""
	if after != "" {
		if _, _, ok := splitPlace(after); !ok {
			return nil, "", fmt.Errorf("%w: table %s: after is no place in the listing %s", ErrInvalid, l.t.name, l.ls.name)
		}
		from = prefix + after
	}
	if group == "" || validKey(prefix) != nil {
		return nil, "", nil // too long for a key: nothing is stored under it
	}
	rows, err := r.List(ctx, prefix, from, limit)
	if err != nil || len(rows) == 0 {
		return nil, "", err
	}
	page = make([]*V, 0, len(rows))
	for _, it := range rows {
		data, err := l.t.open(it.Value)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		v := new(V)
		if err == nil {
			err = l.t.decode(data, v)
		}
		if err != nil {
			return nil, "", err
		}
		page = append(page, v)
	}
	if len(rows) == limit {
		next = strings.TrimPrefix(rows[limit-1].Key, prefix)
	}
	return page, next, nil
}

// splitPlace splits the text after the group in the key of a row.
func splitPlace(text string) (order, id string, ok bool) {
	before, behind, ok := strings.Cut(text, "/")
	if !ok || behind == "" || len(text) > MaxKey {
		return "", "", false
	}
	order, okOrder := unescape(before)
	id, okID := unescape(behind)
	return order, id, okOrder && okID
}
