package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/npmauth/npmauth/store"
)

var errClosed = errors.New("sqlite: the store is closed")

// A commit is one call of Commit on its way. What its caller may have again when
// the call returns, which can be before the commit is carried out, is copied.
type commit struct {
	ctx      context.Context
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
	return &commit{ctx: ctx, ops: ops, done: make(chan struct{})}
}

// writes reports whether c changes anything, and whether it puts.
func (c *commit) writes() (any, puts bool) {
	for i := range c.ops {
		any = any || c.ops[i].Action != store.Check
		puts = puts || c.ops[i].Action == store.Put
	}
	return any, puts
}

// A queue holds the commits that wait for the writer. A goroutine works as long as
// there are any, and then ends.
type queue struct {
	mu      sync.Mutex
	waiting []*commit // guarded by mu
	working bool      // guarded by mu
	closed  bool      // guarded by mu
	workers sync.WaitGroup
}

// join adds c and sees to it that work, which takes the commits off the queue, is
// running.
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

// next takes up to n commits. If there are none, the worker must end.
func (q *queue) next(n int) []*commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting, q.working = nil, false
		return nil
	}
	n = min(n, len(q.waiting))
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
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
