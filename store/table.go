package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Errors of [Table].
var (
	// ErrNotFound means that there is no such record.
	ErrNotFound = errors.New("store: not found")
	// ErrExists means that there is such a record already, or one with the same value of a
	// [Unique] field.
	ErrExists = errors.New("store: exists")
	// ErrSchema means that a stored value is not a record that this program can decode: written
	// by a newer version, damaged, or under the key of another record.
	ErrSchema = errors.New("store: unknown record schema")
)

// A Table describes how records of type T are kept in a [Store]: as JSON with a schema number,
// under a key made of the table's name and the record's id. It is a package variable and
// contains neither a Store nor a record:
//
//	var (
//		users  = store.NewTable("user", 1, func(u *User) string { return u.ID })
//		byName = users.Unique("name", func(u *User) string { return u.Name })
//	)
//
//	user, err := byName.Get(ctx, s, "jane")
//
// Reading takes any [Reader], writing a [Tx], so that packages which do not know each other can
// change their records in one Commit. A write of a record costs one op for itself and one for
// each of its index values that changes, and for each [Listing] whose row changes.
//
// A record that has expired according to Expiring stays readable until the store deletes it:
// its reader compares the time.
type Table[T any] struct {
	name    string
	schema  int
	since   int    // records of an older schema count as absent
	head    string // how a value of this schema begins
	id      func(*T) string
	expires func(*T) time.Time
	indexes []*index[T]

	listings []*listing[T]
}

// NewTable returns a Table. The name (lower-case letters, digits and hyphens) must be no other
// table's of the same store. Schema is positive; raise it when a program that knows only the
// old one must not read the new records, which it then refuses with [ErrSchema]. A lower one is
// read as the same JSON, so new fields need a useful zero value, and no field may be dropped.
// The id must be part of the record's JSON, must not be empty and must not change.
//
// NewTable panics if name or schema is unusable.
func NewTable[T any](name string, schema int, id func(*T) string) *Table[T] {
	if !validName(name) || schema < 1 || id == nil {
		panic(fmt.Sprintf("store: NewTable(%q, %d)", name, schema))
	}
	return &Table[T]{name: name, schema: schema, head: fmt.Sprintf(`{"v":%d,"d":`, schema), id: id}
}

// Expiring makes every write of a record set [Item].Expires to the result of of; the zero time
// means never. It returns t, so that it can follow NewTable.
func (t *Table[T]) Expiring(of func(*T) time.Time) *Table[T] {
	t.expires = of
	return t
}

// Since makes records that were stored under a schema older than this one count as absent,
// whatever their content: reading one is [ErrNotFound], lists omit it, and Insert and Upsert
// replace it, at its revision. It is for records that must not be converted, such as
// credentials that lack a field by which they are revoked now. It returns t, so that it can
// follow NewTable, and panics if schema is not one that t reads.
//
// Only its expiry deletes such a record. Its index rows stay as long, and find nothing.
func (t *Table[T]) Since(schema int) *Table[T] {
	if schema < 1 || schema > t.schema {
		panic(fmt.Sprintf("store: table %s: since schema %d of %d", t.name, schema, t.schema))
	}
	t.since = schema
	return t
}

// Key returns the key of the record with this id. Different ids have different keys. An id that
// is empty, or so long that the key exceeds [MaxKey], makes a key that no store accepts.
func (t *Table[T]) Key(id string) string {
	if id == "" {
		return ""
	}
	return t.name + "/" + escape(id)
}

// ID returns the id of the record whose key this is; ok is false if it is not
// the key of a record of t.
func (t *Table[T]) ID(key string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(key, t.name+"/")
	if !ok || rest == "" {
		return "", false
	}
	return unescape(rest)
}

// Decode returns the record in it. An absent item is [ErrNotFound], and so is one of a schema
// that [Table.Since] excludes.
func (t *Table[T]) Decode(it Item) (*T, error) {
	if !it.Exists() {
		return nil, ErrNotFound
	}
	data, err := t.open(it.Value)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := t.decode(data, v); err != nil {
		return nil, err
	}
	if !t.isKey(it.Key, t.id(v)) {
		return nil, fmt.Errorf("%w: table %s: the record is not the one that its key names", ErrSchema, t.name)
	}
	return v, nil
}

