package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SweepGrace is how long after its expiry an item is kept at least, so that clocks that differ
// by less delete nothing that a reader still accepts.
const SweepGrace = time.Hour

// A Sweeper is a [Store] that can find its expired items. Optional: find it with [As]. A store
// that deletes them by itself needs no Sweeper.
//
// It sweeps the whole engine, also outside a [Sub]: the meaning of Item.Expires is the same for
// all programs that share it.
type Sweeper interface {
	// Sweep deletes items that expired before the given time, and by the store's own clock at
	// least [SweepGrace] ago. It deletes each through Commit at the revision read, and leaves
	// those that change meanwhile. It reads at most limit items (at least 1) and returns how
	// many it deleted, also together with an error.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)
}

// Purge deletes those of items that still have the revision they were read at, and returns how
// many. Backends implement [Sweeper] with it.
func Purge(ctx context.Context, s Store, items []Item) (int, error) {
	deleted := 0
	for chunk := range slices.Chunk(items, MaxOps) {
		ops := make([]Op, len(chunk))
		for i, it := range chunk {
			if !it.Exists() {
				return deleted, fmt.Errorf("%w: an absent item cannot be purged", ErrInvalid)
			}
			ops[i] = Op{Key: it.Key, At: it.Revision, Action: Delete}
		}
		_, err := s.Commit(ctx, ops...)
		if err == nil {
			deleted += len(ops)
			continue
		}
		if !conflict(err) {
			return deleted, err
		}
		for _, op := range ops { // one has changed; the others may be deleted
			_, err := s.Commit(ctx, op)
			if err == nil {
				deleted++
			} else if !conflict(err) {
				return deleted, err
			}
		}
	}
	return deleted, nil
}

// conflict reports whether a Commit with this error certainly wrote nothing
// because of a precondition.
func conflict(err error) bool {
	return errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknown)
}

// Sweep implements [Sweeper]. It reads every item of m.
func (m *Memory) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: a sweep has a limit of at least 1, not %d", ErrInvalid, limit)
	}
	if cutoff := time.Now().Add(-SweepGrace); cutoff.Before(before) {
		before = cutoff
	}
	var expired []Item
	m.mu.RLock()
	for _, it := range m.items {
		if len(expired) == limit {
			break
		}
		if !it.Expires.IsZero() && it.Expires.Before(before) {
			expired = append(expired, Item{Key: it.Key, Revision: it.Revision})
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(expired, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	return Purge(ctx, m, expired)
}
