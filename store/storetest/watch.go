package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// beat is how often watches report while nothing happens.
const beat = 10 * time.Millisecond

// A listener is one call of [store.Watch] and the changes that it got.
type listener struct {
	t        tb
	patience time.Duration
	cancel   context.CancelFunc
	hold     func(call int) // called in each call, without mu; nil: nothing

	mu      sync.Mutex
	changes []store.Change // guarded by mu
	faults  []string       // guarded by mu

	news   chan struct{} // there is more in changes
	inside atomic.Bool   // a call is being made
	over   atomic.Bool   // Watch has returned
	done   chan struct{} // closed when Watch has returned
	err    error         // what it returned; read after done
}

// listen watches the store until stop is called.
func listen(t tb, e env, every time.Duration, hold func(call int)) *listener {
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{t: t, patience: e.patience, cancel: cancel, hold: hold, news: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = store.Watch(ctx, e.s, every, l.changed)
		l.over.Store(true)
	}()
	return l
}

func (l *listener) changed(c store.Change) {
	if !l.inside.CompareAndSwap(false, true) {
		l.fault("changed was called while a call of it went on")
		return
	}
	defer l.inside.Store(false)
	if l.over.Load() {
		l.fault("changed was called after Watch returned")
	}
	if now := time.Now(); c.Seen.After(now) {
		l.fault("Seen is %s, and it is only %s", c.Seen, now)
	}
	l.mu.Lock()
	call := len(l.changes)
	back := call > 0 && c.Seen.Before(l.changes[call-1].Seen)
	l.changes = append(l.changes, store.Change{Keys: slices.Clone(c.Keys), Seen: c.Seen})
	l.mu.Unlock()
	if back {
		l.fault("Seen went back to %s", c.Seen)
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
	if l.hold != nil {
		l.hold(call)
	}
}

func (l *listener) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 10 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// await waits until ok, which is called with mu locked.
func (l *listener) await(what string, ok func() bool) {
	l.t.Helper()
	if !l.awaitOrEnd(what, ok) {
		require.Fail(l.t, "Watch returned", "while waiting for %s: %v", what, l.err)
	}
}

// awaitOrEnd returns whether ok, or false once Watch has returned before.
func (l *listener) awaitOrEnd(what string, ok func() bool) bool {
	l.t.Helper()
	timeout := time.NewTimer(l.patience)
	defer timeout.Stop()
	for over := false; ; {
		l.mu.Lock()
		met := ok()
		l.mu.Unlock()
		if met || over {
			return met
		}
		select {
		case <-l.news:
		case <-l.done:
			over = true
		case <-timeout.C:
			require.Fail(l.t, "the watch is silent", "for %s, while waiting for %s", l.patience, what)
		}
	}
}

// begun waits for the first call.
func (l *listener) begun() {
	l.t.Helper()
	l.await("the first call", func() bool { return len(l.changes) > 0 })
}

// reaches waits for a Change that covers everything that returned by now.
func (l *listener) reaches(now time.Time) {
	l.t.Helper()
	l.await("a Seen after now", func() bool { return l.upTo(now) > 0 })
}

// upTo returns how many Changes there are up to the first with a later Seen, or 0
// if there is none yet. The caller holds mu.
func (l *listener) upTo(moment time.Time) int {
	return 1 + slices.IndexFunc(l.changes, func(c store.Change) bool { return c.Seen.After(moment) })
}

// reported returns how often each key was reported.
func (l *listener) reported() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, c := range l.changes {
		for _, key := range c.Keys {
			n[key]++
		}
	}
	return n
}

// returned waits until Watch has returned.
func (l *listener) returned() {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(l.patience):
		require.Fail(l.t, "Watch does not return", "although its context ended")
	}
}

// stop ends the watch, and requires that it was correct.
func (l *listener) stop() {
	l.t.Helper()
	l.cancel()
	l.returned()
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.Empty(l.t, l.faults)
}

func watchBegins(t tb, e env) {
	commit(t, e.s, put("before", "x", store.Absent))
	l := listen(t, e, time.Hour, nil)
	defer l.stop()
	l.begun()
	assert.Empty(t, l.reported(), "the first call has no keys")
}

// watchRefuses calls the Watcher itself: store.Watch checks its arguments, too.
func watchRefuses(t tb, e env) {
	w, ok := store.As[store.Watcher](e.s)
	require.True(t, ok, "the store is no Watcher")
	changed := func(store.Change) { assert.Fail(t, "a watch that is refused reports") }
	for _, every := range []time.Duration{0, -1, -time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), e.patience)
		assert.ErrorIs(t, w.Watch(ctx, every, changed), store.ErrInvalid, "every %s", every)
		cancel()
	}
}

