package linear

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// broken is one of several handles on a Memory, with one method replaced.
type broken struct {
	*store.Memory
	get    func(ctx context.Context, keys ...string) ([]store.Item, error)
	commit func(ctx context.Context, ops ...store.Op) (store.Revision, error)
}

func (b *broken) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if b.get != nil {
		return b.get(ctx, keys...)
	}
	return b.Memory.Get(ctx, keys...)
}

func (b *broken) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if b.commit != nil {
		return b.commit(ctx, ops...)
	}
	return b.Memory.Commit(ctx, ops...)
}

// wait gives the other clients time.
func wait() { time.Sleep(100 * time.Microsecond) }

// unchecked takes the conditions away, and the checks with them.
func unchecked(ops []store.Op) []store.Op {
	var rest []store.Op
	for _, op := range ops {
		if op.Action != store.Check {
			op.At = store.Any
			rest = append(rest, op)
		}
	}
	return rest
}

// commitAll is a Commit of ops, which may be none.
func commitAll(ctx context.Context, m *store.Memory, ops []store.Op) (store.Revision, error) {
	if len(ops) == 0 {
		return 0, ctx.Err()
	}
	return m.Commit(ctx, ops...)
}

var flaws = []struct {
	name string
	open func(m *store.Memory) store.Store
}{
	{"stale reads", func(m *store.Memory) store.Store {
		var mu sync.Mutex
		old := map[string]store.Item{}
		return &broken{Memory: m, get: func(ctx context.Context, keys ...string) ([]store.Item, error) {
			mu.Lock()
			defer mu.Unlock()
			items, err := m.Get(ctx, keys...)
			for i, it := range items {
				had, ok := old[it.Key]
				old[it.Key] = it
				if ok {
					items[i] = had
				}
			}
			return items, err
		}}
	}},
	{"a replica that lags", func(m *store.Memory) store.Store {
		var mu sync.Mutex
		var copied time.Time
		replica := map[string]store.Item{}
		return &broken{Memory: m, get: func(ctx context.Context, keys ...string) ([]store.Item, error) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(copied) > time.Millisecond {
				copied = time.Now()
				clear(replica)
				after := ""
				for {
					items, err := m.List(ctx, "", after, store.MaxLimit)
					if err != nil {
						return nil, err
					}
					for _, it := range items {
						replica[it.Key], after = it, it.Key
					}
					if len(items) < store.MaxLimit {
						break
					}
				}
			}
			var items []store.Item
			for _, key := range keys {
				it := replica[key]
				it.Key = key
				items = append(items, it)
			}
			return items, nil
		}}
	}},
	{"a read of two moments", func(m *store.Memory) store.Store {
		return &broken{Memory: m, get: func(ctx context.Context, keys ...string) ([]store.Item, error) {
			var items []store.Item
			for _, key := range keys {
				it, err := m.Get(ctx, key)
				if err != nil {
					return nil, err
				}
				items = append(items, it...)
				wait()
			}
			return items, nil
		}}
	}},
	{"checks are lost", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			return commitAll(ctx, m, slices.DeleteFunc(slices.Clone(ops), func(op store.Op) bool { return op.Action == store.Check }))
		}}
	}},
	{"conditions are looked at before", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			for _, op := range ops {
				items, err := m.Get(ctx, op.Key)
				if err != nil {
					return 0, err
				}
				if op.At != store.Any && op.At != items[0].Revision {
					return 0, store.ErrConflict
				}
			}
			wait()
			return commitAll(ctx, m, unchecked(ops))
		}}
	}},
	{"a commit in two parts", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := m.Commit(ctx, ops[0])
			if err != nil || len(ops) == 1 {
				return rev, err
			}
			wait()
			return m.Commit(context.WithoutCancel(ctx), ops[1:]...)
		}}
	}},
	{"a conflict writes in part", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := m.Commit(ctx, ops...)
			if errors.Is(err, store.ErrConflict) {
				_, _ = m.Commit(ctx, ops[0])
			}
			return rev, err
		}}
	}},
	{"a conflict without a reason", func(m *store.Memory) store.Store {
		n := 0
		var mu sync.Mutex
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%10 == 0 {
				return 0, store.ErrConflict
			}
			return m.Commit(ctx, ops...)
		}}
	}},
	{"an unknown outcome is called a conflict", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := m.Commit(context.WithoutCancel(ctx), ops...)
			if err == nil && ctx.Err() != nil {
				return 0, store.ErrConflict
			}
			return rev, err
		}}
	}},
	{"a commit that happened is called cancelled", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			rev, err := m.Commit(context.WithoutCancel(ctx), ops...)
			if err == nil && ctx.Err() != nil {
				return 0, ctx.Err()
			}
			return rev, err
		}}
	}},
	{"a commit returns before it happens", func(m *store.Memory) store.Store {
		return &broken{Memory: m, commit: func(ctx context.Context, ops ...store.Op) (store.Revision, error) {
			if !slices.ContainsFunc(ops, func(op store.Op) bool { return op.Action == store.Delete }) || len(unchecked(ops)) != len(ops) {
				return m.Commit(ctx, ops...)
			}
			if slices.ContainsFunc(ops, func(op store.Op) bool { return op.Action == store.Put }) {
				return m.Commit(ctx, ops...)
			}
			go func() {
				wait()
				_, _ = m.Commit(context.WithoutCancel(ctx), ops...)
			}()
			return 0, nil
		}}
	}},
}

