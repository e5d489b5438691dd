package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// How often Transact runs its function, and how long it waits in between: a
// random time below a bound that doubles from backoffMin to backoffMax.
const (
	maxRuns    = 24
	backoffMin = time.Millisecond
	backoffMax = 128 * time.Millisecond
)

// A Tx is one run of the function given to [Transact]: what it reads becomes a
// precondition of the Commit, what it writes waits for the Commit. It is a
// [Reader], so what reads from a [Store] can read from a Tx.
//
// A Tx belongs to one goroutine and to one run of its function. A write
// through a Tx whose function has returned would be lost and panics.
type Tx struct {
	s      Store
	rerun  bool            // an earlier run ended in a conflict
	seen   map[string]Item // by Get
	listed map[string]Revision
	writes []Op // one per key; Create is At Absent
	moment int  // how many times the store was read
	torn   bool // two reads contradict each other: run again
	err    error
	over   bool
}

// Transact runs fn and then makes one Commit of all that fn read and wrote
// through its Tx: all of it happens, or nothing does, and nothing that fn read
// with Get has changed in between. If something has, fn runs again, with a Tx
// that reads anew, a bounded number of times with random waits in between; after
// the last one the error wraps [ErrConflict].
//
// So fn may run several times and must have no effect except through its Tx:
// events and mail come after Transact returned nil. What must stand even when
// fn fails, such as the count of an attempt, is a Commit of its own before.
//
// If fn returns an error, nothing is committed and Transact returns that error
// as it is. It rests on what fn read, which nothing has proven to be of one
// moment: good enough to refuse, never to allow. An error that wraps
// [ErrUnknown] means that the Commit may have happened; it is not run again,
// since it could then happen twice.
//
// Reads and writes together are at most [MaxOps] keys. A function that only
// read, and asked the store once, needs no Commit and makes none.
func Transact(ctx context.Context, s Store, fn func(tx *Tx) error) error {
	var tx *Tx
	for run := range maxRuns {
		if run > 0 {
			if err := pause(ctx, run); err != nil {
				return fmt.Errorf("store: between two runs after a conflict: %w", err)
			}
		}
		tx = &Tx{s: s, rerun: run > 0}
		err := tx.run(ctx, fn)
		if err == nil || !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("%w: still after %d runs", ErrConflict, maxRuns)
}

// errAgain ends a run that may be repeated. It never leaves this package.
var errAgain = errors.New("store: run again")

func (tx *Tx) run(ctx context.Context, fn func(tx *Tx) error) error {
	err := func() error {
		defer func() { tx.over = true }()
		return fn(tx)
	}()
	if tx.torn {
		return errAgain
	}
	if err == nil {
		err = tx.err
	}
	if err != nil {
		return err
	}
	if err := tx.lookAtCreates(ctx); err != nil {
		return err
	}
	ops := tx.ops()
	if len(ops) == 0 || len(tx.writes) == 0 && tx.moment == 1 {
		return nil
	}
	_, err = tx.s.Commit(ctx, ops...)
	if conflict(err) {
		return errAgain
	}
	return err
}

// lookAtCreates tells a key that exists from a conflict elsewhere. Commit does
// not say which, and to look before the first Commit would cost every creation
// a read.
func (tx *Tx) lookAtCreates(ctx context.Context) error {
	if !tx.rerun {
		return nil
	}
	var keys []string
	for i := range tx.writes {
		if op := &tx.writes[i]; op.Action == Put && op.At == Absent {
			if _, ok := tx.seen[op.Key]; !ok {
				keys = append(keys, op.Key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	items, err := tx.s.Get(ctx, keys...)
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.Exists() {
			return ErrExists
		}
	}
	return nil
}

// ops returns the writes, and a check of every key that was only read.
func (tx *Tx) ops() []Op {
	ops := slices.Clone(tx.writes)
	for k, it := range tx.seen {
		if tx.write(k) == nil {
			ops = append(ops, Op{Key: k, At: it.Revision})
		}
	}
	return ops
}

// Get implements [Reader]. Each key is read from the store once in a run, and
// its revision, also that of an absent key, becomes a precondition. A key that
// the Tx has written reads as it was written, with revision [Any].
func (tx *Tx) Get(ctx context.Context, keys ...string) ([]Item, error) {
	tx.mustRun()
	if err := ValidateKeys(keys...); err != nil {
		return nil, err
	}
	var ask []string
	for _, k := range keys {
		if !tx.knows(k) && !slices.Contains(ask, k) {
			ask = append(ask, k)
		}
	}
	if len(ask) > 0 {
		items, err := tx.s.Get(ctx, ask...)
		if err != nil {
			return nil, err
		}
		if len(items) != len(ask) {
			return nil, fmt.Errorf("store: a get of %d keys returned %d items", len(ask), len(items))
		}
		tx.moment++
		if tx.seen == nil {
			tx.seen = make(map[string]Item, len(items))
		}
		for _, it := range items {
			tx.seen[it.Key] = it
		}
	}
	items := make([]Item, len(keys))
	for i, k := range keys {
		op := tx.write(k)
		switch {
		case op == nil:
			items[i] = tx.seen[k]
			items[i].Value = slices.Clone(items[i].Value)
		case op.Action == Put:
			items[i] = Item{Key: k, Value: slices.Clone(op.Value), Revision: Any, Expires: op.Expires}
		default:
			items[i] = Item{Key: k}
		}
	}
	return items, nil
}

// List implements [Reader]. It reads what is committed, not what this Tx has
// written, and nothing of it becomes a precondition: keys may appear and vanish
// before the Commit. A limit on how many there are is therefore kept in a row
// of its own, and an item that matters is read with Get. An item that was
// listed and then written without Get is written at the revision listed.
func (tx *Tx) List(ctx context.Context, prefix, after string, limit int) ([]Item, error) {
	tx.mustRun()
	items, err := tx.s.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	tx.moment++
	if tx.listed == nil {
		tx.listed = make(map[string]Revision, len(items))
	}
	for _, it := range items {
		tx.listed[it.Key] = it.Revision
	}
	return items, nil
}

// Put sets key to value, at the revision that this Tx read, or at any if it
// read none. A nil value is a present, empty one. The Tx keeps value until the
// Commit: it must not be changed. For expires see [Item].
func (tx *Tx) Put(key string, value []byte, expires time.Time) {
	tx.set(Op{Key: key, At: tx.at(key), Action: Put, Value: value, Expires: expires})
}

// Create sets key to value if the key is absent, without reading it first. If
// the key turns out to be present, or this Tx has read or written it as
// present, Transact returns an error that wraps [ErrExists].
func (tx *Tx) Create(key string, value []byte, expires time.Time) {
	at := Absent
	if op := tx.write(key); op != nil {
		if op.Action == Put {
			tx.fail(ErrExists)
			return
		}
		at = op.At // deleted before in this Tx: together they replace
	} else if tx.seen[key].Exists() {
		tx.fail(ErrExists)
		return
	}
	tx.set(Op{Key: key, At: at, Action: Put, Value: value, Expires: expires})
}

// Delete removes key, at the revision that this Tx read, or at any if it read
// none. To delete an absent key is not an error.
func (tx *Tx) Delete(key string) {
	tx.set(Op{Key: key, At: tx.at(key), Action: Delete})
}

func (tx *Tx) at(key string) Revision {
	if op := tx.write(key); op != nil {
		return op.At
	}
	if it, ok := tx.seen[key]; ok {
		return it.Revision
	}
	if rev, ok := tx.listed[key]; ok {
		return rev
	}
	return Any
}

func (tx *Tx) set(op Op) {
	tx.mustRun()
	if have := tx.write(op.Key); have != nil {
		*have = op
		return
	}
	tx.writes = append(tx.writes, op)
}

// write returns the pending write of key, or nil. There are at most MaxOps
// that can be committed, so a scan is quicker than a map.
func (tx *Tx) write(key string) *Op {
	for i := range tx.writes {
		if tx.writes[i].Key == key {
			return &tx.writes[i]
		}
	}
	return nil
}

// knows reports whether key can be read without asking the store.
func (tx *Tx) knows(key string) bool {
	_, ok := tx.seen[key]
	return ok || tx.write(key) != nil
}

func (tx *Tx) fail(err error) {
	tx.mustRun()
	if tx.err == nil {
		tx.err = err
	}
}

func (tx *Tx) mustRun() {
	if tx.over {
		panic("store: Tx used after its function returned")
	}
}

// pause waits before the run-th run.
func pause(ctx context.Context, run int) error {
	bound := min(backoffMin<<min(run-1, 10), backoffMax)
	t := time.NewTimer(rand.N(bound)) // jitter, not a secret
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
