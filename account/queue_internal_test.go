package account

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/subject"
)

const work = 20 * time.Millisecond

func from(ctx context.Context, addr string) context.Context {
	return subject.WithClient(ctx, subject.Client{Addr: netip.MustParseAddr(addr)})
}

// idle asserts that no worker was lost and no caller still waits.
func idle(t *testing.T, q *queue, workers int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	assert.Equal(t, workers, q.free)
	assert.Zero(t, q.all.waiting)
	assert.Empty(t, q.all.turns)
}

// PW-01: 500 sign-ins at once. As many as there are workers hash, those whose turn comes in
// time are served, and the others are refused after the wait and never before.
func TestQueueFlood(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			const wait = time.Second
			q := newQueue(workers, 64, wait)
			var (
				mu                    sync.Mutex
				working, most, served int
				refused               int
			)
			start := time.Now()
			for range 500 {
				go func() {
					err := q.acquire(t.Context())
					if err != nil {
						assert.ErrorIs(t, err, ErrBusy)
						assert.Equal(t, wait, time.Since(start), "held, not fired back")
						mu.Lock()
						refused++
						mu.Unlock()
						return
					}
					mu.Lock()
					working++
					most = max(most, working)
					mu.Unlock()
					time.Sleep(work)
					mu.Lock()
					working--
					served++
					mu.Unlock()
					q.release()
				}()
			}
			time.Sleep(2 * wait)
			synctest.Wait()
			assert.Equal(t, workers, most)
			// Callers that found a worker or a place, as far as the time sufficed.
			assert.InDelta(t, min(workers+64, workers*int(wait/work)), served, float64(workers))
			assert.Equal(t, 500, served+refused)
			idle(t, q, workers)
		})
	}
}

// One network that floods delays the first caller of another by one turn.
func TestQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, 10*time.Second)
		var mu sync.Mutex
		var order []string
		signIn := func(name, addr string) {
			assert.NoError(t, q.acquire(from(t.Context(), addr)))
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
			time.Sleep(work)
			q.release()
		}
		for range 5 {
			go signIn("a", "192.0.2.1")
			synctest.Wait()
		}
		for _, other := range [][2]string{{"b", "198.51.100.7"}, {"c", "2001:db8::1"}, {"b", "198.51.100.8"}, {"a", "192.0.2.200"}} {
			go signIn(other[0], other[1])
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// The first a was at work already, and the second next in line. The others are fresh.
		assert.Equal(t, []string{"a", "a", "b", "c", "b", "a", "a", "a", "a"}, order)
		idle(t, q, 1)
	})
}

// AU-21: once each of a thousand networks had its turn, those of networks that had none have three
// of four, and the thousand share the fourth. After half an hour they are fresh again.
func TestQueueFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, 10*time.Second)
		for i := range 1000 {
			require.NoError(t, q.acquire(from(t.Context(), fmt.Sprintf("10.%d.%d.1", i/250, i%250))))
			q.release()
		}
		require.NoError(t, q.acquire(subject.WithClient(t.Context(), subject.Client{Known: true})))
		var mu sync.Mutex
		var order []string
		signIn := func(name, addr string) {
			if q.acquire(from(t.Context(), addr)) == nil {
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				time.Sleep(work)
				q.release()
			}
		}
		for i := range 64 {
			go signIn("again", fmt.Sprintf("10.%d.%d.1", i/16, i%16))
			synctest.Wait()
		}
		for i := range 5 {
			go signIn("new", fmt.Sprintf("192.0.%d.1", i))
			synctest.Wait()
		}
		q.release()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"again", "new", "new", "new", "again", "new", "new", "again"}, order[:8])
		assert.Len(t, order, 64, "who is new displaces others")

		time.Sleep(2 * period)
		q.mu.Lock()
		assert.True(t, q.fresh(netip.MustParsePrefix("10.0.1.0/24")))
		q.mu.Unlock()
		idle(t, q, 1)
	})
}