// The check would find each of these, although they show themselves rarely.
func TestBrokenStoresAreRejected(t *testing.T) {
	for _, tt := range flaws {
		t.Run(tt.name, func(t *testing.T) {
			m := store.NewMemory()
			err := Check(t.Context(), 500, tt.open(m), tt.open(m))
			assert.Error(t, err)
			t.Log(err)
		})
	}
}

func item(key, value string, rev store.Revision) store.Item {
	return store.Item{Key: "g/" + key, Value: []byte(value), Revision: rev}
}

func get(begin, end int64, items ...store.Item) call {
	c := call{begin: begin, end: end, items: items}
	for _, it := range items {
		c.keys = append(c.keys, it.Key)
	}
	return c
}

func commit(begin, end int64, rev store.Revision, err error, ops ...store.Op) call {
	return call{begin: begin, end: end, ops: ops, revision: rev, err: err}
}

func put(key, value string, at store.Revision) store.Op {
	return store.Op{Key: "g/" + key, At: at, Action: store.Put, Value: []byte(value)}
}

func del(key string, at store.Revision) store.Op {
	return store.Op{Key: "g/" + key, At: at, Action: store.Delete}
}

func holds(key string, at store.Revision) store.Op { return store.Op{Key: "g/" + key, At: at} }

// absent is a key that is not there.
func absent(key string) store.Item { return store.Item{Key: "g/" + key} }

