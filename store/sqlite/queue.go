package sqlite

import (
	"errors"
	"sync"
)

var errClosed = errors.New("sqlite: the store is closed")

// A queue holds the commits that wait for the writer. The caller of the first
// leads: it carries out its own and those behind it, and passes the lead to the
// next that waits. So there is no goroutine of its own, and nobody works for the
// others longer than one transaction.
type queue struct {
	mu      sync.Mutex
	waiting []*commit     // guarded by mu; the first leads
	working bool          // guarded by mu
	idle    chan struct{} // guarded by mu; once closing, closed when nobody works
}

// join adds c. If nobody works, it is c's turn.
func (q *queue) join(c *commit) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle != nil {
		return errClosed
	}
	q.waiting = append(q.waiting, c)
	if !q.working {
		q.working = true
		close(c.turn)
	}
	return nil
}

// next takes up to n commits, that of the caller first.
func (q *queue) next(n int) []*commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return batch
}

// pass gives the turn to the next that waits.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.waiting) > 0:
		close(q.waiting[0].turn)
	default:
		q.waiting, q.working = nil, false
		if q.idle != nil {
			close(q.idle)
		}
	}
}

// close refuses further commits and waits for those under way. It reports whether
// it is the first to do so.
func (q *queue) close() bool {
	q.mu.Lock()
	first := q.idle == nil
	if first {
		q.idle = make(chan struct{})
		if !q.working {
			close(q.idle)
		}
	}
	idle := q.idle
	q.mu.Unlock()
	<-idle
	return first
}