// A queue that one network has filled still has a place for another.
func TestQueueFullOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = time.Second
		q := newQueue(1, 4, wait)
		require.NoError(t, q.acquire(t.Context())) // the worker, until released below

		results := make(map[string]error)
		after := make(map[string]time.Duration)
		var mu sync.Mutex
		start := time.Now()
		signIn := func(name, addr string) {
			err := q.acquire(from(t.Context(), addr))
			mu.Lock()
			results[name], after[name] = err, time.Since(start)
			mu.Unlock()
			if err == nil {
				q.release()
			}
		}
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5"} { // a5 finds no place
			go signIn(name, "192.0.2.1")
			synctest.Wait()
		}
		for _, name := range []string{"b1", "b2"} { // they displace a4 and a3
			go signIn(name, "198.51.100.1")
			synctest.Wait()
		}
		go signIn("b3", "198.51.100.1") // both have two by now: no place
		synctest.Wait()
		go signIn("c1", "203.0.113.1") // displaces the last of either
		synctest.Wait()
		assert.Equal(t, 4, q.all.waiting)
		mu.Lock()
		assert.Empty(t, results, "nobody was told anything yet")
		mu.Unlock()

		time.Sleep(wait / 2)
		q.release()
		synctest.Wait()
		mu.Lock()
		for _, name := range []string{"a1", "b1", "c1"} {
			assert.Contains(t, results, name)
			assert.NoError(t, results[name], name)
			assert.Equal(t, wait/2, after[name], name)
		}
		assert.Len(t, results, 4, "the others are still held")
		mu.Unlock()
		time.Sleep(wait)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"a3", "a4", "a5", "b3"} {
			assert.ErrorIs(t, results[name], ErrBusy, name)
			assert.Equal(t, wait, after[name], name)
		}
		assert.NotEqual(t, results["a2"] == nil, results["b2"] == nil, "one of them was displaced")
		idle(t, q, 1)
	})
}

// PW-02: a caller that disconnects leaves at once, and the worker goes to the next.
func TestQueueCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 4, time.Minute)
		require.NoError(t, q.acquire(t.Context()))

		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- q.acquire(ctx) }()
		synctest.Wait()
		stays := make(chan error, 1)
		go func() { stays <- q.acquire(t.Context()) }()
		synctest.Wait()

		start := time.Now()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 1, q.all.waiting)

		q.release()
		require.NoError(t, <-stays)
		q.release()
		idle(t, q, 1)

		assert.ErrorIs(t, q.acquire(ctx), context.Canceled, "not even when a worker is free")
		idle(t, q, 1)
	})
}

// PW-02: a worker that is granted in the instant of the disconnection, or of the deadline, is
// not lost.
func TestQueueGrantMeetsTheEnd(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(1, 4, time.Second)
			require.NoError(t, q.acquire(t.Context()))
			time.AfterFunc(time.Second, q.release)

			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, ctx := range []context.Context{ctx, t.Context()} {
				go func() {
					if q.acquire(ctx) == nil {
						q.release()
					}
				}()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			idle(t, q, 1)
		})
	}
}

// PW-02: a caller that left before a worker came free does not get it, although the waiter sees
// both when it runs.
func TestQueueGrantAfterCancel(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(1, 4, time.Minute)
			require.NoError(t, q.acquire(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- q.acquire(ctx) }()
			synctest.Wait()
			cancel()
			q.release()
			assert.ErrorIs(t, <-done, context.Canceled)
			idle(t, q, 1)
		})
	}
}

func TestQueueStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, places = 3, 8
		q := newQueue(workers, places, 200*time.Millisecond)
		rnd := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		working := 0
		for range 2000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(400))*time.Millisecond)
			addr := netip.AddrFrom4([4]byte{10, 0, byte(rnd.IntN(4) * rnd.IntN(4)), 1})
			known := rnd.IntN(3) == 0
			takes := time.Duration(rnd.IntN(40)) * time.Millisecond
			go func() {
				defer cancel()
				if q.acquire(subject.WithClient(ctx, subject.Client{Addr: addr, Known: known})) != nil {
					return
				}
				mu.Lock()
				working++
				assert.LessOrEqual(t, working, workers)
				mu.Unlock()
				time.Sleep(takes)
				mu.Lock()
				working--
				mu.Unlock()
				q.release()
			}()
			time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond)
			q.mu.Lock()
			assert.LessOrEqual(t, q.all.waiting, places)
			consistent(t, &q.all)
			q.mu.Unlock()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		idle(t, q, workers)
	})
}

// consistent asserts that a group has what its groups have, and none that is empty.
func consistent(t *testing.T, g *group) {
	t.Helper()
	sum := len(g.waiters)
	for _, below := range g.turns {
		assert.Same(t, g, below.in)
		assert.NotZero(t, below.waiting)
		consistent(t, below)
		sum += below.waiting
	}
	assert.Equal(t, sum, g.waiting)
}

// full returns a queue whose only worker is taken, and whose places are taken by callers of
// the addresses, in this order.
func full(t *testing.T, clients ...subject.Client) *queue {
	t.Helper()
	q := newQueue(1, len(clients), time.Second)
	require.NoError(t, q.acquire(t.Context()))
	for _, c := range clients {
		go func() {
			if q.acquire(subject.WithClient(t.Context(), c)) == nil {
				q.release()
			}
		}()
		synctest.Wait()
	}
	require.Equal(t, len(clients), q.all.waiting)
	return q
}

