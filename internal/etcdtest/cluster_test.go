package etcdtest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
	"github.com/npmauth/npmauth/store/storetest"
)

// The contract again, with handles whose calls go to three members in turn.
func TestStoreOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("TestStore covers one node")
	}
	t.Parallel()
	storetest.Run(t, conformance(etcdtest.StartCluster(t).Endpoints()...))
}

// An attempt is one Commit that adds to a counter, spends one of several things that
// can be spent once, and leaves a mark of its own.
type attempt struct {
	mark, thing string
	err         error
}

// contend lets workers make attempts until each has enough that succeeded.
func contend(t *testing.T, stores []store.Store, things, enough int, succeeded func(total int32)) []attempt {
	t.Helper()
	var mu sync.Mutex
	var attempts []attempt // guarded by mu
	var total atomic.Int32
	var workers sync.WaitGroup
	for i, s := range stores {
		workers.Go(func() {
			good := 0
			for j := 0; good < enough && j < 100*enough; j++ {
				a := attempt{mark: fmt.Sprintf("mark/%d-%04d", i, j), thing: fmt.Sprint("thing/", j%things)}
				a.err = try(t.Context(), s, a)
				mu.Lock()
				attempts = append(attempts, a)
				mu.Unlock()
				if a.err == nil {
					good++
					succeeded(total.Add(1))
				}
			}
		})
	}
	workers.Wait()
	return attempts
}

// errBefore is the error of an attempt that came to nothing before its Commit.
var errBefore = errors.New("not even tried")

func try(ctx context.Context, s store.Store, a attempt) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	items, err := s.Get(ctx, "count", a.thing)
	if err != nil {
		return fmt.Errorf("%w: %w", errBefore, err)
	}
	n := 0
	if items[0].Exists() {
		if n, err = strconv.Atoi(string(items[0].Value)); err != nil {
			return err
		}
	}
	ops := []store.Op{
		{Key: "count", At: items[0].Revision, Action: store.Put, Value: []byte(strconv.Itoa(n + 1))},
		put(a.mark, "", store.Absent),
	}
	if items[1].Exists() {
		ops = append(ops, store.Op{Key: a.thing, At: items[1].Revision, Action: store.Delete}, put("spent/"+a.thing, a.mark, store.Absent))
	}
	_, err = s.Commit(ctx, ops...)
	return err
}

// While many write, the leader is killed, comes back, and is stopped in good order
// wherever it is then. What was acknowledged is there, what was refused is not, and
// nothing was spent twice: that would be a conflict on "spent/…" (ST-03, ST-04).
func TestLeaderLostUnderLoad(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t)
	endpoints := c.Endpoints()
	direct := etcdtest.Open(t, "", endpoints...)
	const workers, things = 4, 5
	for i := range things {
		commit(t, direct, put(fmt.Sprint("thing/", i), "", store.Absent))
	}
	var stores []store.Store
	for range workers {
		stores = append(stores, etcdtest.OpenConfig(t, etcd.Config{Endpoints: endpoints, Timeout: time.Second}))
	}
	enough := 40
	if testing.Short() {
		enough = 16
	}
	disturb := make(chan struct{}, 3)
	var disturbed sync.WaitGroup
	disturbed.Go(func() {
		<-disturb
		leader := c.Leader(t)
		leader.Kill()
		<-disturb
		c.Leader(t)
		leader.Restart(t)
		<-disturb
		c.Leader(t).Stop()
	})
	quarter := int32(workers * enough / 4)
	attempts := contend(t, stores, things, enough, func(total int32) {
		if total == quarter || total == 2*quarter || total == 3*quarter {
			disturb <- struct{}{}
		}
	})
	close(disturb)
	disturbed.Wait()

	marks := map[string]bool{}
	for after := ""; ; {
		page, err := direct.List(t.Context(), "mark/", after, store.MaxLimit)
		require.NoError(t, err)
		for _, it := range page {
			marks[it.Key] = true
			after = it.Key
		}
		if len(page) < store.MaxLimit {
			break
		}
	}
	outcomes := map[string]int{}
	assert.GreaterOrEqual(t, len(marks), workers*enough)
	for _, a := range attempts {
		switch {
		case a.err == nil:
			outcomes["acknowledged"]++
			assert.True(t, marks[a.mark], "%s was acknowledged and is lost", a.mark)
		case errors.Is(a.err, errBefore):
			outcomes["read failed"]++
			assert.False(t, marks[a.mark])
		case errors.Is(a.err, store.ErrUnknown):
			outcomes["unknown"]++
			assert.NotErrorIs(t, a.err, store.ErrConflict)
		case errors.Is(a.err, store.ErrConflict):
			outcomes["conflict"]++
			assert.False(t, marks[a.mark], "%s happened and was called a conflict", a.mark)
		default:
			outcomes["refused"]++
			assert.False(t, marks[a.mark], "%s happened and returned %v", a.mark, a.err)
		}
	}
	t.Logf("%v; %d happened", outcomes, len(marks))
	assert.Equal(t, strconv.Itoa(len(marks)), string(get(t, direct, "count").Value), "each that happened counted once")
	for i := range things {
		thing := fmt.Sprint("thing/", i)
		assert.False(t, get(t, direct, thing).Exists())
		by := string(get(t, direct, "spent/"+thing).Value)
		assert.True(t, marks[by], "%s was spent by %q", thing, by)
	}
}

