package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// recorder is a tb that records a failure.
type recorder struct {
	tb
	mu       sync.Mutex
	failures []string // guarded by mu
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) FailNow()    { runtime.Goexit() } // always after Errorf
func (r *recorder) Skip(...any) { r.Errorf("skipped"); runtime.Goexit() }

// failuresOf runs the case with this name on the store that open returns, and returns its
// failures. A store with a method second has more than one handle.
func failuresOf(t *testing.T, name string, patience time.Duration, open func() store.Store) []string {
	t.Helper()
	i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == name })
	require.GreaterOrEqual(t, i, 0, "no case %q", name)
	var failures []string
	run := func(t *testing.T) {
		r := &recorder{tb: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			e := env{s: open(), maxKey: store.MaxKey, patience: patience}
			if cases[i].second {
				e.reopen = func() store.Store {
					if s, ok := e.s.(interface{ second() store.Store }); ok {
						return s.second()
					}
					return e.s
				}
				e.other = e.reopen()
			}
			cases[i].run(r, e)
		}()
		<-done
		failures = r.failures
	}
	if cases[i].waits {
		synctest.Test(t, run)
	} else {
		run(t)
	}
	return failures
}

// bent is a Memory with one method replaced.
type bent struct {
	*store.Memory
	get    func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error)
	list   func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error)
	commit func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error)
	sweep  func(m *store.Memory, ctx context.Context, before time.Time, limit int) (int, error)
	watch  func(m *store.Memory, ctx context.Context, every time.Duration, changed func(store.Change)) error
}

func (b *bent) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if b.get != nil {
		return b.get(b.Memory, ctx, keys...)
	}
	return b.Memory.Get(ctx, keys...)
}

func (b *bent) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if b.list != nil {
		return b.list(b.Memory, ctx, prefix, after, limit)
	}
	return b.Memory.List(ctx, prefix, after, limit)
}

func (b *bent) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if b.commit != nil {
		return b.commit(b.Memory, ctx, ops...)
	}
	return b.Memory.Commit(ctx, ops...)
}

func (b *bent) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if b.sweep != nil {
		return b.sweep(b.Memory, ctx, before, limit)
	}
	return b.Memory.Sweep(ctx, before, limit)
}

func (b *bent) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	if b.watch != nil {
		return b.watch(b.Memory, ctx, every, changed)
	}
	return b.Memory.Watch(ctx, every, changed)
}

// without drops the ops for which drop returns true, as if they had succeeded.
func without(m *store.Memory, ctx context.Context, ops []store.Op, drop func(store.Op) bool) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	kept := slices.DeleteFunc(slices.Clone(ops), drop)
	if len(kept) == 0 {
		return 0, ctx.Err()
	}
	return m.Commit(ctx, kept...)
}

// pause gives concurrent goroutines the chance to get as far as this. A flaw needs it to strike
// once in many rounds.
func pause() { time.Sleep(time.Millisecond) }

// perKey counts revisions per key, beginning anew after a deletion.
type perKey struct {
	mu    sync.Mutex
	items map[string]store.Item // guarded by mu
}

func (p *perKey) Get(_ context.Context, keys ...string) ([]store.Item, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items []store.Item
	for _, k := range keys {
		it := p.items[k]
		it.Key = k
		items = append(items, it)
	}
	return items, nil
}

func (p *perKey) List(context.Context, string, string, int) ([]store.Item, error) { return nil, nil }

func (p *perKey) Commit(_ context.Context, ops ...store.Op) (store.Revision, error) {
	return p.commit(ops, func(it store.Item) store.Revision { return it.Revision + 1 })
}

// commit does ops, each at the revision that next makes of what was there.
func (p *perKey) commit(ops []store.Op, next func(store.Item) store.Revision) (store.Revision, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range ops {
		if op.At != store.Any && op.At != p.items[op.Key].Revision {
			return 0, store.ErrConflict
		}
	}
	var rev store.Revision
	for _, op := range ops {
		switch op.Action {
		case store.Put:
			rev = next(p.items[op.Key])
			p.items[op.Key] = store.Item{Value: op.Value, Revision: rev}
		case store.Delete:
			delete(p.items, op.Key)
		}
	}
	return rev, nil
}

