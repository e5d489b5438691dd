package etcdtest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
)

// every is short: tests wait for something to be seen.
const every = 20 * time.Millisecond

// A watching keeps what a Watch reports.
type watching struct {
	cancel context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	changes []store.Change // guarded by mu
	block   chan struct{}  // not nil: a report waits until it is closed; guarded by mu
}

// watch begins a Watch and returns after its first report.
func watch(t *testing.T, s store.Store, every time.Duration) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{cancel: cancel, ended: make(chan error, 1)}
	go func() { w.ended <- store.Watch(ctx, s, every, w.changed) }()
	t.Cleanup(cancel)
	require.Eventually(t, func() bool { return len(w.all()) > 0 || len(w.ended) > 0 }, time.Minute, time.Millisecond)
	require.NotEmpty(t, w.all(), "it ended")
	return w
}

func (w *watching) changed(c store.Change) {
	w.mu.Lock()
	w.changes = append(w.changes, c)
	block := w.block
	w.mu.Unlock()
	if block != nil {
		<-block
	}
}

func (w *watching) all() []store.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}

// hold makes reports wait until the function it returns is called.
func (w *watching) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	block := make(chan struct{})
	w.block = block
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.block = nil
		close(block)
	})
}

// until waits for a report that says everything before now was seen, and returns the
// keys up to there.
func (w *watching) until(t *testing.T) map[string]bool {
	t.Helper()
	now := time.Now()
	var keys map[string]bool
	require.Eventually(t, func() bool {
		keys = map[string]bool{}
		for _, c := range w.all() {
			for _, k := range c.Keys {
				keys[k] = true
			}
			if c.Seen.After(now) {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond)
	return keys
}

// end waits for the Watch to end by itself.
func (w *watching) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(time.Minute):
		require.FailNow(t, "it does not end")
		return nil
	}
}

// sound checks what must hold of the reports whatever happened: the first has no
// keys, and none says that it has seen further than the one before had not.
func (w *watching) sound(t *testing.T) {
	t.Helper()
	all := w.all()
	assert.Empty(t, all[0].Keys)
	for i := 1; i < len(all); i++ {
		assert.False(t, all[i].Seen.Before(all[i-1].Seen), "report %d goes back", i)
	}
}

func TestWatch(t *testing.T) {
	m := etcdtest.Start(t)
	s, other := etcdtest.Open(t, "a/", m.Endpoint()), etcdtest.Open(t, "a/", m.Endpoint())
	elsewhere := etcdtest.Open(t, "a/a/", m.Endpoint())
	commit(t, other, put("before", "", store.Absent))
	began := time.Now()
	w := watch(t, s, every)
	assert.False(t, w.all()[0].Seen.Before(began))

	rev := commit(t, other, put("k1", "", store.Absent), put("k2", "", store.Absent), store.Op{Key: "checked"})
	commit(t, s, store.Op{Key: "k1", At: rev, Action: store.Delete})
	commit(t, other, expiring("swept", time.Now().Add(-2*store.SweepGrace)))
	commit(t, elsewhere, put("elsewhere", "", store.Absent))
	assert.Equal(t, map[string]bool{"k1": true, "k2": true, "swept": true}, w.until(t))

	before := len(w.all())
	n, err := other.Sweep(t.Context(), time.Now(), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w.until(t)
	var keys []string
	for _, c := range w.all()[before:] {
		keys = append(keys, c.Keys...)
	}
	assert.Equal(t, []string{"swept"}, keys, "its deletion")

	sub := watch(t, store.Sub(store.Seal(s, store.Key{1}), "sub/"), every)
	commit(t, other, put("sub/x", "", store.Absent), put("x", "", store.Absent))
	assert.Equal(t, map[string]bool{"x": true}, sub.until(t), "through wrappers")

	w.sound(t)
	w.cancel()
	assert.Equal(t, context.Canceled, w.end(t))
	after := len(w.all())
	commit(t, other, put("late", "", store.Absent))
	sub.until(t)
	assert.Len(t, w.all(), after, "a report after the end")
	assert.ErrorIs(t, s.Watch(t.Context(), 0, nil), store.ErrInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, context.Canceled, s.Watch(ctx, every, nil))
}

// Nothing is said to have been seen before it was reported, while many write.
func TestWatchUnderLoad(t *testing.T) {
	m := etcdtest.Start(t)
	s := etcdtest.Open(t, "", m.Endpoint())
	w := watch(t, s, every)
	var mu sync.Mutex
	returned := map[string]time.Time{} // guarded by mu
	var writers sync.WaitGroup
	for i := range 4 {
		other := etcdtest.Open(t, "", m.Endpoint())
		writers.Go(func() {
			for j := range 150 {
				key := fmt.Sprintf("%d-%d", i, j)
				_, err := other.Commit(t.Context(), put(key, strings.Repeat("x", 100), store.Absent))
				assert.NoError(t, err)
				mu.Lock()
				returned[key] = time.Now()
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	w.until(t)
	w.sound(t)
	unseen(t, w.all(), returned)
	assert.Len(t, returned, 600)
}

// unseen requires of every key that no report before the one that has it, and none
// at all if none has it, says that it saw the time when its Commit had returned.
func unseen(t *testing.T, changes []store.Change, returned map[string]time.Time) {
	t.Helper()
	reported := map[string]bool{}
	for i, c := range changes {
		for _, k := range c.Keys {
			reported[k] = true
		}
		for k, at := range returned {
			if !reported[k] && c.Seen.After(at) {
				assert.Fail(t, "not sound", "report %d has seen the time of %s, which was not reported", i, k)
			}
		}
	}
}

// A watch with a member that lags behind the others does not take for seen what the
// others agreed upon, though the store reads from them how far they are.
func TestWatchOnALaggingMember(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, func(cfg *embed.Config) { cfg.TickMs, cfg.ElectionMs = 100, 3000 })
	leader := c.Leader(t)
	lagging := c.Members[0]
	if lagging == leader {
		lagging = c.Members[1]
	}
	// Streams go to the one, everything else to the other.
	leading := etcdtest.Client(t, leader.Endpoint()).ActiveConnection()
	var looks atomic.Int32
	elsewhere := func(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		defer looks.Add(1)
		return leading.Invoke(ctx, method, req, reply, opts...)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{lagging.Endpoint()}, DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(elsewhere)}, Logger: zap.NewNop(),
	})
	require.NoError(t, err)
	defer client.Close()
	s, err := etcd.New(client, "")
	require.NoError(t, err)
	other := etcdtest.Open(t, "", leader.Endpoint())
	w := watch(t, s, every)
	defer w.cancel()
	w.until(t)

	lagging.CutOff()
	commit(t, other, put("k", "", store.Absent))
	returned := map[string]time.Time{"k": time.Now()}
	before := looks.Load()
	require.Eventually(t, func() bool { return looks.Load() > before }, time.Minute, time.Millisecond)
	time.Sleep(10 * every) // chances to say something wrong
	unseen(t, w.all(), returned)
	last := w.all()[len(w.all())-1].Seen
	assert.False(t, last.After(returned["k"]))

	lagging.Rejoin()
	require.Eventually(t, func() bool {
		all := w.all()
		return all[len(all)-1].Seen.After(returned["k"]) || len(w.ended) > 0
	}, time.Minute, time.Millisecond)
	unseen(t, w.all(), returned)
	w.sound(t)
	if len(w.ended) > 0 { // on a machine that is slow enough it was cut off for too long
		t.Logf("it ended: %v", <-w.ended)
	}
}

// A watch that is so slow that the server has forgotten what it missed says so.
func TestWatchBehind(t *testing.T) {
	m := etcdtest.Start(t)
	// Little is to wait for it on the way.
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{m.Endpoint()}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithInitialWindowSize(64 << 10), grpc.WithInitialConnWindowSize(64 << 10)},
	})
	require.NoError(t, err)
	defer client.Close()
	s, err := etcd.New(client, "")
	require.NoError(t, err)
	other := etcdtest.Open(t, "", m.Endpoint())
	w := watch(t, s, every)
	release := w.hold()
	defer release()
	value := strings.Repeat("x", 8<<10)
	for range 400 {
		commit(t, other, put("k", value, store.Any))
	}
	m.Compact(t)
	release()
	assert.ErrorIs(t, w.end(t), store.ErrBehind)
	w.sound(t)
}

