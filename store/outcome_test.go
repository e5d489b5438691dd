package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func TestAfterOutcomes(t *testing.T) {
	boom := errors.New("boom")
	lost := fmt.Errorf("backend: %w", store.ErrUnknown)
	write := func(tx *store.Tx) error { tx.Put("k", nil, never); return nil }
	for _, tt := range []struct {
		name   string
		commit error
		fn     func(tx *store.Tx) error
		want   store.Result
		err    error
	}{
		{"written", nil, write, store.Committed, nil},
		{"nothing to do", nil, func(*store.Tx) error { return nil }, store.Committed, nil},
		{"one read", nil, func(tx *store.Tx) error { get(t, tx, "k"); return nil }, store.Committed, nil},
		{"its error", nil, func(tx *store.Tx) error { tx.Put("k", nil, never); return boom }, store.Refused, boom},
		{"its error is of another commit", nil, func(*store.Tx) error { return lost }, store.Refused, lost},
		{"a misuse", nil, func(tx *store.Tx) error { tx.Expect(store.Evidence{}); return nil }, store.Refused, store.ErrInvalid},
		{"the commit fails", boom, write, store.Refused, boom},
		{"the commit is lost", lost, write, store.Unknown, store.ErrUnknown},
		{"lost, or a conflict", errors.Join(store.ErrConflict, store.ErrUnknown), write, store.Unknown, store.ErrUnknown},
		{"too many conflicts", store.ErrConflict, write, store.Refused, store.ErrConflict},
		{"too many conflicts of checks", store.ErrConflict, func(tx *store.Tx) error {
			tx.Expect(store.Evidence{Key: "k"})
			return nil
		}, store.Refused, store.ErrConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &counter{Store: store.NewMemory(), err: tt.commit}
				var told []string
				var got store.Outcome
				runs := 0
				err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
					runs++
					run := runs
					tx.After(func(o store.Outcome) { told = append(told, fmt.Sprint("first of ", run)); got = o })
					defer tx.After(func(o store.Outcome) {
						told = append(told, fmt.Sprint("second of ", run))
						assert.Equal(t, got, o)
					})
					return tt.fn(tx)
				})
				assert.ErrorIs(t, err, tt.err)
				assert.Equal(t, store.Outcome{Result: tt.want, Err: err}, got)
				assert.Equal(t, []string{fmt.Sprint("first of ", runs), fmt.Sprint("second of ", runs)}, told, "those of the last run, once")
			})
		})
	}
}

// After a conflict there may be no further run: then the last run's functions are called.
func TestAfterTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		rev := put(t, m, "judged", "")
		told := map[int]store.Outcome{}
		run := 0
		fn := func(tx *store.Tx) error {
			run++
			n := run
			tx.After(func(o store.Outcome) { told[n] = o })
			tx.Expect(store.Evidence{Key: "judged", Revision: rev})
			get(t, tx, "count")
			tx.Put("count", nil, never)
			return nil
		}

		err := store.Transact(t.Context(), onFirstCommit(m, func() { put(t, m, "count", "") }), fn)
		require.NoError(t, err)
		assert.Equal(t, map[int]store.Outcome{2: {Result: store.Committed}}, told, "a conflict, and then not")

		run, told = 0, map[int]store.Outcome{}
		ctx, cancel := context.WithCancel(t.Context())
		err = store.Transact(ctx, onFirstCommit(m, func() { put(t, m, "count", ""); cancel() }), fn)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, map[int]store.Outcome{1: {Result: store.Refused, Err: err}}, told, "the context is over between two runs")

		run, told = 0, map[int]store.Outcome{}
		err = store.Transact(t.Context(), onFirstCommit(m, func() { put(t, m, "judged", "") }), fn)
		changed(t, err, "judged")
		assert.Equal(t, map[int]store.Outcome{1: {Result: store.Refused, Err: err}}, told, "what it expected has changed")

		run, told = 0, map[int]store.Outcome{}
		c := onFirstCommit(m, func() { put(t, m, "count", "") })
		panics := &getPanics{c, func() bool { return c.commits == 1 }}
		rev = get(t, m, "judged").Revision
		assert.PanicsWithValue(t, "get", func() { _ = store.Transact(t.Context(), panics, fn) })
		require.Len(t, told, 1)
		assert.Equal(t, store.Refused, told[1].Result, "the store panics between two runs")
		assert.Error(t, told[1].Err)
	})
}