func watchReports(t tb, e env) {
	_, writer := e.pair()
	l := listen(t, e, beat, nil)
	defer l.stop()
	l.begun()
	for _, step := range [][]store.Op{
		{put("a", "1", store.Absent)},
		{put("a", "2", store.Any)},
		{put("a", "2", store.Any)}, // a put of the same value is a change, too
		{check("checked", store.Absent), put("b", "1", store.Absent), put("c", "1", store.Absent), del("a", store.Any)},
		{put("a", "3", store.Absent), del("b", store.Any), del("c", store.Any)},
		{del("a", store.Any)},
	} {
		before := l.reported()
		commit(t, writer, check("checked", store.Absent))
		conflicts(t, writer, check("checked", 1<<40), put("failed", "x", store.Any))
		commit(t, writer, step...)
		l.reaches(time.Now())
		after := l.reported()
		for _, op := range step {
			if op.Action != store.Check {
				require.Greater(t, after[op.Key], before[op.Key], "what was done with %q is not reported: %v", op.Key, step)
			}
		}
	}
	for key := range l.reported() {
		assert.Contains(t, []string{"a", "b", "c", "failed"}, key, "reported, and nobody wrote it")
	}
}

func watchSweep(t tb, e env) {
	sweeper, ok := store.As[store.Sweeper](e.s)
	require.True(t, ok, "the store is no Sweeper")
	now := time.Now()
	commit(t, e.s, expiring("swept/1", now.Add(-2*store.SweepGrace)), expiring("swept/2", now.Add(-3*store.SweepGrace)),
		expiring("kept", now.Add(time.Hour)))
	l := listen(t, e, beat, nil)
	defer l.stop()
	l.begun()
	n, err := sweeper.Sweep(t.Context(), now, 100)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	l.reaches(time.Now())
	reported := l.reported()
	assert.Positive(t, reported["swept/1"])
	assert.Positive(t, reported["swept/2"])
	assert.Zero(t, reported["kept"])
}

func watchIdle(t tb, e env) {
	l := listen(t, e, beat, nil)
	defer l.stop()
	for range 3 {
		l.reaches(time.Now())
	}
	assert.Empty(t, l.reported(), "nothing happened")
}

func watchEnds(t tb, e env) {
	other := listen(t, e, beat, nil)
	defer other.stop()
	other.begun()
	l := listen(t, e, beat, nil)
	defer l.stop()
	l.begun()
	l.cancel()
	l.returned()
	assert.ErrorIs(t, l.err, context.Canceled)
	commit(t, e.s, put("a", "1", store.Absent))
	other.reaches(time.Now())
	assert.Positive(t, other.reported()["a"], "one watch ended, and another is deaf")
	time.Sleep(3 * beat) // a call after the end is noticed by then, or passes
	assert.Zero(t, l.reported()["a"])

	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(2*beat))
	defer cancel()
	assert.ErrorIs(t, store.Watch(over, e.s, beat, func(store.Change) {}), context.DeadlineExceeded)
}

// watchSlow writes much while the listener is busy: all of it is reported, or the watch ends.
func watchSlow(t tb, e env) {
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	l := listen(t, e, beat, func(call int) {
		if call == 1 {
			<-hold
		}
	})
	defer l.stop()
	defer release()
	l.await("the second call", func() bool { return len(l.changes) > 1 })

	ctx, cancel := context.WithTimeout(t.Context(), e.patience)
	defer cancel()
	var written []string
	for i := range e.rounds(100) {
		var ops []store.Op
		for j := range store.MaxOps {
			key := fmt.Sprintf("slow/%d/%d", i, j)
			written = append(written, key)
			ops = append(ops, put(key, "", store.Absent))
		}
		_, err := e.s.Commit(ctx, ops...)
		require.NoError(t, err, "a Commit does not wait for those who listen")
		if i%10 == 0 {
			time.Sleep(beat) // more reports than one
		}
	}
	end := time.Now()
	release()
	if !l.awaitOrEnd("what was written meanwhile", func() bool { return l.upTo(end) > 0 }) {
		require.Error(t, l.err, "a watch that cannot go on")
		return
	}
	reported := l.reported()
	for _, key := range written {
		require.Positive(t, reported[key], "%s was lost without an error", key)
	}
}

