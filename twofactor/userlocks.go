package twofactor

import (
	"context"
	"sync"

	"github.com/npmauth/npmauth/protocol"
)

// userLocks is a mutex for each user, whose wait ends with its context. Correctness depends on
// conditional commits alone; the mutex avoids the conflicts of a client that presents one code
// with many parallel requests, as lerna does, which would otherwise use up the retries of
// [store.Transact].
type userLocks struct {
	mu sync.Mutex
	m  map[protocol.UserID]*userLock // guarded by mu
}

type userLock struct {
	taken chan struct{} // has room for one
	users int           // guarded by userLocks.mu: who has the lock or waits for it
}

// lock waits for the user's lock. unlock must be called after it, once.
func (l *userLocks) lock(ctx context.Context, user protocol.UserID) (unlock func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = make(map[protocol.UserID]*userLock)
	}
	ul := l.m[user]
	if ul == nil {
		ul = &userLock{taken: make(chan struct{}, 1)}
		l.m[user] = ul
	}
	ul.users++
	l.mu.Unlock()

	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if ul.users--; ul.users == 0 {
			delete(l.m, user)
		}
	}
	select {
	case ul.taken <- struct{}{}:
		return func() { <-ul.taken; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}
