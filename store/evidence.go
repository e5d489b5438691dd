package store

import (
	"context"
	"fmt"
	"slices"
)

// Evidence is a key with the revision at which a caller read it, or its absence (revision 0),
// and on which a [Tx] depends. It is small and has no value, so that a cache can keep it beside
// a decoded record.
type Evidence struct {
	Key      string
	Revision Revision
}

// Evidence returns the key and revision of it, for [Tx.Expect]. An item that a Tx has written
// itself is no evidence: it is not committed.
func (it Item) Evidence() Evidence { return Evidence{Key: it.Key, Revision: it.Revision} }

// A ChangedError is what [Transact] returns if a key given to [Tx.Expect] does not have the
// revision expected. It wraps [ErrConflict]: nothing was written. The caller must read and
// decide anew, and may then call Transact with other evidence.
//
// The message does not quote the key, which may contain what a person typed.
type ChangedError struct {
	Key string // a key that has changed
}

// Error returns a message without the key.
func (e *ChangedError) Error() string { return ErrConflict.Error() + ": an expected row has changed" }

// Unwrap returns [ErrConflict].
func (e *ChangedError) Unwrap() error { return ErrConflict }

// Expect makes evidence a precondition of the Commit: it happens only if each key then has its
// revision. So a decision that was made before Transact, on rows read from the same Store at
// whatever moment, also from a cache, is still valid when the writes are committed.
//
// In the first run that costs no call of the store: the Commit checks. Only if it ends in a
// conflict are the rows read, in one Get before fn is rerun. If a row has changed, Transact
// returns a [*ChangedError] at once; otherwise there was another conflict and fn is rerun, and
// its Get returns these rows without another call of the store. Later runs of the same Transact
// expect what earlier runs expect, too.
//
// A key may be expected and read or written in the same Tx, in any order. A write is then made
// at the revision expected. Evidence that contradicts what this Tx read, or other evidence, is
// a conflict: the next run finds out what has changed. An error that fn returns takes
// precedence and is returned unchanged.
//
// Transact with a fn that expects something and writes nothing makes a Commit of checks alone.
// Evidence with a key that no store accepts, or a revision that is negative ([Any] is
// negative), makes Transact return an error that wraps [ErrInvalid].
func (tx *Tx) Expect(evidence ...Evidence) {
	tx.mustRun()
	for _, e := range evidence {
		if err := validKey(e.Key); err != nil {
			tx.fail(fmt.Errorf("%w: evidence: %s", ErrInvalid, err))
		} else if e.Revision < 0 {
			tx.fail(fmt.Errorf("%w: evidence at revision %d", ErrInvalid, e.Revision))
		} else if !slices.Contains(tx.expected, e) {
			tx.expect(e)
		}
	}
}

// expect adds e and reconciles it with what the Tx knows of its key.
func (tx *Tx) expect(e Evidence) {
	_, twice := tx.expects(e.Key)
	it, seen := tx.seen[e.Key]
	// Added even if it contradicts: verify then finds which of the two is wrong.
	tx.expected = append(tx.expected, e)
	if twice || seen && it.Revision != e.Revision {
		tx.stale = true
		return
	}
	op := tx.write(e.Key)
	switch {
	case op == nil || op.At == e.Revision:
	case op.At == Any:
		op.At = e.Revision
	case op.At == Absent: // by Create
		tx.fail(ErrExists)
	default: // as it was listed
		tx.stale = true
	}
}

// verify reads what earlier runs expected and returns a ChangedError if it has changed. In the
// first run there is nothing to read.
func (tx *Tx) verify(ctx context.Context) error {
	if len(tx.expected) == 0 {
		return nil
	}
	var keys []string
	for _, e := range tx.expected {
		if !slices.Contains(keys, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	if err := tx.read(ctx, keys); err != nil {
		return err
	}
	for _, e := range tx.expected {
		if tx.seen[e.Key].Revision != e.Revision {
			return &ChangedError{Key: e.Key}
		}
	}
	return nil
}

// expects returns the revision that key is expected to have, if any is.
func (tx *Tx) expects(key string) (Revision, bool) {
	for i := range tx.expected {
		if tx.expected[i].Key == key {
			return tx.expected[i].Revision, true
		}
	}
	return 0, false
}

func (tx *Tx) expectsPresent(key string) bool {
	rev, ok := tx.expects(key)
	return ok && rev != Absent
}
