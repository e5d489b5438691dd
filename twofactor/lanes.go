package twofactor

import (
	"context"
	"sync"

	"github.com/npmauth/npmauth/policy"
)

// lanes lets one request of a user at a time through. Correctness rests on
// conditional commits alone; this spares them the conflicts of a client that
// presents one code with many parallel requests, as lerna does, which would
// otherwise use up the retries of [store.Transact].
type lanes struct {
	mu sync.Mutex
	m  map[policy.UserID]*lane // guarded by mu
}

type lane struct {
	turn  chan struct{}
	users int // guarded by lanes.mu: who holds or awaits the turn
}

// enter waits for the user's turn. leave must be called after it, once.
func (l *lanes) enter(ctx context.Context, user policy.UserID) (leave func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = make(map[policy.UserID]*lane)
	}
	ln := l.m[user]
	if ln == nil {
		ln = &lane{turn: make(chan struct{}, 1)}
		l.m[user] = ln
	}
	ln.users++
	l.mu.Unlock()

	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if ln.users--; ln.users == 0 {
			delete(l.m, user)
		}
	}
	select {
	case ln.turn <- struct{}{}:
		return func() { <-ln.turn; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}
