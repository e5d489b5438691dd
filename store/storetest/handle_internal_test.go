package storetest

import (
	"context"
	"errors"
	"slices"

	"github.com/npmauth/npmauth/store"
)

// A handle is one of several on a Memory, each with state of its own, as that of a process. Its
// methods are called with the lock of the handle.
type handle struct {
	*store.Memory
	lock   chan struct{} // a channel: whoever waits for it lets a bubble's clock go on
	get    func(h *handle, ctx context.Context, keys ...string) ([]store.Item, error)
	commit func(h *handle, ctx context.Context, ops ...store.Op) (store.Revision, error)

	items map[string]store.Item // what it remembers
}

func newHandle(h handle) *handle {
	if h.Memory == nil {
		h.Memory = store.NewMemory()
	}
	h.lock, h.items = make(chan struct{}, 1), map[string]store.Item{}
	return &h
}

func (h *handle) second() store.Store {
	return newHandle(handle{Memory: h.Memory, get: h.get, commit: h.commit})
}

func (h *handle) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if h.get == nil {
		return h.Memory.Get(ctx, keys...)
	}
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	return h.get(h, ctx, keys...)
}

func (h *handle) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if h.commit == nil {
		return h.Memory.Commit(ctx, ops...)
	}
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	return h.commit(h, ctx, ops...)
}

// blindly does ops once their preconditions were true, without a second check.
func blindly(m *store.Memory, ctx context.Context, ops []store.Op) (store.Revision, error) {
	blind := slices.Clone(ops)
	for i, op := range ops {
		it, err := m.Get(ctx, op.Key)
		if err != nil {
			return 0, err
		}
		if op.At != store.Any && op.At != it[0].Revision {
			return 0, store.ErrConflict
		}
		blind[i].At = store.Any
	}
	pause()
	return without(m, ctx, blind, isCheck)
}

// A counted is a handle on items whose revisions it counts itself.
type counted struct {
	*perKey
	last store.Revision // guarded by perKey.mu
}

func (c *counted) second() store.Store { return openCounted(c.perKey) }

// openCounted counts on after the highest revision that it finds.
func openCounted(p *perKey) *counted {
	c := &counted{perKey: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.items {
		c.last = max(c.last, it.Revision)
	}
	return c
}

func (c *counted) Commit(_ context.Context, ops ...store.Op) (store.Revision, error) {
	return c.commit(ops, func(store.Item) store.Revision { c.last++; return c.last })
}

// handleFlaws are those that only a second handle shows.
var handleFlaws = []flaw{
	{"the lock is the handle's own", []string{
		"second handle, one winner", "second handle, write skew", "second handle, write skew on present keys",
		"second handle, no lost update", "second handle, mixed load", "second handle, what is expected holds",
	}, func() store.Store {
		return newHandle(handle{commit: func(h *handle, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return blindly(h.Memory, ctx, ops)
		}})
	}},
	{"a handle remembers what it read", []string{"second handle reads what was committed"}, func() store.Store {
		return newHandle(handle{get: func(h *handle, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := h.Memory.Get(ctx, keys...)
			for i, it := range items {
				if had, ok := h.items[it.Key]; ok {
					items[i] = had
				}
				h.items[it.Key] = items[i]
			}
			return items, err
		}, commit: func(h *handle, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			clear(h.items)
			return h.Memory.Commit(ctx, ops...)
		}})
	}},
	{"reads take the handle's own lock", []string{"second handle, get is of one moment"}, func() store.Store {
		return newHandle(handle{get: func(h *handle, ctx context.Context, keys ...string) ([]store.Item, error) {
			var items []store.Item
			for _, key := range keys {
				it, err := h.Memory.Get(ctx, key)
				if err != nil {
					return nil, err
				}
				items = append(items, it...)
				pause()
			}
			return items, nil
		}, commit: func(h *handle, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return h.Memory.Commit(ctx, ops...)
		}})
	}},
	{"a large commit is written in parts", []string{"large commits that overlap", "second handle, large commits that overlap"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (rev store.Revision, err error) {
			for part := range slices.Chunk(ops, 8) {
				if rev, err = m.Commit(ctx, part...); err != nil {
					return 0, err
				}
				pause()
			}
			return rev, err
		}}
	}},
	{"a deadlock is the caller's to mend", []string{"second handle, large commits that overlap"}, func() store.Store {
		return newHandle(handle{commit: func(h *handle, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if len(ops) > 1 && ops[0].Key > ops[len(ops)-1].Key {
				return 0, errors.New("deadlock detected")
			}
			return h.Memory.Commit(ctx, ops...)
		}})
	}},
	{"revisions are counted on from what is there", []string{"second handle opened later, revisions"}, func() store.Store {
		return openCounted(&perKey{items: map[string]store.Item{}})
	}},
	{"there is a handle that lags", []string{"second handle reads what was committed", "second handle, mixed load"}, func() store.Store {
		return newHandle(handle{get: func(h *handle, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := h.Memory.Get(ctx, keys...)
			for i, it := range items {
				had, ok := h.items[it.Key]
				h.items[it.Key] = it
				if ok {
					items[i] = had
				}
			}
			return items, err
		}})
	}},
}
