package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// A watch is a Watch under way, and what it has reported.
type watch struct {
	mu    sync.Mutex
	calls int                 // guarded by mu
	keys  map[string]struct{} // guarded by mu
	seen  time.Time           // guarded by mu
	late  []string            // keys that a Seen said could not be missing, and were; guarded by mu
	done  map[string]time.Time
	ended chan error
}

// begin watches s, and returns once the watch has begun.
func begin(t *testing.T, s store.Store, every time.Duration) *watch {
	t.Helper()
	w := &watch{keys: map[string]struct{}{}, done: map[string]time.Time{}, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { w.ended <- store.Watch(ctx, s, every, w.changed) }()
	w.until(t, func() bool { return w.calls > 0 })
	return w
}

func (w *watch) changed(c store.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls++; w.calls == 1 && len(c.Keys) > 0 || c.Seen.Before(w.seen) || c.Seen.After(time.Now()) {
		w.late = append(w.late, fmt.Sprintf("call %d: %v of %s after %s", w.calls, c.Keys, c.Seen, w.seen))
	}
	w.seen = c.Seen
	for _, key := range c.Keys {
		w.keys[key] = struct{}{}
	}
	for key, done := range w.done {
		if _, ok := w.keys[key]; ok {
			delete(w.done, key)
		} else if done.Before(c.Seen) {
			w.late = append(w.late, key)
		}
	}
}

// returned notes that the commit of key has returned.
func (w *watch) returned(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[key] = time.Now()
}

// until waits until what is reported is so. The function holds mu.
func (w *watch) until(t *testing.T, is func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return is()
	}, time.Minute, time.Millisecond)
}

// has waits until every one of keys is reported.
func (w *watch) has(t *testing.T, keys ...string) {
	t.Helper()
	w.until(t, func() bool {
		for _, key := range keys {
			if _, ok := w.keys[key]; !ok {
				return false
			}
		}
		return true
	})
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := open(t, path)
	rev, err := s.Commit(t.Context(), put("before", "", store.Absent))
	require.NoError(t, err)

	own := begin(t, s, time.Hour) // Commits through s are reported without waiting for that
	other := begin(t, open(t, path), time.Millisecond)
	_, err = s.Commit(t.Context(), put("a", "", store.Absent), store.Op{Key: "none", Action: store.Delete, At: store.Any})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), store.Op{Key: "before", At: rev, Action: store.Delete}, store.Op{Key: "checked"})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), put("lost", "", rev))
	require.ErrorIs(t, err, store.ErrConflict)
	expired := time.Now().Add(-2 * store.SweepGrace)
	_, err = s.Commit(t.Context(), store.Op{Key: "swept", Action: store.Put, Expires: expired})
	require.NoError(t, err)
	own.has(t, "swept")
	other.has(t, "swept")
	own.mu.Lock()
	assert.NotContains(t, own.keys, "checked")
	assert.NotContains(t, own.keys, "lost")
	delete(own.keys, "swept")
	own.mu.Unlock()
	n, err := s.Sweep(t.Context(), time.Now(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, w := range []*watch{own, other} {
		w.has(t, "a", "before", "swept")
		assert.Empty(t, w.late)
	}

	// Nothing happens, and the watch reports that repeatedly.
	other.mu.Lock()
	calls, seen := other.calls, other.seen
	other.mu.Unlock()
	other.until(t, func() bool { return other.calls > calls+3 && other.seen.After(seen) })
}

func TestWatchThroughWrappers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, all := open(t, path), open(t, path)
	w := begin(t, store.Seal(store.Sub(s, "auth/"), store.Key{1}), time.Millisecond)
	_, err := all.Commit(t.Context(), put("other", "", store.Absent), put("auth/a", "no sealed value", store.Absent))
	require.NoError(t, err)
	w.has(t, "a")
	assert.Equal(t, map[string]struct{}{"a": {}}, w.keys)
}

func TestWatchEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	never := func(store.Change) { t.Error("called") }
	assert.ErrorIs(t, s.Watch(t.Context(), 0, never), store.ErrInvalid)
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("another cause"))
	assert.Equal(t, context.Canceled, s.Watch(over, time.Second, never))

	ctx, cancelled := context.WithCancel(t.Context())
	calls := 0
	assert.Equal(t, context.Canceled, s.Watch(ctx, time.Hour, func(store.Change) {
		calls++
		cancelled()
	}))
	assert.Equal(t, 1, calls)

	w := begin(t, s, time.Hour)
	require.NoError(t, s.Close())
	assert.ErrorContains(t, <-w.ended, "closed")
	assert.NoFileExists(t, path+"-wal", "its connection is closed with the others")
	assert.ErrorContains(t, s.Watch(t.Context(), time.Second, never), "closed")
}

// However many processes write, a watcher reports every commit before it reports that none can
// be missing.
func TestWatchUnderLoad(t *testing.T) {
	each := 400
	if testing.Short() {
		each = 100
	}
	path := filepath.Join(t.TempDir(), "auth.db")
	s, second := open(t, path), open(t, path)
	process := another(t, write, path)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	watches := []*watch{begin(t, s, time.Millisecond), begin(t, second, 20*time.Millisecond)}
	require.NoError(t, process.Start())

	var done sync.WaitGroup
	for g := range 6 {
		done.Go(func() {
			for i := range each {
				key := fmt.Sprintf("here-%d-%d", g, i)
				_, err := []store.Store{s, second}[g%2].Commit(t.Context(), put(key, "", store.Absent))
				if !assert.NoError(t, err) {
					return
				}
				for _, w := range watches {
					w.returned(key)
				}
			}
		})
	}
	var said []string
	done.Go(func() { // what the process says is committed, is
		for lines := bufio.NewScanner(out); lines.Scan(); {
			key := "key-" + lines.Text()
			for _, w := range watches {
				w.returned(key)
			}
			if said = append(said, key); len(said) == each {
				assert.NoError(t, process.Process.Kill())
			}
		}
	})
	done.Wait()
	require.Error(t, process.Wait(), "it does not end by itself")
	require.GreaterOrEqual(t, len(said), each)
	last := time.Now()
	for _, w := range watches {
		w.until(t, func() bool { return w.seen.After(last) })
		w.mu.Lock()
		assert.Empty(t, w.late)
		assert.Empty(t, w.done, "reported")
		w.mu.Unlock()
		w.has(t, said...)
	}
}

// Another process gets reports of the commits of this one.
func TestWatchInAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := open(t, path)
	process := another(t, listen, path)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "it watches")
	var want, got []string
	for i := range 50 {
		want = append(want, "key-"+strconv.Itoa(i))
		_, err := s.Commit(t.Context(), put(want[i], "", store.Absent))
		require.NoError(t, err)
	}
	for len(got) < len(want) && lines.Scan() {
		if lines.Text() != "" {
			got = append(got, strings.Fields(lines.Text())...)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())
}
