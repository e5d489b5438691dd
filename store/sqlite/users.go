package sqlite

import (
	"context"
	"sync"
)

// Users are the long calls, Watch and Backup. Close ends them.
type users struct {
	mu      sync.Mutex
	closed  bool          // guarded by mu
	ended   chan struct{} // closed with the store
	running sync.WaitGroup
}

// run runs call with a context that ends with the store, too, unless the store is closed
// already. If the context was over by the end, its error is returned.
func (u *users) run(ctx context.Context, call func(context.Context) error) error {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return errClosed
	}
	u.running.Add(1)
	u.mu.Unlock()
	defer u.running.Done()

	if err := ctx.Err(); err != nil {
		return err
	}
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-both.Done():
		case <-u.ended:
			cancel()
		}
	}()
	err := call(both)
	if err == nil || both.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // instead of the error that a statement was interrupted
	}
	return errClosed
}

// close ends every call, and waits for it.
func (u *users) close() {
	u.mu.Lock()
	if !u.closed {
		u.closed = true
		close(u.ended)
	}
	u.mu.Unlock()
	u.running.Wait()
}
