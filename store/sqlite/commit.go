package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/store"
)

// maxTogether is how many commits share one transaction, and so one sync, at
// most. It bounds how long the first of them waits for the last.
const maxTogether = 64

// Commit implements [store.Store]. If ctx ends while the commit waits for others,
// it does not happen; if later, the error wraps [store.ErrUnknown].
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

// work carries out the commits that wait, until there are none.
func (s *Store) work() {
	for {
		batch := s.queue.next(maxTogether)
		if batch == nil {
			return
		}
		s.together(batch)
		for _, c := range batch {
			close(c.done)
		}
	}
}

// together carries out commits in one transaction. Each has its own outcome, but
// what befalls the transaction befalls them all: also one whose precondition
// failed may have met what another of them wrote, which is now undone.
func (s *Store) together(batch []*commit) {
	// Not the context of any one of them, whose end must not undo the others.
	ctx := context.Background()
	err := s.transaction(ctx, batch)
	if err == nil {
		return
	}
	for _, c := range batch {
		if c.ctx.Err() == nil || !errors.Is(c.err, c.ctx.Err()) {
			c.revision, c.err = 0, fmt.Errorf("sqlite: commit: %w", err)
		}
	}
}

// transaction returns an error if the transaction came to nothing, or may have.
func (s *Store) transaction(ctx context.Context, batch []*commit) (err error) {
	if s.writer == nil {
		if s.writer, err = newWriter(ctx, s.writers); err != nil {
			return err
		}
	}
	w := s.writer
	if _, err := w.begin.ExecContext(ctx); err != nil {
		s.discard() // it may have begun after all
		return err
	}
	wrote, err := w.apply(ctx, batch)
	if err != nil {
		s.discard()
		return err
	}
	if !wrote {
		// What was checked held while the write lock was: nothing needs a sync.
		if _, err := w.rollback.ExecContext(ctx); err != nil {
			s.discard()
			return err
		}
		return nil
	}
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
