package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// How often Transact runs its function, and how long it waits between runs: a random time below
// a bound that doubles from backoffMin to backoffMax.
const (
	maxRuns    = 24
	backoffMin = time.Millisecond
	backoffMax = 128 * time.Millisecond
)

// A Tx is one run of the function given to [Transact]: what it reads or expects becomes a
// precondition of the Commit, and its writes wait for the Commit. It is a [Reader], so code
// that reads from a [Store] can read from a Tx.
//
// A Tx belongs to one goroutine and to one run of its function. A write through a Tx whose
// function has returned would be lost and panics.
type Tx struct {
	s        Store
	rerun    bool            // an earlier run ended in a conflict
	seen     map[string]Item // by Get, and in a rerun by verify
	listed   map[string]Revision
	expected []Evidence // also that of earlier runs
	writes   []Op       // one per key; Create is At Absent
	moment   int        // how many times the store was read
	torn     bool       // two reads contradict each other: a new run is needed
	stale    bool       // evidence contradicts what the Tx has read: a new run is needed
	err      error
	over     bool
	after    []func(Outcome)
	result   Result // so far; Unknown while the Commit is on its way
}

// Transact runs fn and then makes one Commit of all that fn read and wrote through its Tx: all
// of it happens, or nothing does, and nothing that fn read with Get has changed in between. If
// something has, fn is rerun with a new Tx, a bounded number of times with random waits in
// between; after the last run the error wraps [ErrConflict].
//
// With [Tx.Expect] the same applies to rows that were read before Transact. If they have
// changed, fn is not rerun: Transact returns a [*ChangedError], because the caller must decide
// anew.
//
// So fn may run several times and must have no effect except through its Tx: events and mail
// come after the end, with [Tx.After]. A write that must happen even if fn fails, such as the
// count of an attempt, is a Commit of its own before.
//
// If fn returns an error, nothing is committed and Transact returns that error unchanged. It
// may depend on reads of several moments: that suffices to refuse, never to allow. An error
// that wraps [ErrUnknown] means that the Commit may have happened; Transact does not repeat it,
// since it could then happen twice.
//
// The keys that are read, expected and written are at most [MaxOps] together. A function that
// only read, with one call of the store, needs no Commit and makes none.
func Transact(ctx context.Context, s Store, fn func(tx *Tx) error) error {
	last := new(Tx) // the last run of fn
	err := errNoReturn
	defer func() { last.tell(err) }() // in a panic, too
	err = transact(ctx, s, fn, &last)
	return err
}

func transact(ctx context.Context, s Store, fn func(tx *Tx) error, last **Tx) error {
	var expected []Evidence
	for run := range maxRuns {
		if run > 0 {
			if err := pause(ctx, run); err != nil {
				return fmt.Errorf("store: between two runs after a conflict: %w", err)
			}
		}
		tx := &Tx{s: s, rerun: run > 0, expected: expected}
		if err := tx.verify(ctx); err != nil {
			return err
		}
		*last = tx
		if err := tx.run(ctx, fn); !errors.Is(err, errRerun) {
			return err
		}
		expected = tx.expected
	}
	return fmt.Errorf("%w: still after %d runs", ErrConflict, maxRuns)
}

// errRerun ends a run that may be repeated. It never leaves this package.
var errRerun = errors.New("store: rerun needed")

func (tx *Tx) run(ctx context.Context, fn func(tx *Tx) error) error {
	err := func() error {
		defer func() { tx.over = true }()
		return fn(tx)
	}()
	switch {
	case tx.torn:
		return errRerun
	case err != nil:
		return err
	case tx.stale:
		return errRerun
	case tx.err != nil:
		return tx.err
	}
	if err := tx.readCreates(ctx); err != nil {
		return err
	}
	ops := tx.ops()
	// Expected rows were read at another moment, and only a Commit checks both together.
	if len(ops) == 0 || len(tx.writes) == 0 && len(tx.expected) == 0 && tx.moment == 1 {
		tx.result = Committed
		return nil
	}
	tx.result = Unknown // if Commit panics
	_, err = tx.s.Commit(ctx, ops...)
	tx.result = resultOf(err)
	if conflict(err) {
		return errRerun
	}
	return err
}

