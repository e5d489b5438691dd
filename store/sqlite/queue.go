package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/npmauth/npmauth/store"
)

var errClosed = errors.New("sqlite: the store is closed")

// A commit is one call of Commit on its way. The arguments that its caller may reuse when the
// call returns, which can be before the commit is carried out, are copied.
type commit struct {
	ctx      context.Context
	since    time.Time // when it began to wait
	ops      []store.Op
	revision store.Revision // may be read once done is closed, like err
	err      error
	done     chan struct{}
}

func newCommit(ctx context.Context, ops []store.Op) *commit {
	ops = slices.Clone(ops)
	for i := range ops {
		if ops[i].Action == store.Put {
			ops[i].Value = append([]byte{}, ops[i].Value...) // never nil, which would be NULL
		}
	}
	return &commit{ctx: ctx, since: time.Now(), ops: ops, done: make(chan struct{})}
}

// writes reports whether c changes anything, and whether it puts.
func (c *commit) writes() (any, puts bool) {
	for i := range c.ops {
		any = any || c.ops[i].Action != store.Check
		puts = puts || c.ops[i].Action == store.Put
	}
	return any, puts
}

// written appends the keys that c writes to keys.
func (c *commit) written(keys []string) []string {
	for i := range c.ops {
		if c.ops[i].Action != store.Check {
			keys = append(keys, c.ops[i].Key)
		}
	}
	return keys
}

// fail ends c with an error that means that nothing of it was written.
func (c *commit) fail(err error) {
	c.revision, c.err = 0, err
	close(c.done)
}

// A queue is the commits that wait for the writer. A goroutine works as long as there are any,
// and then ends.
type queue struct {
	mu      sync.Mutex
	waiting []*commit // guarded by mu
	working bool      // guarded by mu
	closed  bool      // guarded by mu
	workers sync.WaitGroup
}

// join adds c and makes sure that work, which takes commits off the queue, is running.
func (q *queue) join(c *commit, work func()) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, c)
	if !q.working {
		q.working = true
		q.workers.Go(work)
	}
	return nil
}

// more reports whether commits wait. If none do, the worker must end.
func (q *queue) more() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting, q.working = nil, false
	}
	return q.working
}

// next takes up to n commits.
func (q *queue) next(n int) []*commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// expire takes the commits off the queue that have waited since before a time, and reports
// whether any are left.
func (q *queue) expire(before time.Time) (expired []*commit, left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0 // they are nearly in the order of since
	for n < len(q.waiting) && q.waiting[n].since.Before(before) {
		n++
	}
	expired = slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return expired, len(q.waiting) > 0
}

// withdraw takes c off the queue, unless it was taken already.
func (q *queue) withdraw(c *commit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// close refuses further commits and waits for those under way. It reports whether
// it is the first to do so.
func (q *queue) close() bool {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.mu.Unlock()
	q.workers.Wait()
	return first
}