func isCheck(op store.Op) bool { return op.Action == store.Check }

var memory = store.NewMemory

type flaw struct {
	flaw  string
	cases []string
	open  func() store.Store
}

// flaws breaks each rule of the contract on purpose, and names the cases that must notice.
var flaws = []flaw{
	{"it can neither sweep nor watch", []string{"abilities are as told"}, func() store.Store {
		return &perKey{items: map[string]store.Item{}}
	}},
	{"checks of absent keys are lost", []string{"preconditions", "all or nothing", "check-only commits", "write skew on absent keys", "second handle, write skew", "what is expected holds"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return without(m, ctx, ops, func(op store.Op) bool {
				it, _ := m.Get(ctx, op.Key)
				return isCheck(op) && (op.At == store.Absent || !it[0].Exists())
			})
		}}
	}},
	{"checks are made before the lock is taken", []string{"write skew on absent keys", "write skew on present keys", "checks hold against deletion", "what is expected holds"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			for _, op := range ops {
				if !isCheck(op) {
					continue
				}
				if _, err := m.Commit(ctx, op); err != nil {
					return 0, err
				}
			}
			pause()
			return without(m, ctx, ops, isCheck)
		}}
	}},
	{"check-only commits are refused", []string{"check-only commits"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if !slices.ContainsFunc(ops, func(op store.Op) bool { return !isCheck(op) }) {
				return 0, store.ErrInvalid
			}
			return m.Commit(ctx, ops...)
		}}
	}},
	{"a commit stops in the middle", []string{"all or nothing", "mixed load"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (rev store.Revision, err error) {
			for _, op := range ops {
				if rev, err = m.Commit(ctx, op); err != nil {
					break
				}
			}
			return rev, err
		}}
	}},
	{"the last op is lost now and then", []string{"transfers keep the sum"}, func() store.Store {
		var n atomic.Int32
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if len(ops) == 2 && n.Add(1)%7 == 0 {
				ops = ops[:1]
			}
			return m.Commit(ctx, ops...)
		}}
	}},
	{"revisions begin anew", []string{"revisions are never used again", "second handle, revisions"}, func() store.Store {
		return &perKey{items: map[string]store.Item{}}
	}},
	{"preconditions are read, then written without", []string{"many writers, one winner", "many creators, one winner", "no lost update", "mixed load"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return blindly(m, ctx, ops)
		}}
	}},
	{"commit returns no revision", []string{"revision returned by commit"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			_, err := m.Commit(ctx, ops...)
			return 0, err
		}}
	}},
	{"an empty value deletes", []string{"nil value is present"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i := range items {
				if len(items[i].Value) == 0 {
					items[i] = store.Item{Key: keys[i]}
				}
			}
			return items, err
		}}
	}},
	{"values are text", []string{"bytes survive"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i := range items {
				items[i].Value = []byte(strings.ToValidUTF8(string(items[i].Value), "?"))
			}
			return items, err
		}}
	}},
	{"values are the store's", []string{"values are not aliased"}, func() store.Store {
		kept := map[string]store.Item{}
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i, it := range items {
				if had, ok := kept[it.Key]; ok && had.Revision == it.Revision {
					items[i] = had
				}
				kept[it.Key] = items[i]
			}
			return items, err
		}}
	}},
	{"absent keys are left out", []string{"get in the order asked", "empty store"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			return slices.DeleteFunc(items, func(it store.Item) bool { return !it.Exists() }), err
		}}
	}},
	{"keys are read one after the other", []string{"get is of one moment"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			var items []store.Item
			for _, k := range keys {
				it, err := m.Get(ctx, k)
				if err != nil {
					return nil, err
				}
				items = append(items, it...)
				pause()
			}
			return items, nil
		}}
	}},
	{"a page is read in halves", []string{"list page has no phantoms", "second handle, list page has no phantoms"}, func() store.Store {
		return &bent{Memory: memory(), list: func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
			items, err := m.List(ctx, prefix, after, (limit+1)/4)
			if err != nil || len(items) < (limit+1)/4 || len(items) == limit {
				return items, err
			}
			pause()
			rest, err := m.List(ctx, prefix, items[len(items)-1].Key, limit-len(items))
			return append(items, rest...), err
		}}
	}},
	{"a page is read item by item", []string{"list page is of one moment"}, func() store.Store {
		return &bent{Memory: memory(), list: func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
			items, err := m.List(ctx, prefix, after, limit)
			for i, it := range items {
				pause()
				now, _ := m.Get(ctx, it.Key)
				items[i] = now[0]
			}
			return items, err
		}}
	}},
	{"case does not matter in lists", []string{"list in byte order"}, func() store.Store {
		return &bent{Memory: memory(), list: func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
			items, err := m.List(ctx, prefix, after, limit)
			slices.SortStableFunc(items, func(a, b store.Item) int {
				return strings.Compare(strings.ToLower(a.Key), strings.ToLower(b.Key))
			})
			return items, err
		}}
	}},
	{"the prefix is a pattern", []string{"list takes a prefix literally"}, func() store.Store {
		return &bent{Memory: memory(), list: func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
			return m.List(ctx, strings.TrimRight(prefix, "%"), after, limit)
		}}
	}},
	{"after is part of the page", []string{"list pages"}, func() store.Store {
		return &bent{Memory: memory(), list: func(m *store.Memory, ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
			items, err := m.List(ctx, prefix, after, limit)
			if err == nil && after != "" && strings.HasPrefix(after, prefix) {
				had, _ := m.Get(ctx, after)
				items = append(had, items...)[:min(limit, len(items)+1)]
			}
			return items, err
		}}
	}},
	{"there are no limits", []string{"limits of keys", "limits of commits"}, func() store.Store {
		return &perKey{items: map[string]store.Item{}}
	}},
	{"reads have no limits", []string{"limits of reads"}, func() store.Store {
		return &bent{
			Memory: memory(),
			get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
				return make([]store.Item, len(keys)), nil
			},
		}
	}},
	{"values are 64 KiB at most", []string{"room for a seal"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if len(ops[0].Value) > store.MaxValue {
				return 0, store.ErrInvalid
			}
			return m.Commit(ctx, ops...)
		}}
	}},
	{"expired items are hidden", []string{"expiry is a hint"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i, it := range items {
				if !it.Expires.IsZero() && time.Now().After(it.Expires) {
					items[i] = store.Item{Key: keys[i]}
				}
			}
			return items, err
		}}
	}},
	{"expiry is kept in seconds", []string{"expiry to the microsecond"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			ops = slices.Clone(ops)
			for i := range ops {
				ops[i].Expires = ops[i].Expires.Truncate(time.Second)
			}
			return m.Commit(ctx, ops...)
		}}
	}},
	{"expired items are swept at once", []string{"sweep"}, func() store.Store {
		return &bent{Memory: memory(), sweep: func(m *store.Memory, ctx context.Context, before time.Time, limit int) (int, error) {
			items, err := m.List(ctx, "", "", 100)
			if err != nil || limit < 1 {
				return 0, store.ErrInvalid
			}
			items = slices.DeleteFunc(items, func(it store.Item) bool { return it.Expires.IsZero() || !it.Expires.Before(before) })
			return store.Purge(ctx, m, items[:min(limit, len(items))])
		}}
	}},
	{"a janitor deletes what has expired", []string{"expired items stay"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := m.Commit(ctx, ops...)
			for _, op := range ops {
				if err == nil && !op.Expires.IsZero() {
					time.AfterFunc(time.Until(op.Expires)+time.Second, func() {
						_, _ = m.Commit(context.Background(), del(op.Key, rev))
					})
				}
			}
			return rev, err
		}}
	}},
	{"the sweep deletes without looking", []string{"sweep against writers"}, func() store.Store {
		return &bent{Memory: memory(), sweep: func(m *store.Memory, ctx context.Context, before time.Time, limit int) (int, error) {
			items, err := m.List(ctx, "", "", limit)
			if err != nil {
				return 0, err
			}
			deleted := 0
			for _, it := range items {
				if it.Expires.IsZero() {
					continue
				}
				pause()
				if _, err := m.Commit(ctx, del(it.Key, store.Any)); err != nil {
					return deleted, err
				}
				deleted++
			}
			return deleted, nil
		}}
	}},
	{"the context is ignored", []string{"cancelled context"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return m.Commit(context.WithoutCancel(ctx), ops...)
		}}
	}},
	{"a commit that happened is called cancelled", []string{"cancelled on the way"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			<-ctx.Done()
			if _, err := m.Commit(context.WithoutCancel(ctx), ops...); err != nil {
				return 0, err
			}
			return 0, ctx.Err()
		}}
	}},
	{"a commit that happened is called a conflict", []string{"cancelled on the way"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			<-ctx.Done() // its answer is lost, so it is sent again
			if _, err := m.Commit(context.WithoutCancel(ctx), ops...); err != nil {
				return 0, err
			}
			return m.Commit(context.WithoutCancel(ctx), ops...)
		}}
	}},
	{"an unknown outcome is called a conflict, too", []string{"cancelled on the way"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(_ *store.Memory, ctx context.Context, _ ...store.Op) (store.Revision, error) {
			<-ctx.Done()
			return 0, errors.Join(store.ErrConflict, store.ErrUnknown)
		}}
	}},
	{"a read that was cut short is called done", []string{"reads cancelled on the way"}, func() store.Store {
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i := range items {
				if pause(); ctx.Err() != nil {
					return items[:i], nil
				}
			}
			return items, err
		}}
	}},
	{"a commit that was cancelled is called done", []string{"cancelled on the way"}, func() store.Store {
		return &bent{Memory: memory(), commit: func(m *store.Memory, ctx context.Context, ops ...store.Op) (store.Revision, error) {
			<-ctx.Done()
			return 1, nil
		}}
	}},
	{"reads lag behind", []string{"put and get", "second handle reads what was committed"}, func() store.Store {
		last := map[string]store.Item{}
		return &bent{Memory: memory(), get: func(m *store.Memory, ctx context.Context, keys ...string) ([]store.Item, error) {
			items, err := m.Get(ctx, keys...)
			for i, it := range items {
				if had, ok := last[it.Key]; ok {
					items[i] = had
				}
				last[it.Key] = it
			}
			return items, err
		}}
	}},
}

func TestBrokenStoresAreRejected(t *testing.T) {
	for _, tt := range slices.Concat(flaws, handleFlaws, watchFlaws) {
		for _, name := range tt.cases {
			t.Run(tt.flaw+"/"+name, func(t *testing.T) {
				assert.NotEmpty(t, failuresOf(t, name, 300*time.Millisecond, tt.open), "the case did not notice")
			})
		}
	}
}

// TestEveryCaseCanFail keeps the list of flaws complete.
func TestEveryCaseCanFail(t *testing.T) {
	noticed := map[string]bool{}
	for _, tt := range slices.Concat(flaws, handleFlaws, watchFlaws) {
		for _, name := range tt.cases {
			noticed[name] = true
		}
	}
	for _, c := range cases {
		assert.True(t, noticed[c.name], "no flaw for the case %q", c.name)
	}
}

// TestSoundStorePasses shows that the failures above are the flaws'.
func TestSoundStorePasses(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			assert.Empty(t, failuresOf(t, c.name, patience, func() store.Store { return store.NewMemory() }))
		})
	}
}
