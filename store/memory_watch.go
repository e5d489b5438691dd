package store

import (
	"context"
	"fmt"
	"time"
)

// maxPending bounds how many keys may wait for a slow watcher.
const maxPending = 1 << 16 // keys

// A memoryWatch is one call of [Memory.Watch].
type memoryWatch struct {
	keys   []string // not yet reported; guarded by the Memory's mu
	behind bool     // keys were dropped; guarded by the Memory's mu
	wake   chan struct{}
}

// add adds the keys that ops write. The caller has locked the Memory's mu.
func (w *memoryWatch) add(ops []Op) {
	for i := range ops {
		if ops[i].Action == Check {
			continue
		}
		if len(w.keys) == maxPending {
			w.behind = true
			break
		}
		w.keys = append(w.keys, ops[i].Key)
	}
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Watch implements [Watcher].
func (m *Memory) Watch(ctx context.Context, every time.Duration, changed func(Change)) error {
	if every <= 0 {
		return fmt.Errorf("%w: a watch that reports every %s", ErrInvalid, every)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &memoryWatch{wake: make(chan struct{}, 1)}
	m.mu.Lock()
	if m.watchers == nil {
		m.watchers = make(map[*memoryWatch]struct{})
	}
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
	}()
	// Only after w is registered: a value that a cache reads after this moment must not change
	// unreported.
	changed(Change{Seen: time.Now()})

	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		case <-tick.C:
		}
		seen := time.Now() // before the read: what returned by now is in it
		m.mu.Lock()
		keys, behind := w.keys, w.behind
		w.keys = nil
		m.mu.Unlock()
		if behind {
			return ErrBehind
		}
		changed(Change{Keys: keys, Seen: seen})
	}
}