// one returns the IP address of a number of a network, which is written with %d.
func one(network string, n int) subject.Client {
	return subject.Client{Addr: netip.MustParseAddr(fmt.Sprintf(network, n))}
}

// AU-21: who has many networks has taken all places with one caller of each, and still those of
// others find one: as many as it would have had if it had sent them from one network.
func TestQueueFullOfOneProvider(t *testing.T) {
	for name, network := range map[string]string{
		"households of a /48": "2001:db8:1:%x00::1",
		"many /48 of a /32":   "2001:db8:%x::1",
		"many /24 of a /16":   "192.0.%d.1",
	} {
		for _, other := range []string{"2001:db9::1", "198.51.100.1", "192.1.2.1"} {
			t.Run(name+", "+other, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var flood []subject.Client
					for i := range 64 {
						flood = append(flood, one(network, i))
					}
					q := full(t, flood...)
					var served atomic.Int32
					for range 33 {
						go func() {
							if q.acquire(from(t.Context(), other)) == nil {
								served.Add(1)
								q.release()
							}
						}()
						synctest.Wait()
					}
					assert.Equal(t, 64, q.all.waiting)
					q.release()
					time.Sleep(2 * time.Second)
					synctest.Wait()
					assert.Equal(t, int32(32), served.Load(), "half of the places")
					idle(t, q, 1)
				})
			})
		}
	}
}

// AU-21: a flood in one's own /24 or household is one's own group; who is known is in another,
// which has every other turn and half of the places.
func TestQueueKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := full(t, slices.Repeat([]subject.Client{one("192.0.2.%d", 1)}, 8)...)
		var turn []int
		var mu sync.Mutex
		known := subject.WithClient(t.Context(), subject.Client{Addr: netip.MustParseAddr("192.0.2.1"), Known: true})
		for i := range 5 {
			go func() {
				if q.acquire(known) == nil {
					mu.Lock()
					turn = append(turn, i)
					mu.Unlock()
					time.Sleep(work)
					q.release()
				}
			}()
			synctest.Wait()
		}
		assert.Equal(t, []int{4, 4}, []int{q.all.turns[0].waiting, q.all.turns[1].waiting})
		q.release()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2, 3}, turn)
		idle(t, q, 1)

		q = full(t, slices.Repeat([]subject.Client{{Known: true}}, 8)...)
		go func() {
			assert.NoError(t, q.acquire(from(t.Context(), "192.0.2.1")))
			q.release()
		}()
		synctest.Wait()
		q.release() // nor do those who are known keep the others out
		time.Sleep(2 * time.Second)
		synctest.Wait()
		idle(t, q, 1)
	})
}

// Turns are taken at each level: a provider's many networks have together what another's one has.
func TestQueueTurnsOfProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, 10*time.Second)
		require.NoError(t, q.acquire(t.Context()))
		var mu sync.Mutex
		var order []string
		for _, addr := range []string{"192.0.2.1", "192.0.3.1", "192.0.4.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "198.51.100.3"} {
			go func() {
				assert.NoError(t, q.acquire(from(t.Context(), addr)))
				mu.Lock()
				order = append(order, addr)
				mu.Unlock()
				time.Sleep(work)
				q.release()
			}()
			synctest.Wait()
		}
		q.release()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"192.0.2.1", "198.51.100.1", "192.0.3.1", "198.51.100.2", "192.0.4.1", "198.51.100.3", "192.0.2.2"}, order)
		idle(t, q, 1)
	})
}

func TestGroupsOf(t *testing.T) {
	for addr, want := range map[string][]string{
		"192.0.2.77":              {"192.0.0.0/16", "192.0.2.0/24", "192.0.2.0/24"},
		"::ffff:192.0.2.77":       {"192.0.0.0/16", "192.0.2.0/24", "192.0.2.0/24"},
		"2001:db8:1:2ff:3:4:5:6":  {"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:200::/56"},
		"fe80:0:0:1ab::1%eth0":    {"fe80::/32", "fe80::/48", "fe80:0:0:100::/56"},
		"255.255.255.255":         {"255.255.0.0/16", "255.255.255.0/24", "255.255.255.0/24"},
		"::ffff:255.255.255.255%": {"invalid Prefix", "invalid Prefix", "invalid Prefix"},
	} {
		a, _ := netip.ParseAddr(addr)
		groups := groupsOf(subject.Client{Addr: a, Known: true})
		assert.Equal(t, []groupKey{{known: true}, {}}, groups[:2])
		for i, network := range want {
			assert.Equal(t, network, groups[i+2].network.String(), addr)
		}
	}
}