// A watch ends when it cannot go on, and not by itself otherwise.
func TestWatchEnds(t *testing.T) {
	m := etcdtest.Start(t)
	p := newProxy(t, m.Endpoint())
	s := etcdtest.OpenConfig(t, etcd.Config{Endpoints: []string{p.endpoint()}, Timeout: time.Second})
	t.Run("connection", func(t *testing.T) {
		w := watch(t, s, every)
		w.until(t)
		p.cut()
		err := w.end(t)
		assert.Error(t, err)
		assert.NotErrorIs(t, err, context.Canceled)
		w.sound(t)
	})
	t.Run("silence", func(t *testing.T) {
		w := watch(t, s, every)
		w.until(t)
		p.silence(true)
		defer p.cut()
		defer p.silence(false)
		assert.Error(t, w.end(t))
		w.sound(t)
	})
	t.Run("server", func(t *testing.T) {
		w := watch(t, s, every)
		m.Kill()
		defer m.Restart(t)
		assert.Error(t, w.end(t))
		assert.Error(t, s.Watch(t.Context(), every, func(store.Change) {}), "there is nobody to begin with")
	})
	t.Run("again", func(t *testing.T) {
		require.Eventually(t, func() bool {
			_, err := s.Get(t.Context(), "k")
			return err == nil
		}, time.Minute, time.Millisecond)
		w := watch(t, s, every)
		commit(t, s, put("k", "", store.Any))
		assert.True(t, w.until(t)["k"])
	})
}
