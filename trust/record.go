package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A Record is a publisher that a package or a scope has. Its JSON is that of the Publisher alone.
type Record struct {
	Publisher
	Created   time.Time
	CreatedBy protocol.UserID // "" is the operator
	Scope     string          // whose it is, without @; "" if it is of one package
}

// A Target is what a publisher publishes: a [Package], or each package of a [Scope]. It has one row, so that one read
// finds those that match and one revision says whether they are the same.
type Target interface {
	validate() error
	key() string
	open(it store.Item) ([]Record, error)
	put(ctx context.Context, tx *store.Tx, records []Record, most int) error
	tell(e *audit.Event)
	scope() Scope // the zero Scope of a package
}

// validate returns an error unless t is there and complete.
func validate(t Target) error {
	if t == nil {
		return errors.New("trust: a publisher is of a package or a scope")
	}
	return t.validate()
}

// row has all publishers of a package.
type row struct {
	Package    protocol.PackageID `json:"package"`
	Publishers []stored           `json:"publishers"` // oldest first
}

// stored is a Record as it is stored. A program refuses a row with an unknown field, since it may be a
// restriction.
type stored struct {
	Publisher Publisher       `json:"publisher"`
	Created   int64           `json:"created"` // microseconds since 1970
	By        protocol.UserID `json:"by,omitempty"`
}

var publishers = store.NewTable("trust", 1, func(r *row) string { return string(r.Package) })

// Limits of what is stored, in bytes of JSON. A row is below them, and far below store.MaxValue: what a token pins
// must find room in it.
const (
	maxPublisher = 8 << 10
	maxRow       = 32 << 10
	maxPinned    = 56 << 10
)

// PublishersKey returns the key of the row that has all publishers of a package, for caches.
func PublishersKey(id protocol.PackageID) string { return publishers.Key(string(id)) }

// PackageOf returns the package whose publishers have this key. It is false for any other key.
func PackageOf(key string) (protocol.PackageID, bool) {
	id, ok := publishers.ID(key)
	return protocol.PackageID(id), ok
}

// Publishers returns the publishers of a package, oldest first, read from r. A nil r means the Manager's own
// store.
func (m *Manager) Publishers(ctx context.Context, r store.Reader, id protocol.PackageID) ([]Record, error) {
	if id == "" {
		return nil, errNoID
	}
	return read(ctx, store.ReaderOr(r, m.store), Package{ID: id})
}

// PublishersFor returns the publishers of a package and those of its scope, if it has an organization, oldest first, read
// from r: those whose jobs may publish the package. A nil r means the Manager's own store.
func (m *Manager) PublishersFor(ctx context.Context, r store.Reader, pkg Package) ([]Record, error) {
	if err := pkg.validate(); err != nil {
		return nil, err
	}
	return readFor(ctx, store.ReaderOr(r, m.store), pkg)
}

func readFor(ctx context.Context, r store.Reader, pkg Package) (all []Record, err error) {
	targets := pkg.targets()
	var keys []string
	for _, t := range targets {
		keys = append(keys, t.key())
	}
	items, err := r.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("trust: publishers: %w", err)
	}
	for i, t := range targets {
		records, err := t.open(items[i])
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	slices.SortStableFunc(all, func(a, b Record) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// read returns the publishers of a package or of a scope.
func read(ctx context.Context, r store.Reader, t Target) ([]Record, error) {
	items, err := r.Get(ctx, t.key())
	if err != nil {
		return nil, fmt.Errorf("trust: publishers: %w", err)
	}
	return t.open(items[0])
}

func (p Package) key() string { return PublishersKey(p.ID) }

// open decodes a row of publishers. An absent one has none, and one that cannot be decoded is an error.
func (p Package) open(it store.Item) ([]Record, error) {
	r, err := publishers.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trust: publishers: %w", err)
	}
	return openStored(r.Publishers, "")
}

func (p Package) put(ctx context.Context, tx *store.Tx, records []Record, most int) error {
	return putRow(ctx, tx, publishers, string(p.ID), row{p.ID, storedOf(records)}, len(records) == 0, most)
}

func (p Package) tell(e *audit.Event) {
	e.Package = p.Name
	e.Detail["package_id"] = string(p.ID)
}

func (p Package) scope() Scope { return Scope{} }

// openStored returns the records of a row.
func openStored(list []stored, scope string) ([]Record, error) {
	if len(list) == 0 { // such a row is deleted
		return nil, errors.New("trust: publishers: the row has none")
	}
	records := make([]Record, 0, len(list))
	for _, s := range list {
		if s.Publisher.ID == "" || s.Publisher.Issuer == "" || s.Created <= 0 {
			return nil, errors.New("trust: publishers: one lacks its ID, issuer or time")
		}
		if find(records, s.Publisher.ID) >= 0 {
			return nil, errors.New("trust: publishers: two have one ID")
		}
		records = append(records, Record{s.Publisher, timeOf(s.Created), s.By, scope})
	}
	return records, nil
}

func storedOf(records []Record) (list []stored) {
	for _, r := range records {
		list = append(list, stored{r.Publisher, r.Created.UnixMicro(), r.CreatedBy})
	}
	return list
}

// find returns the index of the record with this ID, or -1.
func find(records []Record, id string) int {
	return slices.IndexFunc(records, func(r Record) bool { return r.ID == id })
}

// putRow writes a row of publishers, or deletes it if it has none. If it would be longer than most bytes, it is
// ErrTooMany.
func putRow[T any](ctx context.Context, tx *store.Tx, table *store.Table[T], id string, next T, none bool, most int) error {
	if none {
		if err := table.Delete(ctx, tx, id); err != nil {
			return fmt.Errorf("trust: publishers: %w", err)
		}
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("trust: publishers: %w", err)
	}
	if len(text) > most {
		return ErrTooMany
	}
	_, err = table.Upsert(ctx, tx, id, func(r *T, _ bool) error {
		*r = next
		return nil
	})
	if err != nil {
		return fmt.Errorf("trust: publishers: %w", err)
	}
	return nil
}
