package account

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/npmauth/npmauth/subject"
)

// levels is how many groups each caller is in, one in the other.
const levels = 5

// A groupKey names one of the groups among those of the group that it is in.
type groupKey struct {
	known, fresh bool
	network      netip.Prefix
}

// turns is how many turns a group has before the next one has its own. Of those who are not
// known, the fresh ones have three of four: whoever comes from a network that had no turn lately
// does not wait for a thousand networks that had one each.
func (k groupKey) turns() int {
	if k.fresh {
		return 3
	}
	return 1
}

// groupsOf returns the groups that a client is in, widest first: those who are known, or the
// others; of the latter those whose network is fresh, see [queue.fresh], which the caller fills in,
// or the others; and then networks. The smallest are the IP addresses that one client can easily
// have: the /24 of IPv4, the /56 of IPv6 that an access provider gives to a household. The wider
// ones are what one customer of a hosting provider can have, and the provider.
func groupsOf(c subject.Client) [levels]groupKey {
	const first = 2 // level of networks
	addr, bits := c.Addr.Unmap().WithZone(""), [levels - first]int{32, 48, 56}
	if addr.Is4() {
		bits = [levels - first]int{16, 24, 24} // of IPv4 two are enough
	}
	groups := [levels]groupKey{{known: c.Known}}
	for i, n := range bits {
		network, _ := addr.Prefix(n) // of no address: the zero Prefix
		groups[first+i].network = network
	}
	return groups
}

// A queue lets a few callers work at once while the others wait, each for at most the same
// time. Groups take turns, at each level: who has many networks, addresses or connections and
// sends from all of them delays the first caller of another group by no more than one turn (that
// of a network that had a turn lately by three).
//
// It is bounded. When it is full, a caller displaces the last of a group that has at least two
// more waiting than the caller's own at the same level, the heaviest one. A caller that is
// displaced or finds no place is not told at once: an immediate refusal only brings the next
// request sooner (measured: the latency of everything else suffers seven times as much as under
// a delayed refusal), so it waits its time out as well. The server's connections bound how many
// wait that way.
type queue struct {
	wait  time.Duration
	limit int // places

	mu   sync.Mutex
	free int   // workers; more than 0 only while nobody is queued
	all  group // of everybody who is queued

	// The networks of callers who are not known that had a turn since began, and in the period
	// before it. As each entry is a hash that was computed, they cannot become many.
	lately, before map[netip.Prefix]bool
	began          time.Time
}

// A network that had a turn is not fresh for one to two of these.
const period = 15 * time.Minute

// A group is callers that wait. Those of a level that has one below are in the groups of that.
type group struct {
	key     groupKey
	had     int       // turns, since others had one
	in      *group    // nil of the widest
	waiting int       // callers, never 0 but of the widest
	turns   []*group  // below, next first
	waiters []*waiter // of the lowest level, next first
}

type waiter struct {
	groups [levels]groupKey
	ready  chan struct{} // closed when granted
	// Guarded by queue.mu.
	granted bool
	in      *group // of the lowest level; nil: not queued
}

func newQueue(workers, limit int, wait time.Duration) *queue {
	return &queue{free: workers, limit: limit, wait: wait}
}

// acquire waits for a worker, which the caller must release if the error is nil. It returns
// ErrBusy when the time is out and the error of ctx when that ends first.
func (q *queue) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{groups: groupsOf(subject.ClientFrom(ctx)), ready: make(chan struct{})}
	if q.enter(w) {
		return nil
	}
	timer := time.NewTimer(q.wait)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
	case <-ctx.Done():
	case <-timer.C:
		err = ErrBusy
	}
	granted := q.leave(w)
	if cause := ctx.Err(); cause != nil {
		// Nobody waits for the result any more: the worker goes to the next caller.
		if granted {
			q.release()
		}
		return fmt.Errorf("account: waiting to check a password: %w", cause)
	}
	if granted {
		return nil
	}
	return err
}

