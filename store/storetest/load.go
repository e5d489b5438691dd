package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// mixedLoad lets goroutines read a few common keys, and put, delete and check them at the
// revisions read. Their results must be consistent: every value belongs to a Commit that
// succeeded, under the revision that it returned; no revision of a key was followed by two
// writes, and none was read once the Commit that followed it had returned.
func mixedLoad(t tb, e env) {
	handles := e.handles()
	l := &ledger{
		revisions: map[string]store.Revision{}, lost: map[string]bool{},
		seen: map[string]map[store.Revision]bool{}, writes: map[keyAt]int{}, deletes: map[string]int{}, over: map[keyAt]int{},
	}
	var fns []func() error
	for g := range 8 {
		s := handles[g%len(handles)]
		r := rand.New(rand.NewPCG(1, uint64(g)))
		fns = append(fns, func() error {
			for i := range e.rounds(60) {
				if err := l.step(t.Context(), s, r, fmt.Sprintf("%d/%d", g, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, err := range race(fns...) {
		require.NoError(t, err)
	}
	last, err := handles[0].List(t.Context(), "m/", "", store.MaxLimit)
	require.NoError(t, err)
	require.NoError(t, l.saw(last, l.commits))

	for value, revisions := range l.seen {
		assert.False(t, l.lost[value], "the Commit of %q ended in a conflict and wrote", value)
		assert.Equal(t, map[store.Revision]bool{l.revisions[value]: true}, revisions,
			"the revisions of %q, and the one that its Commit returned", value)
	}
	for w, n := range l.writes {
		most := 1
		if w.at == store.Absent {
			most += l.deletes[w.key]
		}
		assert.LessOrEqual(t, n, most, "writes of %s at revision %d", w.key, w.at)
	}
	for _, it := range last {
		assert.Zero(t, l.writes[keyAt{it.Key, it.Revision}], "%s is at revision %d, which was overwritten", it.Key, it.Revision)
	}
	require.NotEmpty(t, l.revisions, "no Commit succeeded")
}

type keyAt struct {
	key string
	at  store.Revision
}

// A ledger is the results of the goroutines of mixedLoad. A value names its Commit.
type ledger struct {
	mu        sync.Mutex                         // guards the rest
	revisions map[string]store.Revision          // of the Commits that succeeded and put something, by their value
	lost      map[string]bool                    // the Commits that ended in a conflict
	seen      map[string]map[store.Revision]bool // what was read
	writes    map[keyAt]int                      // those that succeeded, except deletions of absent keys
	deletes   map[string]int                     // how often a key may have been deleted
	commits   int                                // how many have returned
	over      map[keyAt]int                      // which of them ended the revision
}

// returned returns how many commits have returned.
func (l *ledger) returned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commits
}

// saw notes the items of a read that began when so many commits had returned.
func (l *ledger) saw(items []store.Item, began int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range items {
		if !it.Exists() {
			continue
		}
		value := string(it.Value)
		if l.seen[value] == nil {
			l.seen[value] = map[store.Revision]bool{}
		}
		l.seen[value][it.Revision] = true
		if by, ok := l.over[keyAt{it.Key, it.Revision}]; ok && by <= began {
			return fmt.Errorf("a stale read: %s was at revision %d, and no longer when the read began", it.Key, it.Revision)
		}
	}
	return nil
}

// step reads three of the keys and commits ops on them.
func (l *ledger) step(ctx context.Context, s store.Store, r *rand.Rand, value string) error {
	var keys []string
	for _, i := range r.Perm(6)[:3] {
		keys = append(keys, fmt.Sprint("m/", i))
	}
	began := l.returned()
	items, err := s.Get(ctx, keys...)
	if err != nil {
		return err
	}
	if err := l.saw(items, began); err != nil {
		return err
	}
	if r.IntN(4) == 0 {
		began := l.returned()
		listed, err := s.List(ctx, "m/", "", store.MaxLimit)
		if err != nil {
			return err
		}
		if err := l.saw(listed, began); err != nil {
			return err
		}
	}
	ops := []store.Op{put(items[0].Key, value, items[0].Revision)}
	for _, it := range items[1:] {
		switch r.IntN(5) {
		case 0:
			ops = append(ops, check(it.Key, it.Revision))
		case 1:
			ops = append(ops, del(it.Key, it.Revision))
		case 2:
			ops = append(ops, put(it.Key, value, store.Any))
		default:
			ops = append(ops, put(it.Key, value, it.Revision))
		}
	}
	rev, err := s.Commit(ctx, ops...)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, store.ErrConflict):
		l.lost[value] = true
		return nil
	case err != nil:
		return err
	}
	l.revisions[value] = rev
	l.commits++
	for _, op := range ops {
		if op.Action == store.Check || op.At == store.Any || op.Action == store.Delete && op.At == store.Absent {
			continue
		}
		w := keyAt{op.Key, op.At}
		l.writes[w]++
		if op.Action == store.Delete {
			l.deletes[op.Key]++
		}
		if op.At != store.Absent {
			l.over[w] = l.commits
		}
	}
	return nil
}
