package account

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// WithClient returns ctx with the address of the client whose password is checked, so that the
// Hasher can be fair between networks. Calls without it count as one network.
func WithClient(ctx context.Context, addr netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, addr)
}

type clientKey struct{}

// blockOf returns the IP addresses that one client can easily have: the /24 of IPv4, the /56 of
// IPv6 that an access provider gives to a household.
func blockOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	block, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return block
}

// A queue lets a few callers work at once while the others wait, each for at most the same
// time. Networks take turns, so one that sends many does not delay the first of another by more
// than one turn each.
//
// It is bounded. When it is full, a caller displaces the last of the network that has the most
// waiting, if that has two more than its own. A caller that is displaced or finds no place is
// not told at once: an immediate refusal only brings the next request sooner (measured: the
// latency of everything else suffers seven times as much as under a delayed refusal), so it
// waits its time out as well. The server's connections bound how many wait that way.
type queue struct {
	wait  time.Duration
	limit int // places

	mu     sync.Mutex
	free   int // workers; more than 0 only while nobody is queued
	queued int
	blocks map[netip.Prefix][]*waiter // queued, never empty
	turns  []netip.Prefix             // the keys of blocks, next first
}

type waiter struct {
	block netip.Prefix
	ready chan struct{} // closed when granted
	// Guarded by queue.mu.
	granted, queued bool
}

func newQueue(workers, limit int, wait time.Duration) *queue {
	return &queue{free: workers, limit: limit, wait: wait, blocks: make(map[netip.Prefix][]*waiter)}
}

// acquire waits for a worker, which the caller must release if the error is nil. It returns
// ErrBusy when the time is out and the error of ctx when that ends first.
func (q *queue) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	addr, _ := ctx.Value(clientKey{}).(netip.Addr)
	block := blockOf(addr)
	w := &waiter{block: block, ready: make(chan struct{})}
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
	if q.free > 0 {
		q.free--
		return true
	}
	if q.queued >= q.limit && !q.displace(len(q.blocks[w.block])+2) {
		return false
	}
	if len(q.blocks[w.block]) == 0 {
		q.turns = append(q.turns, w.block)
	}
	q.blocks[w.block] = append(q.blocks[w.block], w)
	q.queued++
	w.queued = true
	return false
}

// displace removes the last of the network that has the most waiting, if those are at least so
// many.
func (q *queue) displace(least int) bool {
	var last *waiter
	for _, ws := range q.blocks {
		if len(ws) >= least {
			least = len(ws) + 1
			last = ws[len(ws)-1]
		}
	}
	if last == nil {
		return false
	}
	q.remove(last)
	return true
}

// leave ends the waiting of w and reports whether it was granted a worker.
func (q *queue) leave(w *waiter) (granted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.queued {
		q.remove(w)
	}
	return w.granted
}

// release passes the worker to the next caller.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turns) == 0 {
		q.free++
		return
	}
	block := q.turns[0]
	w := q.blocks[block][0]
	q.remove(w)
	if i := slices.Index(q.turns, block); i >= 0 {
		q.turns = append(slices.Delete(q.turns, i, i+1), block)
	}
	w.granted = true
	close(w.ready)
}

// remove removes w, which is queued, from the queue.
func (q *queue) remove(w *waiter) {
	ws := q.blocks[w.block]
	i := slices.Index(ws, w)
	ws = slices.Delete(ws, i, i+1)
	if len(ws) > 0 {
		q.blocks[w.block] = ws
	} else {
		delete(q.blocks, w.block)
		i := slices.Index(q.turns, w.block)
		q.turns = slices.Delete(q.turns, i, i+1)
	}
	q.queued--
	w.queued = false
}
