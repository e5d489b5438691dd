package store

import (
	"context"
	"errors"
	"time"
)

// A Revision numbers the writes of a store. A key that is absent has revision 0; a present one
// has a positive revision that is never reused for that key, not even after it was deleted and
// created anew. Revisions are compared for equality only: a higher one need not be younger.
type Revision int64

// Preconditions that are not a revision read before.
const (
	Absent Revision = 0  // the key must not exist: the zero value
	Any    Revision = -1 // no precondition
)

// An Action is what an [Op] does if every precondition of its Commit holds.
type Action uint8

// The actions. The zero value changes nothing.
const (
	Check Action = iota
	Put
	Delete
)

// An Item is one key with its value as it was read.
type Item struct {
	Key      string
	Value    []byte
	Revision Revision // 0: the key is absent, and the rest is empty

	// Expires is a hint: from an hour after this time on, the store may delete the item by
	// itself. Until it does, the item exists and is read like any other, so a caller that
	// depends on the time compares it. Zero means never. A store keeps it to the microsecond,
	// cutting off the rest.
	Expires time.Time
}

// Exists reports whether the key was present.
func (it Item) Exists() bool { return it.Revision != Absent }

// An Op is one step of a Commit.
type Op struct {
	Key     string
	At      Revision // the revision the key must have
	Action  Action
	Value   []byte    // with Put; nil is a present, empty value
	Expires time.Time // with Put; see [Item]
}

// Errors that backends return, possibly wrapped. Any other error of a Commit, also that of a
// cancelled context, means that nothing was written.
var (
	// ErrConflict means that a precondition did not hold and nothing was written.
	ErrConflict = errors.New("store: conflict")
	// ErrUnknown means that a Commit may or may not have happened, or may still happen. Do not
	// repeat it blindly; read the rows to learn what happened.
	ErrUnknown = errors.New("store: outcome unknown")
	// ErrInvalid means that a call broke the limits of the contract; nothing was read or
	// written.
	ErrInvalid = errors.New("store: invalid")
)

// ReaderOr returns r, or own if r is nil or a nil [*Tx]: for a method that reads through a
// transaction where its caller has one, and from its own store elsewhere.
func ReaderOr(r, own Reader) Reader {
	if tx, ok := r.(*Tx); r == nil || ok && tx == nil {
		return own
	}
	return r
}

// A Reader is the part of a [Store] that reads. Both Store and [Tx] implement it.
//
// The results of a Reader belong to the caller, who may change them.
type Reader interface {
	// Get returns one item per key, in the order of keys; an absent key gives
	// an item with that key and revision 0. All of them are read at one moment.
	// At most 100 keys, each of 1 to 512 bytes of printable ASCII; anything else
	// is ErrInvalid (see ValidateKeys).
	Get(ctx context.Context, keys ...string) ([]Item, error)

	// List returns the items whose key begins with prefix ("" lists all) and
	// comes after the key after ("" begins with the first; it need not exist),
	// in byte order of their keys, limit of them or as many as there are. A
	// page is read at one moment; two pages are not. The limit is 1 to 100;
	// anything else is ErrInvalid (see ValidateList).
	List(ctx context.Context, prefix, after string, limit int) ([]Item, error)
}

// A Store stores everything that npmauth owns. It is safe for concurrent use.
//
// A Store is linearizable, on every node and through every handle on the same data: a read that
// begins after a Commit returned sees it. A cache, a lagging replica or a snapshot of the last
// minute is not a Store, because a revoked credential would stay valid in it.
//
// A call that runs longer than its context ends with the context's error, possibly wrapped; so does
// one whose context was over before it began, which does nothing. An Item that comes with an error
// must not be used.
type Store interface {
	Reader

	// Commit does all of ops or nothing. It happens only if every key has the revision that its
	// Op requires, else the error wraps ErrConflict. A Check takes part like a write: no other
	// Commit comes between it and the rest, also if its key is absent. So two Commits that each
	// check what the other writes never both succeed (no write skew). A Commit of nothing but
	// Checks is allowed, and so is a Delete of a key that is absent.
	//
	// Commit returns the revision of every item that it put, or 0 if it put none. The caller
	// may reuse Value once Commit has returned. When it returns nil the write is as durable as
	// the backend promises and visible to every read from then on.
	//
	// If a Commit was sent and its outcome is not known, because the connection broke or the
	// context ended, the error wraps ErrUnknown and never ErrConflict.
	//
	// There are 1 to 64 ops, no two with the same key, values up to 64 KiB (see Validate for
	// this and what else is ErrInvalid).
	//
	// A store deletes expired items through Commit too, at the revision that it has read: a
	// bare deletion in the background would break the Checks of other Commits.
	Commit(ctx context.Context, ops ...Op) (Revision, error)
}

// As returns s, or the first store below its wrappers, that is a T: an optional interface such as
// [Sweeper].
func As[T any](s Store) (T, bool) {
	for {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(interface{ Unwrap() Store })
		if !ok {
			var none T
			return none, false
		}
		s = w.Unwrap()
	}
}
