package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A Record is a publisher that a package has. Its JSON is that of the Publisher alone.
type Record struct {
	Publisher
	Created   time.Time
	CreatedBy protocol.UserID // "" is the operator
}

// row has all publishers of a package, so that one read finds those that match and one revision says whether
// they are the same.
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
	return read(ctx, store.ReaderOr(r, m.store), id)
}

func read(ctx context.Context, r store.Reader, id protocol.PackageID) ([]Record, error) {
	items, err := r.Get(ctx, PublishersKey(id))
	if err != nil {
		return nil, fmt.Errorf("trust: publishers: %w", err)
	}
	return openRow(items[0])
}

// openRow decodes a row of publishers. An absent one has none, and one that cannot be decoded is an error.
func openRow(it store.Item) ([]Record, error) {
	r, err := publishers.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trust: publishers: %w", err)
	}
	if len(r.Publishers) == 0 { // such a row is deleted
		return nil, errors.New("trust: publishers: the row has none")
	}
	records := make([]Record, 0, len(r.Publishers))
	for _, s := range r.Publishers {
		if s.Publisher.ID == "" || s.Publisher.Issuer == "" || s.Created <= 0 {
			return nil, errors.New("trust: publishers: one lacks its ID, issuer or time")
		}
		if find(records, s.Publisher.ID) >= 0 {
			return nil, errors.New("trust: publishers: two have one ID")
		}
		records = append(records, Record{s.Publisher, timeOf(s.Created), s.By})
	}
	return records, nil
}

// find returns the index of the record with this ID, or -1.
func find(records []Record, id string) int {
	return slices.IndexFunc(records, func(r Record) bool { return r.ID == id })
}

// put writes the publishers of a package, or deletes the row if there are none. If the row would be longer than most
// bytes, it is ErrTooMany.
func put(ctx context.Context, tx *store.Tx, id protocol.PackageID, records []Record, most int) error {
	if len(records) == 0 {
		if err := publishers.Delete(ctx, tx, string(id)); err != nil {
			return fmt.Errorf("trust: publishers: %w", err)
		}
		return nil
	}
	next := row{Package: id}
	for _, r := range records {
		next.Publishers = append(next.Publishers, stored{r.Publisher, r.Created.UnixMicro(), r.CreatedBy})
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("trust: publishers: %w", err)
	}
	if len(text) > most {
		return ErrTooMany
	}
	_, err = publishers.Upsert(ctx, tx, string(id), func(r *row, _ bool) error {
		*r = next
		return nil
	})
	if err != nil {
		return fmt.Errorf("trust: publishers: %w", err)
	}
	return nil
}
