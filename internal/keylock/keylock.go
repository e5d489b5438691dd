// Package keylock has a mutex for each key, whose wait ends with its context.
//
// Correctness does not depend on it: conditional commits ensure that, on all nodes. It keeps
// requests about one thing from conflicting again and again, and from guessing many times at once.
package keylock

import (
	"context"
	"sync"
)

// Locks is a mutex for each key. The zero value is ready for use.
type Locks[K comparable] struct {
	mu sync.Mutex
	m  map[K]*lock // guarded by mu
}

type lock struct {
	taken chan struct{} // has room for one
	users int           // guarded by Locks.mu: who has the lock or waits for it
}

// Lock waits for the lock of a key. unlock must be called after it, once.
func (l *Locks[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = make(map[K]*lock)
	}
	kl := l.m[key]
	if kl == nil {
		kl = &lock{taken: make(chan struct{}, 1)}
		l.m[key] = kl
	}
	kl.users++
	l.mu.Unlock()

	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if kl.users--; kl.users == 0 {
			delete(l.m, key)
		}
	}
	select {
	case kl.taken <- struct{}{}:
		return func() { <-kl.taken; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}