// A decoder reads strictly, and is reused for the next value: making one costs more than
// decoding a small record.
type decoder struct {
	data bytes.Reader
	json *json.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.json = json.NewDecoder(&d.data)
	d.json.DisallowUnknownFields()
	return d
}}

// decode reads data, all of which must be the JSON of v.
func (t *Table[T]) decode(data []byte, v any) error {
	d := decoders.Get().(*decoder)
	d.data.Reset(data)
	begin := d.json.InputOffset()
	// After an error the decoder is dropped: it may have read a part of the input.
	if err := d.json.Decode(v); err != nil {
		return fmt.Errorf("%w: table %s: %s", ErrSchema, t.name, jsonCause(err))
	}
	if d.json.InputOffset()-begin != int64(len(data)) {
		return fmt.Errorf("%w: table %s: trailing data", ErrSchema, t.name)
	}
	d.data.Reset(nil)
	decoders.Put(d)
	return nil
}

// jsonCause says what is wrong without quoting a value: a record may have content that must not
// be logged.
func jsonCause(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %q has the wrong type", e.Field)
	}
	if text := err.Error(); strings.HasPrefix(text, "json: unknown field ") {
		return strings.TrimPrefix(text, "json: ")
	}
	return "not the JSON of a record"
}

// open checks the envelope and returns the record's JSON.
func (t *Table[T]) open(value []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(value, []byte(t.head)); ok {
		if data, ok := bytes.CutSuffix(rest, []byte("}")); ok {
			return data, nil
		}
	}
	if _, ok := parseMark(value); ok {
		return nil, fmt.Errorf("%w: table %s: %w", ErrSchema, t.name, ErrUnfinished)
	}
	// Of another schema, or not written by encode.
	var env struct {
		Schema int             `json:"v"`
		Data   json.RawMessage `json:"d"`
	}
	if err := json.Unmarshal(value, &env); err != nil {
		return nil, fmt.Errorf("%w: table %s: not a record", ErrSchema, t.name)
	}
	if env.Schema < 1 || env.Schema > t.schema || env.Data == nil {
		return nil, fmt.Errorf("%w: table %s: schema %d, this program knows up to %d", ErrSchema, t.name, env.Schema, t.schema)
	}
	if env.Schema < t.since {
		return nil, ErrNotFound
	}
	return env.Data, nil
}

func (t *Table[T]) encode(v *T) ([]byte, time.Time, error) {
	if t.id(v) == "" {
		return nil, time.Time{}, fmt.Errorf("%w: table %s: record without an id", ErrInvalid, t.name)
	}
	value, err := t.wrap(v)
	if err != nil {
		return nil, time.Time{}, err
	}
	var expires time.Time
	if t.expires != nil {
		expires = t.expires(v)
	}
	return value, expires, nil
}

// wrap returns v in the envelope that open opens.
func (t *Table[T]) wrap(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: table %s: %w", t.name, err)
	}
	value := make([]byte, 0, len(t.head)+len(data)+1)
	return append(append(append(value, t.head...), data...), '}'), nil
}

// Get returns the record with this id, or [ErrNotFound].
func (t *Table[T]) Get(ctx context.Context, r Reader, id string) (*T, error) {
	it, err := t.item(ctx, r, id)
	if err != nil {
		return nil, err
	}
	return t.Decode(it)
}

// item reads the item of a record. An id that makes no valid key has no record.
func (t *Table[T]) item(ctx context.Context, r Reader, id string) (Item, error) {
	key := t.Key(id)
	if validKey(key) != nil {
		return Item{}, nil
	}
	return getOne(ctx, r, key)
}

func getOne(ctx context.Context, r Reader, key string) (Item, error) {
	items, err := r.Get(ctx, key)
	if err != nil {
		return Item{}, err
	}
	if len(items) != 1 || items[0].Key != key {
		return Item{}, fmt.Errorf("store: a get of one key returned %d items, or another's", len(items))
	}
	return items[0], nil
}

// List returns up to limit records (1 to [MaxLimit]) whose key comes after that of the id
// after, in the order of their keys; after "" begins with the first. For ids without bytes that
// a key must escape this is their byte order. If there are fewer than limit, they are the last
// ones.
func (t *Table[T]) List(ctx context.Context, r Reader, after string, limit int) ([]*T, error) {
	var vs []*T
	for from := t.Key(after); ; {
		items, err := r.List(ctx, t.name+"/", from, limit)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			v, err := t.Decode(it)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if vs = append(vs, v); len(vs) == limit {
				return vs, nil
			}
		}
		if len(items) < limit {
			return vs, nil
		}
		from = items[len(items)-1].Key // some were of a schema before Since
	}
}

