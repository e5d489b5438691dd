package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/npmauth/npmauth/store"
)

// maxTogether is how many commits share one transaction, and so one sync, at
// most. It bounds how long the first of them waits for the last.
const maxTogether = 64

// While another process writes, a commit tries to get the write lock repeatedly, at random
// times up to a bound that doubles from askMin to askMax, and gives up after maxPatience.
const (
	maxPatience = 5 * time.Second
	askMin      = time.Millisecond
	askMax      = 8 * time.Millisecond
)

// Commit implements [store.Store]. If ctx ends while the commit waits for others, it does not
// happen; if later, the error wraps [store.ErrUnknown].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := newCommit(ctx, ops)
	if err := s.queue.join(c, s.work); err != nil {
		return 0, err
	}
	select {
	case <-c.done:
		return c.revision, c.err
	case <-ctx.Done():
	}
	if s.queue.withdraw(c) {
		return 0, ctx.Err()
	}
	select {
	case <-c.done:
		return c.revision, c.err
	default:
		return 0, fmt.Errorf("sqlite: commit: %w: %w", store.ErrUnknown, ctx.Err())
	}
}

// work carries out the waiting commits, until there are none. They stay in the queue, and can
// be withdrawn, until this process has the write lock.
func (s *Store) work() {
	for s.queue.more() {
		begun, err := s.begin()
		if !begun && err == nil {
			continue
		}
		batch := s.queue.next(maxTogether)
		if err == nil {
			s.together(batch)
		} else {
			spoil(batch, err)
		}
		for _, c := range batch {
			close(c.done)
		}
	}
}

// begin begins a transaction when it gets the write lock. SQLite has no queue for processes:
// they retry, and at growing intervals, so that a process which writes without a pause would
// keep the others out for long. Frequent retries at random times find its pauses soon. A commit
// that has waited too long fails; if none is left, nothing is begun and that is no error.
func (s *Store) begin() (begun bool, err error) {
	ctx := context.Background() // see together
	if s.writer == nil {
		if s.writer, err = newWriter(ctx, s.writers, s.keep); err != nil {
			return false, err
		}
	}
	for bound := askMin; ; bound = min(2*bound, askMax) {
		_, err := s.writer.begin.ExecContext(ctx)
		if err == nil {
			return true, nil
		}
		if !isBusy(err) {
			s.discard() // it may have begun after all
			return false, err
		}
		expired, left := s.queue.expire(time.Now().Add(-s.patience))
		for _, c := range expired {
			c.fail(fmt.Errorf("sqlite: commit: it was not its turn for %s, nothing was written: %w", s.patience, err))
		}
		if !left {
			return false, nil
		}
		time.Sleep(rand.N(bound)) // jitter, not a secret
	}
}

// isBusy reports whether err means that another process has a lock.
func isBusy(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY // includes SQLITE_BUSY_SNAPSHOT and _RECOVERY
}

// together carries out commits in the transaction that has begun. Each has its own outcome, but
// a failure of the transaction is that of all.
func (s *Store) together(batch []*commit) {
	// Not the context of any of the commits, whose end must not undo the others.
	ctx := context.Background()
	if err := s.transaction(ctx, batch); err != nil {
		spoil(batch, err)
	}
}

// spoil gives commits the error of their transaction, also one whose precondition failed: it
// may have read what another of them wrote, which is now undone.
func spoil(batch []*commit, err error) {
	for _, c := range batch {
		if c.ctx.Err() == nil || !errors.Is(c.err, c.ctx.Err()) {
			c.revision, c.err = 0, fmt.Errorf("sqlite: commit: %w", err)
		}
	}
}

// transaction returns an error if the transaction failed, or may have failed.
func (s *Store) transaction(ctx context.Context, batch []*commit) error {
	w := s.writer
	wrote, err := w.apply(ctx, batch)
	if err != nil {
		s.discard()
		return err
	}
	if !wrote {
		// The checks were made under the write lock: nothing needs a sync.
		if _, err := w.rollback.ExecContext(ctx); err != nil {
			s.discard()
			return err
		}
		return nil
	}
	defer s.alarm.ring() // whatever the result
	if _, err := w.commit.ExecContext(ctx); err != nil {
		// It may have reached the disk before it failed.
		s.discard()
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return nil
}

// discard closes the writer's connection, which rolls back what is open on it.
func (s *Store) discard() {
	s.writer.close()
	s.writer = nil
}