// enter grants w a worker at once, or queues it if there is a place.
func (q *queue) enter(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.groups[1].fresh = !w.groups[0].known && q.fresh(w.network())
	if q.free > 0 {
		q.free--
		q.hasTurn(w)
		return true
	}
	if q.all.waiting >= q.limit && !q.displace(w) {
		return false
	}
	q.all.add(w)
	return false
}

// displace removes the last caller of the heaviest group at the first level at which that has
// two more waiting than the one of w has.
func (q *queue) displace(w *waiter) bool {
	g := &q.all
	for _, key := range w.groups {
		heaviest, own := g.heaviest(), g.below(key)
		least := 2
		if own != nil {
			least += own.waiting
		}
		if heaviest != nil && heaviest.waiting >= least {
			heaviest.last().remove()
			return true
		}
		if own == nil {
			return false
		}
		g = own
	}
	return false
}

// leave ends the waiting of w and reports whether it was granted a worker.
func (q *queue) leave(w *waiter) (granted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.in != nil {
		w.remove()
	}
	return w.granted
}

// release passes the worker to the next caller.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.all.next()
	if w == nil {
		q.free++
		return
	}
	w.remove()
	q.hasTurn(w)
	w.granted = true
	close(w.ready)
}

// network returns the smallest network of the caller.
func (w *waiter) network() netip.Prefix { return w.groups[levels-1].network }

// fresh reports whether no caller from the network that was not known had a turn lately.
func (q *queue) fresh(network netip.Prefix) bool {
	if now := time.Now(); now.Sub(q.began) >= period {
		q.before = q.lately
		if now.Sub(q.began) >= 2*period {
			q.before = nil
		}
		q.lately, q.began = make(map[netip.Prefix]bool), now
	}
	return !q.lately[network] && !q.before[network]
}

// hasTurn notes the turn of w.
func (q *queue) hasTurn(w *waiter) {
	if !w.groups[0].known {
		q.lately[w.network()] = true
	}
}

// below returns one of the groups of g, or nil.
func (g *group) below(key groupKey) *group {
	i := slices.IndexFunc(g.turns, func(b *group) bool { return b.key == key })
	if i < 0 {
		return nil
	}
	return g.turns[i]
}

// heaviest returns the group of g that has the most waiting, nil if g has no groups.
func (g *group) heaviest() (most *group) {
	for _, b := range g.turns {
		if most == nil || b.waiting > most.waiting {
			most = b
		}
	}
	return most
}

// last returns the last caller of the heaviest groups of g.
func (g *group) last() *waiter {
	for len(g.turns) > 0 {
		g = g.heaviest()
	}
	return g.waiters[len(g.waiters)-1]
}

// next returns the caller whose turn it is, nil if there is none, and gives the next turn to
// others.
func (g *group) next() *waiter {
	for len(g.turns) > 0 {
		first := g.turns[0]
		if first.had++; first.had >= first.key.turns() {
			first.had = 0
			g.turns = append(slices.Delete(g.turns, 0, 1), first)
		}
		g = first
	}
	if len(g.waiters) == 0 {
		return nil
	}
	return g.waiters[0]
}

// add adds w to its groups, g being the widest.
func (g *group) add(w *waiter) {
	g.waiting++
	for _, key := range w.groups {
		below := g.below(key)
		if below == nil {
			below = &group{key: key, in: g}
			g.turns = append(g.turns, below)
		}
		below.waiting++
		g = below
	}
	g.waiters = append(g.waiters, w)
	w.in = g
}

// remove removes w from its groups, and the groups that are empty then.
func (w *waiter) remove() {
	g := w.in
	w.in = nil
	g.waiters = slices.DeleteFunc(g.waiters, func(other *waiter) bool { return other == w })
	for ; g != nil; g = g.in {
		g.waiting--
		if g.waiting == 0 && g.in != nil {
			g.in.turns = slices.DeleteFunc(g.in.turns, func(b *group) bool { return b == g })
		}
	}
}
