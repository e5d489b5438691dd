package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// watched returns the keys that a watch of s reports while do runs, in order and each once.
func watched(t *testing.T, s store.Store, do func()) []string {
	t.Helper()
	keys := []string{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- store.Watch(ctx, s, time.Second, func(c store.Change) { keys = append(keys, c.Keys...) })
		}()
		synctest.Wait()
		do()
		synctest.Wait()
		cancel()
		assert.ErrorIs(t, <-done, context.Canceled)
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestWatchThroughWrappers(t *testing.T) {
	observe := func(s store.Store) store.Store { return store.Observe(s, func([]string) {}) }
	seal := func(s store.Store) store.Store { return store.Seal(s, key1) }
	for _, tt := range []struct {
		name string
		wrap func(store.Store) store.Store
		want []string
	}{
		{"nothing", func(s store.Store) store.Store { return s }, []string{"a", "x/", "x/a", "x/y/a", "xx/a", "y/a"}},
		{"observed and sealed", func(s store.Store) store.Store { return observe(seal(s)) }, []string{"a", "x/", "x/a", "x/y/a", "xx/a", "y/a"}},
		{"below a prefix", func(s store.Store) store.Store { return store.Sub(s, "x/") }, []string{"a", "y/a"}},
		{"below two", func(s store.Store) store.Store { return store.Sub(store.Sub(s, "x/"), "y/") }, []string{"a"}},
		{"below one nobody uses", func(s store.Store) store.Store { return store.Sub(s, "z/") }, []string{}},
		{"all of them", func(s store.Store) store.Store {
			return observe(store.Sub(seal(observe(store.Sub(s, "x/"))), "y/"))
		}, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := store.NewMemory()
			got := watched(t, tt.wrap(m), func() {
				for _, key := range []string{"a", "x/", "x/a", "x/y/a", "xx/a", "y/a"} {
					put(t, m, key, "")
				}
			})
			assert.Equal(t, tt.want, got)
		})
	}
}

// A Sub reports every change of the store below, not only of a key of its own.
func TestWatchBelowHearsTheBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var seen []time.Time
		go func() {
			time.Sleep(3500 * time.Millisecond)
			_, err := m.Commit(ctx, store.Op{Key: "other", At: store.Any, Action: store.Put})
			assert.NoError(t, err)
		}()
		err := store.Watch(ctx, store.Sub(m, "x/"), time.Second, func(c store.Change) {
			assert.Empty(t, c.Keys)
			seen = append(seen, c.Seen)
		})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.GreaterOrEqual(t, len(seen), 1+9)
		assert.True(t, slices.IsSortedFunc(seen, time.Time.Compare))
	})
}

// deaf is a Store without a Watch.
type deaf struct{ store.Store }

func TestWatchUnsupported(t *testing.T) {
	changed := func(store.Change) { t.Error("nobody watches") }
	for _, s := range []store.Store{
		deaf{store.NewMemory()},
		store.Observe(store.Seal(store.Sub(deaf{store.NewMemory()}, "x/"), key1), func([]string) {}),
	} {
		assert.ErrorIs(t, store.Watch(t.Context(), s, time.Second, changed), errors.ErrUnsupported)
		assert.ErrorIs(t, store.Watch(t.Context(), s, 0, changed), store.ErrInvalid)
	}
	assert.ErrorIs(t, store.Watch(t.Context(), store.NewMemory(), -1, changed), store.ErrInvalid)
}

// A Memory limits what it keeps for a slow watcher. The others go on.
func TestMemoryWatchFallsBehind(t *testing.T) {
	const room = 1 << 16
	for _, tt := range []struct {
		more int
		want error
	}{{0, context.Canceled}, {1, store.ErrBehind}} {
		t.Run(fmt.Sprint(tt.more), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := store.NewMemory()
				ctx, cancel := context.WithCancel(t.Context())
				slow, quick := make(chan error), make(chan error)
				listen := make(chan struct{})
				reported, all := 0, 0
				go func() {
					slow <- m.Watch(ctx, time.Hour, func(c store.Change) {
						<-listen
						reported += len(c.Keys)
					})
				}()
				go func() {
					quick <- m.Watch(ctx, time.Hour, func(c store.Change) { all += len(c.Keys) })
				}()
				synctest.Wait()
				for n := range room / store.MaxOps {
					ops := make([]store.Op, store.MaxOps)
					for i := range ops {
						ops[i] = store.Op{Key: fmt.Sprint("k", i), At: store.Any, Action: store.Put}
					}
					_, err := m.Commit(t.Context(), ops...)
					require.NoError(t, err)
					if n%100 == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				for range tt.more {
					put(t, m, "one more", "")
				}
				_, err := m.Commit(t.Context(), store.Op{Key: "checked"})
				require.NoError(t, err, "a check takes no room")
				synctest.Wait()
				assert.Equal(t, room+tt.more, all)
				close(listen)
				synctest.Wait()
				cancel()
				assert.ErrorIs(t, <-slow, tt.want)
				assert.ErrorIs(t, <-quick, context.Canceled)
				if errors.Is(tt.want, store.ErrBehind) {
					assert.Zero(t, reported, "some of it is worth nothing")
				} else {
					assert.Equal(t, room, reported)
				}

				// A new watch is not behind.
				again, stop := context.WithCancel(t.Context())
				stop()
				assert.ErrorIs(t, m.Watch(again, time.Hour, func(store.Change) {}), context.Canceled)
			})
		})
	}
}
