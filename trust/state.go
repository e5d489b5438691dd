package trust

import (
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A State is what the tokens of the publishers of a package depend on, or of a scope, or of what a user has pending for a
// name. No token is alive in the zero State.
type State struct {
	// Evidence names the rows that the State was read from, at the revisions read. A commit that depends on a
	// token that is alive must expect that they have not changed: see [store.Tx.Expect].
	Evidence []store.Evidence

	id       protocol.PackageID // or else scope
	scope    string
	records  []Record
	everyone uint64

	// Of what a user has pending for a name.
	name    protocol.PackageName
	user    subject.Subject
	pending []Pending
}

// StateKeys returns the keys that the [State] of a package's own publishers is decoded from: that of its publishers, and that
// of the row of all accounts.
func StateKeys(id protocol.PackageID) []string {
	return []string{PublishersKey(id), subject.EveryoneKey()}
}

// DecodeState returns the State of a package's own publishers from the items of its [StateKeys], in that order and of one
// Get. A row that cannot be decoded is an error, and not a package without publishers.
func DecodeState(id protocol.PackageID, items []store.Item) (State, error) {
	if id == "" {
		return State{}, errNoID
	}
	s, err := decodeState(PublishersKey(id), items, Package{ID: id}.open)
	if err == nil {
		s.id = id
	}
	return s, err
}

// ScopeStateKeys is [StateKeys] for the publishers of a scope, a name without @.
func ScopeStateKeys(scope string) []string {
	return []string{ScopeKey(scope), subject.EveryoneKey()}
}

// DecodeScopeState is [DecodeState] for the publishers of a scope, of whatever organization.
func DecodeScopeState(scope string, items []store.Item) (State, error) {
	if !protocol.ValidOrg(scope) {
		return State{}, errNoScope
	}
	s, err := decodeState(ScopeKey(scope), items, func(it store.Item) ([]Record, error) {
		_, records, err := openScope(it)
		return records, err
	})
	if err == nil {
		s.scope = scope
	}
	return s, err
}

func decodeState(key string, items []store.Item, open func(store.Item) ([]Record, error)) (State, error) {
	if len(items) != 2 || items[0].Key != key {
		return State{}, errors.New("trust: the items are not those of the keys of this package or scope")
	}
	records, err := open(items[0])
	if err != nil {
		return State{}, err
	}
	everyone, err := subject.EveryoneNumber(items[1])
	if err != nil {
		return State{}, fmt.Errorf("trust: %w", err)
	}
	return State{Evidence: []store.Evidence{items[0].Evidence(), items[1].Evidence()}, records: records, everyone: everyone}, nil
}

// kindOfTokens is the kind of the credentials of tokens.
const kindOfTokens = policy.KindPublisher

// PendingKeys returns the keys that the [State] of what a user has pending for a name is decoded from: that of the name
// and those of the user's [subject.Subject].
func PendingKeys(name protocol.PackageName, user protocol.UserID) []string {
	return append([]string{PendingKey(name)}, subject.Keys(user)...)
}

// DecodePending returns the State of what a user has pending for a name from the items of its [PendingKeys], in that order
// and of one Get. A row that cannot be decoded is an error.
func DecodePending(name protocol.PackageName, user protocol.UserID, items []store.Item) (State, error) {
	if name.IsZero() || user == "" {
		return State{}, errors.New("trust: what is pending has a name and a user")
	}
	if len(items) < 1 || items[0].Key != PendingKey(name) {
		return State{}, errors.New("trust: the items are not those of the keys of this name")
	}
	all, err := openPending(items[0])
	if err != nil {
		return State{}, err
	}
	of, err := subject.Decode(user, items[1:])
	if err != nil {
		return State{}, fmt.Errorf("trust: %w", err)
	}
	s := State{Evidence: append([]store.Evidence{items[0].Evidence()}, of.Evidence...), name: name, user: of}
	for _, p := range all {
		if p.CreatedBy == user {
			s.pending = append(s.pending, p)
		}
	}
	return s, nil
}

// counts reports whether p, which is the user's, is not dead: the user is not disabled, and their credentials were not
// all revoked since it was added. The caller checks when it expires.
func (s State) counts(p Pending) bool {
	return s.user.ID != "" && !s.user.Disabled && p.CreatedBy == s.user.ID && p.Numbers == numbersOf(s.user)
}

// Alive reports whether t is not revoked: its publisher is there, and the credentials of all accounts were not revoked
// since it was created. Of one that creates its package the publisher is pending and no ID token was exchanged for another
// one since, and its user is not disabled and has not had all credentials revoked since the publisher was added. The caller
// checks when it expires.
func (s State) Alive(t Token) bool {
	if t.PackageID == "" {
		i := findPending(s.pending, t.Publisher)
		return i >= 0 && t.Owner != "" && t.Owner == s.user.ID && t.Package == s.name && s.pending[i].Token == t.ID && s.counts(s.pending[i])
	}
	if t.Everyone != s.everyone || find(s.records, t.Publisher) < 0 {
		return false
	}
	if t.Scope != "" {
		return t.Scope == s.scope && t.Scope == t.Package.Scope
	}
	return s.id != "" && t.PackageID == s.id
}