// Insert adds v. If there is a record with its id, or with one of its [Unique] values, Insert
// or the [Transact] around it returns [ErrExists].
func (t *Table[T]) Insert(ctx context.Context, tx *Tx, v *T) error {
	if tx == nil {
		return errNoTx
	}
	value, expires, err := t.encode(v)
	if err != nil {
		return err
	}
	key := t.Key(t.id(v))
	put := tx.Create
	if tx.rerun || tx.knows(key) || tx.expectsPresent(key) {
		// There is a record. A read of its reason is worth it only now.
		it, err := getOne(ctx, tx, key)
		if err != nil {
			return err
		}
		switch _, err := t.open(it.Value); {
		case !it.Exists():
		case errors.Is(err, ErrNotFound):
			put = tx.Put // replaces a record that Since excludes
		default:
			return ErrExists
		}
	}
	put(key, value, expires)
	return t.move(ctx, tx, nil, v, expires, false)
}

// Update reads the record with this id, lets fn change it and writes it with its index values. It
// returns the changed record. If there is none it returns [ErrNotFound], and if another has one of
// its new [Unique] values, Update or the [Transact] around it returns [ErrExists]. An error of fn
// is returned as it is, and nothing is written. A record that fn leaves as it is is written too, so
// that caches over [Observe] hear of it.
func (t *Table[T]) Update(ctx context.Context, tx *Tx, id string, fn func(*T) error) (*T, error) {
	it, err := t.item(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	v, err := t.Decode(it)
	if err != nil {
		return nil, err
	}
	return t.change(ctx, tx, it, v, true, fn)
}

// Upsert is Update for a record that may not exist: fn gets it, or a zero T and found false, to
// fill in with this id.
func (t *Table[T]) Upsert(ctx context.Context, tx *Tx, id string, fn func(v *T, found bool) error) (*T, error) {
	key := t.Key(id)
	if err := validKey(key); err != nil {
		return nil, fmt.Errorf("%w: table %s: %s", ErrInvalid, t.name, err)
	}
	it, err := getOne(ctx, tx, key)
	if err != nil {
		return nil, err
	}
	v, err := t.Decode(it)
	found := !errors.Is(err, ErrNotFound)
	if !found {
		v, err = new(T), nil
	}
	if err != nil {
		return nil, err
	}
	return t.change(ctx, tx, it, v, found, func(v *T) error { return fn(v, found) })
}

// change runs fn on v, which was decoded from it or will replace it, and writes the result.
func (t *Table[T]) change(ctx context.Context, tx *Tx, it Item, v *T, found bool, fn func(*T) error) (*T, error) {
	var old []row
	if found {
		var err error
		if old, err = t.rows(v); err != nil {
			return nil, err
		}
	}
	if err := fn(v); err != nil {
		return nil, err
	}
	value, expires, err := t.encode(v)
	if err != nil {
		return nil, err
	}
	if !t.isKey(it.Key, t.id(v)) {
		return nil, fmt.Errorf("%w: table %s: a record keeps the id it has", ErrInvalid, t.name)
	}
	tx.Put(it.Key, value, expires)
	return v, t.move(ctx, tx, old, v, expires, !sameHint(it.Expires, expires))
}

// sameHint compares to the precision at which a store keeps a hint.
func sameHint(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
}

// Delete removes the record with this id and its index values, or returns
// [ErrNotFound].
func (t *Table[T]) Delete(ctx context.Context, tx *Tx, id string) error {
	it, err := t.item(ctx, tx, id)
	if err != nil {
		return err
	}
	v, err := t.Decode(it)
	if err != nil {
		return err
	}
	old, err := t.rows(v)
	if err != nil {
		return err
	}
	tx.Delete(it.Key)
	return t.dropRows(ctx, tx, old, nil, id)
}

// isKey reports whether key is that of the record with this id. It allocates nothing for an id
// that needs no escaping.
func (t *Table[T]) isKey(key, id string) bool {
	n := len(t.name)
	if len(key) <= n || key[:n] != t.name || key[n] != '/' || id == "" {
		return false
	}
	return key[n+1:] == escape(id)
}
