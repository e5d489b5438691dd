package store

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

// Memory is a [Store] in the memory of this process: for tests, and for trials that may lose
// everything. It never fails except for a cancelled context or a call outside the limits.
type Memory struct {
	mu    sync.RWMutex
	items map[string]Item // guarded by mu
	keys  order           // the keys of items; guarded by mu
	last  Revision        // guarded by mu

	watchers map[*memoryWatch]struct{} // guarded by mu
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{items: make(map[string]Item)}
}

// Get implements [Reader].
func (m *Memory) Get(ctx context.Context, keys ...string) ([]Item, error) {
	if err := ValidateKeys(keys...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	items := make([]Item, len(keys))
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i, k := range keys {
		items[i] = m.item(k)
	}
	return items, nil
}

// List implements [Reader].
func (m *Memory) List(ctx context.Context, prefix, after string, limit int) ([]Item, error) {
	if err := ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var items []Item
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.keys.from(max(prefix, after), func(k string) bool {
		if !strings.HasPrefix(k, prefix) {
			return false
		}
		if k != after {
			items = append(items, m.item(k))
		}
		return len(items) < limit
	})
	return items, nil
}

// item returns a copy of the item of key. The caller has locked mu.
func (m *Memory) item(key string) Item {
	it, ok := m.items[key]
	if !ok {
		return Item{Key: key}
	}
	it.Value = bytes.Clone(it.Value)
	return it
}

// Commit implements [Store].
func (m *Memory) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	if err := Validate(ops...); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range ops {
		if at := ops[i].At; at != Any && at != m.items[ops[i].Key].Revision {
			return 0, ErrConflict
		}
	}
	var rev Revision
	for i := range ops {
		switch op := &ops[i]; op.Action {
		case Put:
			if rev == 0 {
				m.last++
				rev = m.last
			}
			it := Item{Key: op.Key, Value: append([]byte{}, op.Value...), Revision: rev}
			if !op.Expires.IsZero() {
				it.Expires = op.Expires.UTC().Truncate(time.Microsecond)
			}
			m.items[op.Key] = it
			m.keys.add(op.Key)
		case Delete:
			delete(m.items, op.Key)
			m.keys.remove(op.Key)
		}
	}
	for w := range m.watchers {
		w.add(ops)
	}
	return rev, nil
}