// certain repeats a Commit, which it must be possible to do twice, until it is not
// unknown: a connection may be breaking, or an election going on.
func certain(t *testing.T, s store.Store, op store.Op) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		_, err = s.Commit(t.Context(), op)
		return !errors.Is(err, store.ErrUnknown)
	}, time.Minute, time.Millisecond)
	require.NoError(t, err)
}

// A member that is cut off from the others answers nothing: neither a read, which
// would be old, nor a Commit, not even one of checks (ST-07). The others go on, also
// for stores that have it among their endpoints. A watch with it ends, for it would
// hear no more.
func TestMinority(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t)
	for name, choose := range map[string]func() *etcdtest.Member{
		"leader": func() *etcdtest.Member { return c.Leader(t) },
		"follower": func() *etcdtest.Member {
			leader := c.Leader(t)
			for _, m := range c.Members {
				if m != leader {
					return m
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			alone := choose()
			prefix := name + "/"
			minority := etcdtest.OpenConfig(t, etcd.Config{Endpoints: []string{alone.Endpoint()}, Prefix: prefix, Timeout: 300 * time.Millisecond})
			all := etcdtest.OpenConfig(t, etcd.Config{Endpoints: c.Endpoints(), Prefix: prefix, Timeout: 20 * time.Second})
			rev := commit(t, all, put("k", "old", store.Absent))
			assert.Equal(t, "old", string(get(t, minority, "k").Value))

			w := watch(t, minority, every)

			alone.CutOff()
			c.Leader(t, alone)
			var others []string
			for _, m := range c.Members {
				if m != alone {
					others = append(others, m.Endpoint())
				}
			}
			majority := etcdtest.Open(t, prefix, others...)
			certain(t, majority, put("k", "new", store.Any))
			assert.Equal(t, "new", string(get(t, majority, "k").Value))

			denied := func(what string, err error) {
				t.Helper()
				require.Error(t, err, what)
				assert.NotErrorIs(t, err, store.ErrConflict, what)
			}
			_, err := minority.Get(t.Context(), "k")
			denied("get", err)
			_, err = minority.Commit(t.Context(), store.Op{Key: "k", At: rev})
			denied("check of what it takes for true", err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = minority.Get(ctx, "k", "l")
			denied("get of two", err)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			_, err = minority.List(ctx, "", "", 1)
			denied("list", err)
			_, err = minority.Commit(t.Context(), put("k", "of the minority", rev))
			denied("put", err)

			require.Eventually(t, func() bool { return alone.Lost() }, time.Minute, time.Millisecond)
			for i := range 9 { // each member's turn
				certain(t, all, put(fmt.Sprint("on-", i), "", store.Any))
				assert.Equal(t, "new", string(get(t, all, "k").Value))
			}
			err = w.end(t)
			assert.Error(t, err)
			assert.NotErrorIs(t, err, store.ErrBehind)
			w.sound(t)
			for _, c := range w.all() {
				assert.NotContains(t, c.Keys, "k", "what the others agreed upon since")
			}

			alone.Rejoin()
			require.Eventually(t, func() bool {
				items, err := minority.Get(t.Context(), "k")
				if err != nil {
					return false
				}
				require.Equal(t, "new", string(items[0].Value))
				return true
			}, time.Minute, time.Millisecond)
		})
	}
}

// One member of three may be stopped; two may not, and what was committed is there
// when they are back.
func TestMajority(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t)
	s := etcdtest.OpenConfig(t, etcd.Config{Endpoints: c.Endpoints(), Timeout: 20 * time.Second})
	first := c.Leader(t)
	commit(t, s, put("a", "1", store.Absent))
	first.Stop()
	second := c.Leader(t)
	assert.Equal(t, "1", string(get(t, s, "a").Value))
	certain(t, s, put("b", "2", store.Any))
	second.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Get(ctx, "b")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	first.Restart(t)
	c.Leader(t)
	assert.Equal(t, "2", string(get(t, s, "b").Value), "from the one that knew it")
	certain(t, s, put("c", "3", store.Any))
}
