package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/npmauth/npmauth/store"
)

// watching is a Memory that is watched in another way.
func watching(
	watch func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error,
) func() store.Store {
	return func() store.Store { return &bent{Memory: memory(), watch: watch} }
}

// spoiled watches with changes that spoil may modify. It omits those for which spoil returns
// false.
func spoiled(spoil func(m *store.Memory, call int, c *store.Change) bool) func() store.Store {
	return watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
		call := 0
		return m.Watch(ctx, every, func(c store.Change) {
			if spoil(m, call, &c) {
				changed(c)
			}
			call++
		})
	})
}

func exists(m *store.Memory, key string) bool {
	items, err := m.Get(context.Background(), key)
	return err == nil && items[0].Exists()
}

// A teller reports keys to its watches itself, as a backend does that reports its own Commits
// instead of the stored changes.
type teller struct {
	*store.Memory
	commit func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error)
	mu     sync.Mutex
	told   []chan string // guarded by mu
	alone  bool          // a second handle has watches of its own
}

func (t *teller) second() store.Store {
	if t.alone {
		return &teller{Memory: t.Memory, commit: t.commit}
	}
	return t
}

func (t *teller) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	return t.commit(t, ctx, ops...)
}

// tell reports the keys of ops, and of checks too if they are wanted.
func (t *teller) tell(ops []store.Op, checks bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, op := range ops {
		for _, told := range t.told {
			if checks || !isCheck(op) {
				told <- op.Key
			}
		}
	}
}

func (t *teller) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	if every <= 0 {
		return store.ErrInvalid
	}
	told := make(chan string, 1<<16)
	t.mu.Lock()
	t.told = append(t.told, told)
	t.mu.Unlock()
	changed(store.Change{Seen: time.Now()})
	for ctx.Err() == nil {
		c := store.Change{Seen: time.Now()}
		for len(told) > 0 {
			c.Keys = append(c.Keys, <-told)
		}
		changed(c)
		time.Sleep(every / 4)
	}
	return ctx.Err()
}

