package trust

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A Scope is a scope and the organization that has its name, to which the publishers of all its packages belong. Both are
// required.
type Scope struct {
	Name string // without @
	// Org is the ID of the organization. One that is deleted and created anew under the name has another, and so has
	// none of the publishers of the former one.
	Org protocol.OrgID
}

var errNoScope = errors.New("trust: a scope needs a name, which is without @, and the ID of its organization to have publishers")

func (s Scope) validate() error {
	if !protocol.ValidOrg(s.Name) || s.Org == "" {
		return errNoScope
	}
	return nil
}

// scopeRow has the publishers of a scope.
type scopeRow struct {
	Scope      string         `json:"scope"`
	Org        protocol.OrgID `json:"organization"`
	Publishers []stored       `json:"publishers"` // oldest first
}

var scopes = store.NewTable("trust-scope", 1, func(r *scopeRow) string { return r.Scope })

// ScopeKey returns the key of the row that has the publishers of a scope, for caches. The scope is a name without @.
func ScopeKey(scope string) string { return scopes.Key(scope) }

// ScopeOf returns the scope whose publishers have this key. It is false for any other key.
func ScopeOf(key string) (string, bool) { return scopes.ID(key) }

// ScopePublishers returns the publishers of a scope, oldest first, read from r: none of an organization that had the name
// before. A nil r means the Manager's own store.
func (m *Manager) ScopePublishers(ctx context.Context, r store.Reader, s Scope) ([]Record, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	return read(ctx, store.ReaderOr(r, m.store), s)
}

// openScope decodes a row of a scope. An absent one has neither an organization nor publishers, and one that cannot be
// decoded is an error.
func openScope(it store.Item) (protocol.OrgID, []Record, error) {
	r, err := scopes.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("trust: publishers: %w", err)
	}
	if r.Org == "" {
		return "", nil, errors.New("trust: publishers: the row of a scope lacks its organization")
	}
	records, err := openStored(r.Publishers, r.Scope)
	return r.Org, records, err
}

func (s Scope) key() string { return ScopeKey(s.Name) }

func (s Scope) open(it store.Item) ([]Record, error) {
	org, records, err := openScope(it)
	if err != nil || org != s.Org {
		return nil, err
	}
	return records, nil
}

func (s Scope) put(ctx context.Context, tx *store.Tx, records []Record, most int) error {
	return putRow(ctx, tx, scopes, s.Name, scopeRow{s.Name, s.Org, storedOf(records)}, len(records) == 0, most)
}

func (s Scope) tell(e *audit.Event) { e.Detail["scope"] = s.Name }

func (s Scope) scope() Scope { return s }

// endFormer removes what an organization has set up that had the name of s before. It counts for nothing since.
func (m *Manager) endFormer(ctx context.Context, tx *store.Tx, by audit.Actor, s Scope) error {
	org, records, err := readScope(ctx, tx, s.Name)
	if err != nil || org == s.Org {
		return err
	}
	_, err = m.removeAll(ctx, tx, by, Scope{s.Name, org}, records, "another-organization")
	return err
}

func readScope(ctx context.Context, r store.Reader, scope string) (protocol.OrgID, []Record, error) {
	items, err := r.Get(ctx, ScopeKey(scope))
	if err != nil {
		return "", nil, fmt.Errorf("trust: publishers: %w", err)
	}
	return openScope(items[0])
}

// RemoveScopeTx removes, in the caller's commit, all publishers of the scope of that name, whatever organization set them
// up, and returns how many. Without any it does nothing. The reason is a word for the event, "" for none.
func (m *Manager) RemoveScopeTx(ctx context.Context, tx *store.Tx, by audit.Actor, scope, reason string) (int, error) {
	if !protocol.ValidOrg(scope) {
		return 0, errNoScope
	}
	org, records, err := readScope(ctx, tx, scope)
	if err != nil {
		return 0, err
	}
	return m.removeAll(ctx, tx, by, Scope{scope, org}, records, reason)
}