type getPanics struct {
	store.Store
	now func() bool
}

func (g *getPanics) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if g.now() {
		panic("get")
	}
	return g.Store.Get(ctx, keys...)
}

func TestAfterAPanic(t *testing.T) {
	secret := "hunter2"
	for _, tt := range []struct {
		name   string
		commit func([]store.Op)
		fn     func(tx *store.Tx)
		want   store.Result
	}{
		{"of the function", nil, func(*store.Tx) { panic(secret) }, store.Refused},
		{"of the commit", func([]store.Op) { panic(secret) }, func(*store.Tx) {}, store.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &counter{Store: store.NewMemory(), before: tt.commit}
			var told []store.Outcome
			assert.PanicsWithValue(t, secret, func() {
				_ = store.Transact(t.Context(), c, func(tx *store.Tx) error {
					tx.After(func(o store.Outcome) { told = append(told, o) })
					tx.Put("k", nil, never)
					tt.fn(tx)
					return nil
				})
			})
			require.Len(t, told, 1)
			assert.Equal(t, tt.want, told[0].Result)
			require.Error(t, told[0].Err)
			assert.Equal(t, tt.want == store.Unknown, errors.Is(told[0].Err, store.ErrUnknown))
			assert.NotContains(t, told[0].Err.Error(), secret)
		})
	}
}

// A test that fails inside a run ends its goroutine.
func TestAfterGoexit(t *testing.T) {
	var told []store.Outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = store.Transact(t.Context(), store.NewMemory(), func(tx *store.Tx) error {
			tx.After(func(o store.Outcome) { told = append(told, o) })
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	require.Len(t, told, 1)
	assert.Equal(t, store.Refused, told[0].Result)
	assert.Error(t, told[0].Err)
}

func TestAfterFunctionPanics(t *testing.T) {
	var told []int
	m := store.NewMemory()
	assert.PanicsWithValue(t, "first", func() {
		_ = store.Transact(t.Context(), m, func(tx *store.Tx) error {
			tx.Put("k", nil, never)
			tx.After(func(store.Outcome) { told = append(told, 1); panic("first") })
			tx.After(func(store.Outcome) { told = append(told, 2) })
			return nil
		})
	})
	assert.Equal(t, []int{1, 2}, told)
	assert.True(t, get(t, m, "k").Exists())
}

// A function may use the store, in a transaction of its own, but not the Tx.
func TestAfterUsesTheStore(t *testing.T) {
	m := store.NewMemory()
	require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
		tx.Put("k", nil, never)
		tx.After(func(store.Outcome) {
			assert.True(t, get(t, m, "k").Exists())
			assert.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error { tx.Put("l", nil, never); return nil }))
			assert.Panics(t, func() { tx.Put("m", nil, never) })
			assert.Panics(t, func() { tx.Expect(store.Evidence{Key: "m"}) })
			assert.Panics(t, func() { tx.After(func(store.Outcome) {}) })
		})
		assert.Panics(t, func() { tx.After(nil) })
		return nil
	}))
	assert.True(t, get(t, m, "l").Exists())
}

func TestResultString(t *testing.T) {
	assert.Equal(t, "refused unknown committed Result(3)",
		fmt.Sprint(store.Refused, " ", store.Unknown, " ", store.Committed, " ", store.Result(3)))
	assert.Zero(t, store.Refused)
}