// watchFlaws break the rules of a Watcher.
var watchFlaws = []flaw{
	{"the first call comes with the first news", []string{"watch begins at once"},
		spoiled(func(_ *store.Memory, call int, _ *store.Change) bool { return call > 0 })},
	{"the first call tells what there is", []string{"watch begins at once"},
		spoiled(func(m *store.Memory, call int, c *store.Change) bool {
			if call == 0 {
				items, _ := m.List(context.Background(), "", "", store.MaxLimit)
				c.Keys = keysOf(items)
			}
			return true
		})},
	{"every may be anything", []string{"watch refuses"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			return m.Watch(ctx, max(every, beat), changed)
		})},
	{"deletions are not reported", []string{"watch reports what is written", "watch reports what is swept"},
		spoiled(func(m *store.Memory, _ int, c *store.Change) bool {
			var keys []string
			for _, key := range c.Keys {
				if exists(m, key) {
					keys = append(keys, key)
				}
			}
			c.Keys = keys
			return true
		})},
	{"checks are reported", []string{"watch reports what is written"}, func() store.Store {
		return &teller{Memory: memory(), commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := t.Memory.Commit(ctx, ops...)
			if err == nil {
				t.tell(ops, true)
			}
			return rev, err
		}}
	}},
	{"only the handle's own commits are reported", []string{
		"second handle, watch reports what is written", "second handle, watch under load",
	}, func() store.Store {
		return &teller{Memory: memory(), alone: true, commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := t.Memory.Commit(ctx, ops...)
			if err == nil {
				t.tell(ops, false)
			}
			return rev, err
		}}
	}},
	{"reported before it is written", []string{"watch reports what can be read", "second handle, watch reports what can be read"}, func() store.Store {
		return &teller{Memory: memory(), commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			t.tell(ops, false)
			time.Sleep(beat / 4)
			return t.Memory.Commit(ctx, ops...)
		}}
	}},
	{"reported once it has returned", []string{"watch under load"}, func() store.Store {
		return &teller{Memory: memory(), commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := t.Memory.Commit(ctx, ops...)
			if err == nil {
				time.AfterFunc(3*time.Millisecond, func() { t.tell(ops, false) })
			}
			return rev, err
		}}
	}},
	{"what ended in an unknown outcome is not reported", []string{"watch under load"}, func() store.Store {
		return &teller{Memory: memory(), commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			rev, err := t.Memory.Commit(context.WithoutCancel(ctx), ops...)
			if pause(); err == nil && ctx.Err() != nil {
				return 0, errors.Join(store.ErrUnknown, ctx.Err())
			}
			if err == nil {
				t.tell(ops, false)
			}
			return rev, err
		}}
	}},
	{"silence while nothing happens", []string{"watch goes on while nothing happens"},
		spoiled(func(_ *store.Memory, call int, c *store.Change) bool { return call == 0 || len(c.Keys) > 0 })},
	{"Seen stands still", []string{"watch goes on while nothing happens"}, func() store.Store {
		seen := time.Now()
		return spoiled(func(_ *store.Memory, _ int, c *store.Change) bool { c.Seen = seen; return true })()
	}},
	{"Seen is ahead of the clock", []string{"watch goes on while nothing happens"},
		spoiled(func(_ *store.Memory, _ int, c *store.Change) bool { c.Seen = c.Seen.Add(time.Minute); return true })},
	{"Seen goes back", []string{"watch goes on while nothing happens"},
		spoiled(func(_ *store.Memory, call int, c *store.Change) bool {
			c.Seen = c.Seen.Add(-time.Duration(call%2) * time.Second)
			return true
		})},
	{"Seen is the time of the call", []string{"watch under load", "second handle, watch under load"},
		spoiled(func(_ *store.Memory, call int, c *store.Change) bool {
			if call > 0 {
				pause() // what returns meanwhile is not in it
			}
			c.Seen = time.Now()
			return true
		})},
	{"the first Seen is before the beginning", []string{"watch under load"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			seen, call := time.Now(), 0
			time.Sleep(beat)
			return m.Watch(ctx, every, func(c store.Change) {
				if call == 0 {
					c.Seen = seen
				}
				call++
				changed(c)
			})
		})},
	{"a watch does not end", []string{"watch ends with its context"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			return m.Watch(ctx, every, changed)
		})},
	{"a watch ends without its context's error", []string{"watch ends with its context"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			_ = m.Watch(ctx, every, changed)
			return errors.New("closed")
		})},
	{"reports after the end", []string{"watch ends with its context"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			err := m.Watch(ctx, every, changed)
			time.AfterFunc(beat/2, func() { changed(store.Change{Seen: time.Now()}) })
			return err
		})},
	{"the end of one watch is the end of all", []string{"watch ends with its context"}, func() store.Store {
		var all atomic.Pointer[context.CancelFunc]
		return watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			mine, cancel := context.WithCancel(ctx)
			defer cancel()
			if !all.CompareAndSwap(nil, &cancel) {
				defer func() { (*all.Load())() }()
			}
			return m.Watch(mine, every, changed)
		})()
	}},
	{"what a slow listener leaves is dropped", []string{"watch with a slow listener"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			queue := make(chan store.Change, 4)
			var calls sync.WaitGroup
			calls.Go(func() {
				for c := range queue {
					changed(c)
				}
			})
			err := m.Watch(ctx, every, func(c store.Change) {
				select {
				case queue <- c:
				default:
				}
			})
			close(queue)
			calls.Wait()
			return err
		})},
	{"two calls at once", []string{"watch with a slow listener"},
		watching(func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error {
			var calls sync.WaitGroup
			defer calls.Wait()
			return m.Watch(ctx, every, func(c store.Change) { calls.Go(func() { changed(c) }) })
		})},
	{"a commit waits for the listeners", []string{"watch with a slow listener"}, func() store.Store {
		return &teller{Memory: memory(), commit: func(t *teller, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := t.Memory.Commit(ctx, ops...)
			if err == nil {
				t.tell(ops, false)
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			for _, told := range t.told {
				for len(told) > 0 {
					if pause(); ctx.Err() != nil {
						return 0, ctx.Err()
					}
				}
			}
			return rev, err
		}}
	}},
}