// readCreates distinguishes a key that exists from another conflict. Commit does not say
// which it is, and a read before the first Commit would cost every creation. A key that is
// expected to be absent is left to the Commit: it changed.
func (tx *Tx) readCreates(ctx context.Context) error {
	if !tx.rerun {
		return nil
	}
	var keys []string
	for i := range tx.writes {
		if op := &tx.writes[i]; op.Action == Put && op.At == Absent {
			_, seen := tx.seen[op.Key]
			if _, expected := tx.expects(op.Key); !seen && !expected {
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

// ops returns the writes, and a check of every key that was only read or expected.
func (tx *Tx) ops() []Op {
	ops := slices.Clone(tx.writes)
	for k, it := range tx.seen {
		if tx.write(k) == nil {
			ops = append(ops, Op{Key: k, At: it.Revision})
		}
	}
	for _, e := range tx.expected {
		if !tx.knows(e.Key) {
			ops = append(ops, Op{Key: e.Key, At: e.Revision})
		}
	}
	return ops
}

// Get implements [Reader]. Each key is read from the store once in a run, and its revision,
// also that of an absent key, becomes a precondition. A key that the Tx has written is read as
// it was written, with revision [Any].
func (tx *Tx) Get(ctx context.Context, keys ...string) ([]Item, error) {
	if tx == nil {
		return nil, errNoTx
	}
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
		if err := tx.read(ctx, ask); err != nil {
			return nil, err
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

// read reads keys that the Tx has not read yet.
func (tx *Tx) read(ctx context.Context, keys []string) error {
	items, err := tx.s.Get(ctx, keys...)
	if err != nil {
		return err
	}
	if len(items) != len(keys) {
		return fmt.Errorf("store: a get of %d keys returned %d items", len(keys), len(items))
	}
	tx.moment++
	if tx.seen == nil {
		tx.seen = make(map[string]Item, len(items))
	}
	for _, it := range items {
		tx.seen[it.Key] = it
		if at, ok := tx.expects(it.Key); ok && at != it.Revision {
			tx.stale = true
		}
	}
	return nil
}

// List implements [Reader]. It reads what is committed, not what this Tx has written, and adds
// no precondition: keys may appear and vanish before the Commit. So keep a limit on a number of
// rows in a row of its own, and read an item that matters with Get. An item that was listed and
// then written without Get or Expect is written at the revision listed.
func (tx *Tx) List(ctx context.Context, prefix, after string, limit int) ([]Item, error) {
	if tx == nil {
		return nil, errNoTx
	}
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

// Put sets key to value, at the revision that this Tx read or expects, or at any if there is
// none. A nil value is a present, empty one. The Tx keeps value until the Commit: it must not
// be changed. For expires see [Item].
func (tx *Tx) Put(key string, value []byte, expires time.Time) {
	tx.set(Op{Key: key, At: tx.at(key), Action: Put, Value: value, Expires: expires})
}

// Create sets key to value if the key is absent, without reading it first. If the key is
// present, or this Tx has read or written it as present or expects it to be, Transact returns
// an error that wraps [ErrExists].
func (tx *Tx) Create(key string, value []byte, expires time.Time) {
	at := Absent
	if op := tx.write(key); op != nil {
		if op.Action == Put {
			tx.fail(ErrExists)
			return
		}
		at = op.At // deleted before in this Tx: together they replace
	} else if tx.seen[key].Exists() || tx.expectsPresent(key) {
		tx.fail(ErrExists)
		return
	}
	tx.set(Op{Key: key, At: at, Action: Put, Value: value, Expires: expires})
}

// Delete removes key, at the revision that this Tx read or expects, or at any if
// there is none. To delete an absent key is not an error.
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
	if rev, ok := tx.expects(key); ok {
		return rev
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

// write returns the pending write of key, or nil. There are at most MaxOps writes, so a scan is
// quicker than a map.
func (tx *Tx) write(key string) *Op {
	for i := range tx.writes {
		if tx.writes[i].Key == key {
			return &tx.writes[i]
		}
	}
	return nil
}

// knows reports whether key can be read without a call of the store.
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

// errNoTx is the error of a nil Tx that is read or inserted through, as every change of a
// [Table] is.
var errNoTx = fmt.Errorf("%w: the Tx is nil; only Transact makes one", ErrInvalid)

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