func TestHistories(t *testing.T) {
	cancelled := context.Canceled
	for _, tt := range []struct {
		name  string
		calls []call
		want  string // what is wrong with it; empty: nothing
	}{
		{"nothing", nil, ""},
		{"in order", []call{
			get(1, 2, absent("a"), absent("b")), commit(3, 4, 1, nil, put("a", "1", 0), put("b", "1", 0)),
			get(5, 6, item("a", "1", 1), item("b", "1", 1)), commit(7, 8, 0, nil, del("a", 1), holds("b", 1)),
			get(9, 10, absent("a")), {begin: 11, end: 12, list: "g/", items: []store.Item{item("b", "1", 1)}},
		}, ""},
		{"at once, seen", []call{commit(1, 4, 1, nil, put("a", "1", 0)), get(2, 3, item("a", "1", 1))}, ""},
		{"at once, not seen", []call{commit(1, 4, 1, nil, put("a", "1", 0)), get(2, 3, absent("a"))}, ""},
		{"seen and gone again", []call{
			commit(1, 9, 1, nil, put("a", "1", 0)), get(2, 3, item("a", "1", 1)), get(4, 5, absent("a")),
		}, "no order"},
		{"stale", []call{commit(1, 2, 1, nil, put("a", "1", 0)), get(3, 4, absent("a"))}, "no order"},
		{"a stale page", []call{commit(1, 2, 1, nil, put("a", "1", 0)), {begin: 3, end: 4, list: "g/"}}, "no order"},
		{"in part", []call{commit(1, 6, 1, nil, put("a", "1", 0), put("b", "1", 0)), get(2, 3, item("a", "1", 1), absent("b"))}, "no order"},
		{"both of a write skew", []call{
			commit(1, 4, 1, nil, put("a", "1", store.Any), holds("b", 0)), commit(2, 3, 2, nil, put("b", "2", store.Any), holds("a", 0)),
		}, "no order"},
		{"two winners", []call{commit(1, 4, 1, nil, put("a", "1", 0)), commit(2, 3, 2, nil, put("a", "2", 0))}, "no order"},
		{"one winner", []call{commit(1, 4, 1, nil, put("a", "1", 0)), commit(2, 3, 0, store.ErrConflict, put("a", "2", 0))}, ""},
		{"no winner", []call{commit(1, 4, 0, store.ErrConflict, put("a", "1", 0)), commit(2, 3, 0, store.ErrConflict, put("a", "2", 0))}, "no order"},
		{"unknown and never", []call{commit(1, 2, 0, store.ErrUnknown, put("a", "1", 0)), get(3, 4, absent("a"))}, ""},
		{"unknown and later", []call{
			commit(1, 2, 0, store.ErrUnknown, put("a", "1", 0)), get(3, 4, absent("a")), get(5, 6, item("a", "1", 7)),
			commit(7, 8, 8, nil, put("a", "2", 7)),
		}, ""},
		{"unknown and gone again", []call{
			commit(1, 2, 0, store.ErrUnknown, put("a", "1", 0)), get(3, 4, item("a", "1", 7)), get(5, 6, absent("a")),
		}, "no order"},
		{"unknown and seen by a conflict alone", []call{
			commit(1, 2, 0, store.ErrUnknown, put("a", "1", 0)), commit(3, 4, 0, store.ErrConflict, put("a", "2", 0)),
		}, ""},
		{"unknown, and its condition never held", []call{
			commit(1, 2, 0, store.ErrUnknown, put("a", "1", 5)), commit(3, 4, 0, store.ErrConflict, put("a", "2", 0)),
		}, "no order"},
		{"unknown in part", []call{
			commit(1, 2, 0, store.ErrUnknown, put("a", "1", 0), put("b", "1", 0)), get(3, 4, item("a", "1", 7), absent("b")),
		}, "no order"},
		{"cancelled", []call{commit(1, 2, 0, cancelled, put("a", "1", 0)), get(3, 4, absent("a"))}, ""},
		{"cancelled, and yet", []call{commit(1, 2, 0, cancelled, put("a", "1", 0)), get(3, 4, item("a", "1", 1))}, "written nothing"},
		{"a conflict, and yet", []call{commit(1, 2, 0, store.ErrConflict, put("a", "1", 1)), get(3, 4, item("a", "1", 1))}, "written nothing"},
		{"out of nothing", []call{get(3, 4, item("a", "1", 1))}, "nobody wrote it"},
		{"another revision than was returned", []call{commit(1, 2, 1, nil, put("a", "1", 0)), get(3, 4, item("a", "1", 2))}, "at revision"},
		{"a revision twice", []call{
			commit(1, 2, 1, nil, put("a", "1", 0)), get(3, 4, item("a", "1", 1)), commit(5, 6, 0, nil, del("a", 1)),
			commit(7, 8, 1, nil, put("a", "2", 0)), get(9, 10, item("a", "2", 1)),
		}, "revision 1 of g/a"},
		{"no revision", []call{commit(1, 2, 0, nil, put("a", "1", 0))}, "returned revision 0"},
		{"a revision of nothing", []call{commit(1, 2, 3, nil, holds("a", 0))}, "returned revision 3"},
		{"items left out", []call{{begin: 1, end: 2, keys: []string{"g/a"}}}, "a Get of"},
		{"a read that failed", []call{{begin: 1, end: 2, keys: []string{"g/a"}, err: cancelled}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory()
			h.calls = tt.calls
			err := h.check()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var v *violation
			assert.Equal(t, tt.want == "no order", errors.As(err, &v))
		})
	}
}

// What a client did is written down as it was told.
func TestRecorder(t *testing.T) {
	m, h := store.NewMemory(), newHistory()
	s := h.record(3, m)
	require.Same(t, m, s.(*recorder).Unwrap())
	rev, err := s.Commit(t.Context(), put("a", "1", 0))
	require.NoError(t, err)
	items, err := s.Get(t.Context(), "g/a", "g/b")
	require.NoError(t, err)
	listed, err := s.List(t.Context(), "g/", "", 5)
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), put("a", "2", 0))
	require.ErrorIs(t, err, store.ErrConflict)
	require.Len(t, h.calls, 4)
	last := int64(0)
	for i, want := range []call{
		{ops: []store.Op{put("a", "1", 0)}, revision: rev}, {keys: []string{"g/a", "g/b"}, items: items},
		{list: "g/", items: listed}, {ops: []store.Op{put("a", "2", 0)}, err: err},
	} {
		got := h.calls[i]
		assert.LessOrEqual(t, last, got.begin)
		assert.LessOrEqual(t, got.begin, got.end)
		last = got.end
		want.client, want.begin, want.end = 3, got.begin, got.end
		assert.Equal(t, want, got)
	}
}
