package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/store"
)

// maxTogether is how many commits share one sync at most. It bounds how long the
// first of them waits for the last.
const maxTogether = 64

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := &commit{ctx: ctx, ops: ops, turn: make(chan struct{}), done: make(chan struct{})}
	if err := s.turns.join(c); err != nil {
		return 0, err
	}
	select {
	case <-c.done: // another has carried it out
	case <-c.turn:
		s.lead()
	}
	return c.revision, c.err
}

// lead carries out the commits that wait, the caller's among them.
func (s *Store) lead() {
	batch := s.turns.next(maxTogether)
	s.together(batch)
	for _, c := range batch {
		close(c.done)
	}
	s.turns.pass()
}

// together carries out commits in one transaction. Each has its own outcome; only
// what befalls the transaction befalls them all.
func (s *Store) together(batch []*commit) {
	// Not the context of any one of them: whose ends must not undo the others.
	ctx := context.Background()
	fail := func(err error) {
		for _, c := range batch {
			if c.err == nil {
				c.revision, c.err = 0, err
			}
		}
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		fail(fmt.Errorf("sqlite: begin: %w", err))
		return
	}
	wrote := false
	for _, c := range batch {
		if c.err = c.ctx.Err(); c.err != nil {
			continue // before anything of it was done
		}
		if err := c.do(ctx, tx); err != nil {
			if errors.Is(err, store.ErrConflict) {
				c.err = err
				continue
			}
			// A write may be half done: the transaction is of no use any more.
			fail(fmt.Errorf("sqlite: commit: %w", err))
			_ = tx.Rollback()
			return
		}
		wrote = wrote || c.revision != 0 || c.deletes()
	}
	if !wrote {
		// What was checked held, with the write lock taken: nothing needs a sync.
		if err := tx.Rollback(); err != nil {
			fail(fmt.Errorf("sqlite: commit: %w", err))
		}
		return
	}
	if err := tx.Commit(); err != nil {
		fail(fmt.Errorf("sqlite: commit: %w: %w", store.ErrUnknown, err))
	}
}

// A commit is one call of Commit on its way.
type commit struct {
	ctx      context.Context
	ops      []store.Op
	revision store.Revision
	err      error
	turn     chan struct{} // closed when its caller is to lead
	done     chan struct{} // closed when it was carried out
}

func (c *commit) deletes() bool {
	for _, op := range c.ops {
		if op.Action == store.Delete {
			return true
		}
	}
	return false
}

// do checks every precondition and then writes. Nothing is written if one of them
// does not hold.
func (c *commit) do(ctx context.Context, tx *sql.Tx) error {
	for _, op := range c.ops {
		if op.At == store.Any {
			continue
		}
		var rev store.Revision
		err := tx.QueryRowContext(ctx, "SELECT rev FROM item WHERE key = ?", op.Key).Scan(&rev)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if rev != op.At {
			return fmt.Errorf("sqlite: commit: %w", store.ErrConflict)
		}
	}
	for _, op := range c.ops {
		switch op.Action {
		case store.Check:
		case store.Delete:
			if _, err := tx.ExecContext(ctx, "DELETE FROM item WHERE key = ?", op.Key); err != nil {
				return err
			}
		case store.Put:
			if c.revision == 0 {
				// One counter for all keys and for ever: no revision comes twice.
				if err := tx.QueryRowContext(ctx, "UPDATE counter SET last = last + 1 RETURNING last").Scan(&c.revision); err != nil {
					return err
				}
			}
			value := op.Value
			if value == nil {
				value = []byte{}
			}
			expires := sql.NullInt64{Int64: op.Expires.UnixMicro(), Valid: !op.Expires.IsZero()}
			_, err := tx.ExecContext(ctx, "INSERT INTO item (key, value, rev, expires) VALUES (?, ?, ?, ?) "+
				"ON CONFLICT (key) DO UPDATE SET value = excluded.value, rev = excluded.rev, expires = excluded.expires",
				op.Key, value, c.revision, expires)
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: action %d", store.ErrInvalid, op.Action)
		}
	}
	return nil
}