// watchVisible reads each key as soon as it is reported. If the read came too early, a cache
// would keep the old value for good: nothing is reported after it.
func watchVisible(t tb, e env) {
	reader, writer := e.pair()
	l := listen(t, e, beat, nil)
	defer l.stop()
	l.begun()
	commits := e.rounds(100)
	written := make(chan error, 1)
	go func() {
		for i := range commits {
			if _, err := writer.Commit(t.Context(), put("v/"+number(i), "", store.Absent)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	defer func() { assert.NoError(t, <-written) }()
	read := map[string]bool{}
	for next := 0; len(read) < commits; next++ {
		l.await("what was written", func() bool { return len(l.changes) > next })
		l.mu.Lock()
		keys := l.changes[next].Keys
		l.mu.Unlock()
		for _, key := range keys {
			require.True(t, get(t, reader, key).Exists(), "%s is reported and cannot be read yet", key)
			read[key] = true
		}
	}
}

// A loadCommit is one that loadStore made.
type loadCommit struct {
	keys         []string
	began, ended time.Time
	err          error
}

// loadStore commits from several goroutines over several handles until begun is closed, and
// then so many times more. Some of the Commits are cancelled on the way. The function that it
// returns waits for the end of it.
func loadStore(ctx context.Context, handles []store.Store, begun <-chan struct{}, rounds int) func() ([]loadCommit, error) {
	const writers = 4
	var commits [writers][]loadCommit
	writer := func(g int) error {
		s := handles[g%len(handles)]
		r := rand.New(rand.NewPCG(2, uint64(g)))
		var leaving sync.WaitGroup
		defer leaving.Wait()
		for i, left := 0, rounds; left > 0; i++ {
			select {
			case <-begun:
				left--
			case <-ctx.Done():
				return ctx.Err()
			default:
			}
			var c loadCommit
			ops := []store.Op{put(fmt.Sprint("hot/", r.IntN(3)), "", store.Any)}
			for j := range 1 + r.IntN(8) {
				key := fmt.Sprintf("load/%d/%d/%d", g, i, j)
				c.keys = append(c.keys, key)
				ops = append(ops, put(key, "", store.Absent))
			}
			ctx, leave := context.WithCancel(ctx)
			if r.IntN(4) == 0 {
				wait := r.IntN(10)
				leaving.Go(func() {
					defer leave()
					for range wait {
						if _, err := s.Get(ctx, "hot/0"); err != nil {
							break
						}
					}
				})
			}
			c.began = time.Now()
			_, c.err = s.Commit(ctx, ops...)
			c.ended = time.Now()
			leave()
			if c.err != nil && !errors.Is(c.err, context.Canceled) && !errors.Is(c.err, store.ErrUnknown) {
				return c.err
			}
			commits[g] = append(commits[g], c)
			if i%8 == 0 {
				time.Sleep(beat / 4) // so that there are several reports to be right
			}
		}
		return nil
	}
	var fns []func() error
	for g := range writers {
		fns = append(fns, func() error { return writer(g) })
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(race(fns...)...) }()
	return sync.OnceValues(func() ([]loadCommit, error) {
		err := <-done
		return slices.Concat(commits[:]...), err
	})
}

// watchLoad begins several watches while others write. Every commit that began after the first
// Seen of a watch is reported by its Change with a Seen after the commit returned.
func watchLoad(t tb, e env) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	loaded := loadStore(ctx, e.handles(), begun, e.rounds(60))
	defer func() { _, _ = loaded() }()
	defer cancel()
	var listeners []*listener
	for range 4 {
		l := listen(t, e, beat, nil)
		defer l.stop()
		l.begun()
		listeners = append(listeners, l)
	}
	close(begun)
	commits, err := loaded()
	require.NoError(t, err)
	for i := range commits {
		c := &commits[i]
		if errors.Is(c.err, store.ErrUnknown) && get(t, e.s, c.keys[0]).Exists() {
			c.err, c.ended = nil, time.Now() // it did happen
		}
	}
	end := time.Now()
	for _, l := range listeners {
		l.reaches(end)
		l.reportedInTime(commits)
	}
}

// reportedInTime requires that those of commits that began after the first Seen were reported.
func (l *listener) reportedInTime(commits []loadCommit) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	first := map[string]int{} // the Change that has the key first
	for i, c := range l.changes {
		for _, key := range c.Keys {
			if _, ok := first[key]; !ok {
				first[key] = i
			}
		}
	}
	happened := 0
	for _, c := range commits {
		if c.err != nil || !c.began.After(l.changes[0].Seen) {
			continue
		}
		happened++
		upTo := l.upTo(c.ended)
		for _, key := range c.keys {
			at, ok := first[key]
			require.True(l.t, ok && at < upTo,
				"%s was written after the watch began, and a Change with a later Seen came without it", key)
		}
	}
	require.Positive(l.t, happened)
	l.t.Logf("%d commits in %d changes", happened, len(l.changes))
}
