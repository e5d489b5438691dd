package store

import (
	"context"
	"errors"
	"time"
)

// A Revision numbers the writes of a store. A key that is absent has revision
// 0; a present one has a positive revision that is never used again for that
// key, not even after it was deleted and created anew.
type Revision int64

// Preconditions that are not a revision seen before.
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
	Revision Revision  // 0: the key is absent, and the rest is empty
	Expires  time.Time // zero: never
}

// Exists reports whether the key was present.
func (it Item) Exists() bool { return it.Revision != Absent }

// An Op is one step of a Commit.
type Op struct {
	Key     string
	At      Revision // the revision the key must have
	Action  Action
	Value   []byte    // with Put; nil is a present, empty value
	Expires time.Time // with Put; a hint for deletion, zero: never
}

// Errors that backends return, possibly wrapped.
var (
	// ErrConflict means that a precondition did not hold and nothing was written.
	ErrConflict = errors.New("store: conflict")
	// ErrUnknown means that a Commit may or may not have happened.
	ErrUnknown = errors.New("store: outcome unknown")
	// ErrInvalid means that a call broke the limits of the contract; nothing was
	// read or written.
	ErrInvalid = errors.New("store: invalid")
)

// A Reader reads. Both [Store] and [Tx] are one.
type Reader interface {
	Get(ctx context.Context, keys ...string) ([]Item, error)
	List(ctx context.Context, prefix, after string, limit int) ([]Item, error)
}

// A Store keeps everything that npmauth owns.
type Store interface {
	Reader
	Commit(ctx context.Context, ops ...Op) (Revision, error)
}
