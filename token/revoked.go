package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A ClassicKind is what a token of npm's older kinds was for. Its text is npm's word. The zero
// value is an older token of which nothing more is known.
type ClassicKind uint8

// The kinds of classic tokens, until 2025.
const (
	Classic           ClassicKind = iota // any of them
	ClassicReadOnly                      // installed packages
	ClassicPublish                       // did everything, with a second factor
	ClassicAutomation                    // published without one, from CI
)

var classicWords = words.List{"classic", "read-only", "publish", "automation"}

// String returns the kind's text.
func (k ClassicKind) String() string { return classicWords.Text(uint8(k), "ClassicKind") }

// MarshalText returns the kind's text, or an error for a number that is no kind.
func (k ClassicKind) MarshalText() ([]byte, error) {
	return classicWords.Marshal(uint8(k), "ClassicKind")
}

// UnmarshalText sets k to the kind of that text. A text that names none is an error.
func (k *ClassicKind) UnmarshalText(text []byte) error {
	v, err := classicWords.Parse(text, "kind of a classic token")
	*k = ClassicKind(v)
	return err
}

// A Revoked is a token of another time or registry that is revoked for good: what a client that
// presents it is told.
type Revoked struct {
	// Digest is the SHA-256 of the token as it is presented, prefix and all: [credential.Sum] of
	// a plain value, [credential.ParseDigest] of 64 hex digits. No other hash is found by what
	// is presented.
	Digest credential.Digest
	Kind   ClassicKind
	// At is when it was revoked. Required.
	At time.Time
}

// ErrLive means that a token to import as revoked is a live one of this registry.
var ErrLive = errors.New("token: live in this registry")

// revokedRecord is a Revoked as it is stored. It has no expiry and nothing deletes it.
type revokedRecord struct {
	Digest credential.Digest `json:"digest"`
	Kind   ClassicKind       `json:"kind"`
	At     int64             `json:"at"` // microseconds since 1970
}

var revoked = store.NewTable("revoked", 1, func(r *revokedRecord) string { return r.Digest.String() })

// RevokedKey returns the store's key of the [Revoked] with the digest d.
func RevokedKey(d credential.Digest) string { return revoked.Key(d.String()) }

// DigestOfRevoked returns the digest in a key that [RevokedKey] returned, and false for any other
// key.
func DigestOfRevoked(key string) (credential.Digest, bool) {
	id, ok := revoked.ID(key)
	if !ok {
		return credential.Digest{}, false
	}
	d, err := credential.ParseDigest(id)
	return d, err == nil
}

// OpenRevoked decodes the item that the store has under a [RevokedKey]. An absent one is
// [store.ErrNotFound]: the token was not imported. Any other error may be one that was.
func OpenRevoked(it store.Item) (Revoked, error) {
	r, err := revoked.Decode(it)
	if err != nil {
		return Revoked{}, err
	}
	return Revoked{Digest: r.Digest, Kind: r.Kind, At: timeOf(r.At)}, nil
}

// importBatch is how many tokens one commit of ImportRevoked adds. Each has two rows that are read,
// and a third, its account's, if it is a dead one of this registry; one more is of all accounts, and
// the event may be a row, too. A commit has at most [store.MaxOps].
const importBatch = store.MaxOps / 4

// ImportRevoked records tokens that were revoked elsewhere, such as the classic tokens that a
// registry had before npmauth, and returns how many were added. Nothing takes one back: whoever
// presents it is refused and told when it was revoked and what to use, before any other record
// and before the host's own table is asked. A program that verifies with [Open] reads
// [RevokedKey], too; [Manager.Verify] does.
//
// What was imported before keeps its date and kind, so an import that was interrupted, or
// failed, is run again with all of them. A digest of a live token of this registry is [ErrLive],
// with its ID: a list should not have it. Revoke it first, or take it from the list; those before
// it are imported. Sessions are not compared: package npmauth refuses one in the list like the
// rest, and a session.Manager by itself does not read the list.
//
// A backup of the store from before the import does not have them: import again after it is
// restored.
func (m *Manager) ImportRevoked(ctx context.Context, by audit.Actor, list iter.Seq[Revoked]) (added int, err error) {
	batch := make([]Revoked, 0, importBatch)
	flush := func() error {
		n, err := m.addRevoked(ctx, by, batch)
		batch, added = batch[:0], added+n
		return err
	}
	for r := range list {
		switch {
		case r.Digest.IsZero():
			err = errors.New("a token without its digest")
		case r.At.UnixMicro() <= 0:
			err = errors.New("a token without the time of its revocation")
		case int(r.Kind) >= len(classicWords):
			err = fmt.Errorf("%v is no kind", r.Kind)
		case slices.ContainsFunc(batch, func(other Revoked) bool { return other.Digest == r.Digest }):
			continue
		default:
			if batch = append(batch, r); len(batch) == importBatch {
				err = flush()
			}
		}
		if err != nil {
			return added, fmt.Errorf("token: import revoked: %w", err)
		}
	}
	if err := flush(); err != nil {
		return added, fmt.Errorf("token: import revoked: %w", err)
	}
	return added, nil
}

// addRevoked adds those of list that are not there, in one commit, and returns how many.
func (m *Manager) addRevoked(ctx context.Context, by audit.Actor, list []Revoked) (added int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	var keys []string
	for _, r := range list {
		keys = append(keys, RevokedKey(r.Digest), KeyOf(r.Digest))
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		added = 0
		items, err := tx.Get(ctx, keys...)
		if err != nil {
			return err
		}
		for i, r := range list {
			switch _, err := OpenRevoked(items[2*i]); {
			case err == nil:
				continue
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
			if err := m.notLive(ctx, tx, items[2*i+1], r.Digest); err != nil {
				return err
			}
			if err := revoked.Insert(ctx, tx, &revokedRecord{r.Digest, r.Kind, r.At.UnixMicro()}); err != nil {
				return err
			}
			added++
		}
		if added == 0 {
			return nil
		}
		return m.tell(ctx, tx, by, audit.Event{Type: audit.TokensImported, Detail: map[string]string{"tokens": strconv.Itoa(added)}})
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// notLive returns [ErrLive] if it, which was read under KeyOf d, is the token of that digest and
// may still be valid, perhaps once its account is enabled.
func (m *Manager) notLive(ctx context.Context, tx *store.Tx, it store.Item, d credential.Digest) error {
	_, _, err := Open(it, d)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	r, err := tokens.Decode(it)
	if err != nil {
		return err
	}
	sub, err := subject.Get(ctx, tx, r.User)
	if err != nil {
		return err
	}
	switch _, err := m.owned(it, sub); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s", ErrLive, r.id())
}
