package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/npmauth/npmauth/store"
)

// A writer is the connection that writes, with its statements. Only one goroutine uses it at a
// time.
type writer struct {
	conn                    *sql.Conn
	begin, commit, rollback *sql.Stmt
	revision, reserve       *sql.Stmt
	put, delete             *sql.Stmt
	log, trim               *sql.Stmt // of the change log

	keep int64 // rows of the change log
}

func newWriter(ctx context.Context, db *sql.DB, keep int64) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, keep: keep}
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		// IMMEDIATE takes the write lock before anything is read, so that what is read stays
		// true until the end.
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.revision, "SELECT rev FROM items WHERE key = ?"},
		// One counter for all keys and for ever: no revision is reused.
		{&w.reserve, "UPDATE counter SET last = last + ? RETURNING last"},
		{&w.put, "INSERT INTO items (key, value, rev, expires) VALUES (?, ?, ?, ?) " +
			"ON CONFLICT (key) DO UPDATE SET value = excluded.value, rev = excluded.rev, expires = excluded.expires"},
		{&w.delete, "DELETE FROM items WHERE key = ?"},
		{&w.log, "INSERT INTO change (keys) VALUES (?)"},
		{&w.trim, "DELETE FROM change WHERE seq IN (SELECT seq FROM change WHERE seq <= ? ORDER BY seq LIMIT ?)"},
	} {
		if *p.stmt, err = conn.PrepareContext(ctx, p.query); err != nil {
			w.close()
			return nil, err
		}
	}
	// begin itself waits for the lock, and does it better.
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// close rolls back what is open and closes the connection itself, instead of returning it to
// the pool. It may fail: what was not committed is gone in any case.
func (w *writer) close() {
	if w.rollback != nil {
		_, _ = w.rollback.ExecContext(context.Background())
	}
	for _, stmt := range []*sql.Stmt{w.begin, w.commit, w.rollback, w.revision, w.reserve, w.put, w.delete, w.log, w.trim} {
		if stmt != nil {
			_ = stmt.Close()
		}
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
}

// apply carries out the commits one after the other inside a transaction, and reports whether
// any of these wrote. An error means that a commit is half done.
func (w *writer) apply(ctx context.Context, batch []*commit) (wrote bool, err error) {
	var reserved, next store.Revision
	var written []string
	for i, c := range batch {
		if c.err = c.ctx.Err(); c.err != nil {
			continue // nothing of it is done yet
		}
		holds, err := w.holds(ctx, c)
		if err != nil {
			return false, err
		}
		if !holds {
			c.err = store.ErrConflict
			continue
		}
		writes, puts := c.writes()
		if puts && reserved == 0 {
			reserved = store.Revision(len(batch) - i)
			if err := w.reserve.QueryRowContext(ctx, reserved).Scan(&next); err != nil {
				return false, err
			}
			next -= reserved
		}
		if puts {
			next++
			c.revision = next
		}
		if err := w.write(ctx, c); err != nil {
			return false, err
		}
		wrote = wrote || writes
		written = c.written(written)
	}
	return wrote, w.logChanges(ctx, written)
}

// holds reports whether every key has the revision that c requires.
func (w *writer) holds(ctx context.Context, c *commit) (bool, error) {
	for i := range c.ops {
		if c.ops[i].At == store.Any {
			continue
		}
		var rev store.Revision
		err := w.revision.QueryRowContext(ctx, c.ops[i].Key).Scan(&rev)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		if rev != c.ops[i].At {
			return false, nil
		}
	}
	return true, nil
}

func (w *writer) write(ctx context.Context, c *commit) error {
	for i := range c.ops {
		var err error
		switch op := &c.ops[i]; op.Action {
		case store.Put:
			expires := sql.NullInt64{Int64: op.Expires.UnixMicro(), Valid: !op.Expires.IsZero()}
			_, err = w.put.ExecContext(ctx, op.Key, op.Value, c.revision, expires)
		case store.Delete:
			_, err = w.delete.ExecContext(ctx, op.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
