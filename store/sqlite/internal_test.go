package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func openTemp(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s, path
}

func put(key string) store.Op { return store.Op{Key: key, Action: store.Put, Value: []byte("x")} }

func exists(t *testing.T, s *Store, key string) bool {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0].Exists()
}

// carryOut carries out commits in one transaction.
func carryOut(t *testing.T, s *Store, batch ...*commit) {
	t.Helper()
	waitFor(t, s, false, 0)
	s.queue.waiting = slices.Clone(batch)
	begun, err := s.begin()
	require.NoError(t, err)
	require.True(t, begun)
	s.together(s.queue.next(len(batch)))
}

// Every connection has the settings that durability depends on, also the one that replaces a
// failed writer (ST-06).
func TestSettings(t *testing.T) {
	s, _ := openTemp(t)
	first := s.writer.conn
	s.discard()
	_, err := s.Commit(t.Context(), put("a"))
	require.NoError(t, err)
	require.NotSame(t, first, s.writer.conn)

	reader, err := s.readers.Conn(t.Context())
	require.NoError(t, err)
	defer reader.Close()
	for name, conn := range map[string]*sql.Conn{"writer": s.writer.conn, "reader": reader} {
		wait := map[string]int{"reader": 5000, "writer": 0}[name] // a writer waits in begin
		var mode string
		var sync, full, busy int
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&sync))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA fullfsync").Scan(&full))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&busy))
		assert.Equal(t, "wal", mode, name)
		assert.Equal(t, 2, sync, name)
		assert.Equal(t, 1, full, name)
		assert.Equal(t, wait, busy, name)
	}
	_, err = reader.ExecContext(t.Context(), "DELETE FROM items")
	assert.Error(t, err, "a reader cannot write")
}

// An error at COMMIT itself leaves the outcome unknown, and the writer usable.
func TestCommitFails(t *testing.T) {
	s, path := openTemp(t)
	// A foreign key that is checked at COMMIT makes it fail.
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), `
		CREATE TABLE parent (id INTEGER PRIMARY KEY);
		CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
		CREATE TRIGGER spoil AFTER INSERT ON items WHEN NEW.key = 'bad' BEGIN INSERT INTO child VALUES (1); END`)
	require.NoError(t, err)

	_, err = s.Commit(t.Context(), put("bad"), put("other"))
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.False(t, exists(t, s, "other"), "it was rolled back, as it happens")

	_, err = s.Commit(t.Context(), put("good"))
	require.NoError(t, err)
	assert.True(t, exists(t, s, "good"))
	assert.False(t, exists(t, s, "bad"), "the next commit did not carry it along")
}

// A file that may not grow refuses a commit that does not fit, also in the middle of a shared
// transaction, without any part of it (ST-19).
func TestFull(t *testing.T) {
	s, _ := openTemp(t)
	_, err := s.Commit(t.Context(), put("before"))
	require.NoError(t, err)
	var pages int
	require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	_, err = s.writer.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+1))
	require.NoError(t, err)
	small, big := newCommit(t.Context(), []store.Op{put("small")}), newCommit(t.Context(), []store.Op{
		put("with the big one"), {Key: "big", Action: store.Put, Value: make([]byte, store.MaxValue)},
	})
	carryOut(t, s, small, big)
	for _, c := range []*commit{small, big} {
		assert.ErrorContains(t, c.err, "full")
		assert.NotErrorIs(t, c.err, store.ErrUnknown, "it was not even tried to commit")
	}
	for key, want := range map[string]bool{"before": true, "small": false, "with the big one": false, "big": false} {
		assert.Equal(t, want, exists(t, s, key), key)
	}
	_, err = s.Commit(t.Context(), big.ops...) // the limit was that connection's
	assert.NoError(t, err)
}

// Commits that share a failed transaction have no outcome of their own: a conflict may be with
// a write that was undone.
func TestTogetherFails(t *testing.T) {
	s, path := openTemp(t)
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(),
		`CREATE TRIGGER spoil BEFORE INSERT ON items WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'spoiled'); END`)
	require.NoError(t, err)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	first, loser := newCommit(t.Context(), []store.Op{put("a")}), newCommit(t.Context(), []store.Op{put("a")})
	ended, bad := newCommit(over, []store.Op{put("b")}), newCommit(t.Context(), []store.Op{put("c"), put("bad")})
	carryOut(t, s, first, loser, ended, bad)
	for _, c := range []*commit{first, loser, bad} {
		assert.ErrorContains(t, c.err, "spoiled")
		assert.NotErrorIs(t, c.err, store.ErrConflict)
		assert.NotErrorIs(t, c.err, store.ErrUnknown, "it was not even tried to commit")
		assert.Zero(t, c.revision)
	}
	assert.Equal(t, context.Canceled, ended.err)
	for _, key := range []string{"a", "b", "c", "bad"} {
		assert.False(t, exists(t, s, key), key)
	}

	first, loser = newCommit(t.Context(), []store.Op{put("a")}), newCommit(t.Context(), []store.Op{put("a"), put("d")})
	third := newCommit(t.Context(), []store.Op{put("e")})
	carryOut(t, s, first, loser, third)
	assert.NoError(t, first.err)
	assert.Equal(t, store.ErrConflict, loser.err)
	assert.NoError(t, third.err)
	assert.NotEqual(t, first.revision, third.revision)
	assert.False(t, exists(t, s, "d"))
}

// hold takes the write lock as another process would, until the test ends or release is called.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { raw.Close() })
	conn, err := raw.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	return func() {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		assert.NoError(t, err)
		assert.NoError(t, conn.Close())
	}
}

// A commit that waits for its turn can be withdrawn, whether it is the next or not:
// nothing of it happens, and that is known (ST-02).
func TestCancelledWhileAnotherProcessWrites(t *testing.T) {
	s, path := openTemp(t)
	release := hold(t, path)
	var done sync.WaitGroup
	var leave []context.CancelFunc
	outcomes := make([]error, 3)
	for i := range outcomes {
		ctx, cancel := context.WithCancel(t.Context())
		leave = append(leave, cancel)
		done.Go(func() { _, outcomes[i] = s.Commit(ctx, put(fmt.Sprint(i))) })
		waitFor(t, s, true, i+1)
	}
	leave[0]()
	waitFor(t, s, true, 2)
	leave[2]()
	waitFor(t, s, true, 1)
	release()
	done.Wait()
	assert.Equal(t, []error{context.Canceled, nil, context.Canceled}, outcomes)
	assert.False(t, exists(t, s, "0"))
	assert.True(t, exists(t, s, "1"))
	assert.False(t, exists(t, s, "2"))
	leave[1]()

	release = hold(t, path) // now with nobody left
	ctx, cancel := context.WithCancel(t.Context())
	done.Go(func() { _, outcomes[0] = s.Commit(ctx, put("3")) })
	waitFor(t, s, true, 1)
	cancel()
	done.Wait()
	assert.Equal(t, context.Canceled, outcomes[0])
	waitFor(t, s, false, 0)
	release()
	_, err := s.Commit(t.Context(), put("4"))
	require.NoError(t, err)
	assert.False(t, exists(t, s, "3"))
}

// Once a commit is carried out, the end of its context leaves it unknown (ST-02).
func TestCancelledWhileCarriedOut(t *testing.T) {
	s, _ := openTemp(t)
	begun, err := s.begin()
	require.NoError(t, err)
	require.True(t, begun)
	ctx, cancel := context.WithCancel(t.Context())
	s.queue.working = true // by this test
	outcome := make(chan error)
	go func() {
		_, err := s.Commit(ctx, put("a"))
		outcome <- err
	}()
	waitFor(t, s, true, 1)
	batch := s.queue.next(maxTogether)
	cancel()
	err = <-outcome
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.ErrorIs(t, err, context.Canceled)
	s.together(batch)
	assert.Equal(t, context.Canceled, batch[0].err)
	require.False(t, s.queue.more())
	assert.False(t, exists(t, s, "a"), "as it happens")
}

// Commits that wait for their turn share one transaction, and so one sync; each has its own
// outcome.
func TestShareATransaction(t *testing.T) {
	s, path := openTemp(t)
	before := newest(t, s)
	release := hold(t, path)
	var done sync.WaitGroup
	outcomes := make([]error, maxTogether)
	for i := range outcomes {
		done.Go(func() { _, outcomes[i] = s.Commit(t.Context(), put(fmt.Sprint(i/2))) })
	}
	waitFor(t, s, true, maxTogether)
	release()
	done.Wait()
	assert.Equal(t, before+1, newest(t, s), "each transaction is one row of the log")
	for i := 0; i < maxTogether; i += 2 {
		if outcomes[i] == nil {
			assert.Equal(t, store.ErrConflict, outcomes[i+1])
		} else {
			assert.Equal(t, store.ErrConflict, outcomes[i])
			assert.NoError(t, outcomes[i+1])
		}
		assert.True(t, exists(t, s, fmt.Sprint(i/2)))
	}
}

// newest returns the number of the newest row of the change log.
func newest(t *testing.T, s *Store) (seq int64) {
	t.Helper()
	require.NoError(t, s.readers.QueryRowContext(t.Context(), "SELECT max(seq) FROM change").Scan(&seq))
	return seq
}

// A caller that left may reuse its slices, while its commit may still go on.
func TestCommitCopies(t *testing.T) {
	s, _ := openTemp(t)
	ops := []store.Op{{Key: "a", Action: store.Put, Value: []byte("value")}, {Key: "b", Action: store.Put}}
	c := newCommit(t.Context(), ops)
	copy(ops[0].Value, "#####")
	ops[0], ops[1] = store.Op{}, store.Op{}
	carryOut(t, s, c)
	require.NoError(t, c.err)
	items, err := s.Get(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, "value", string(items[0].Value))
	assert.True(t, items[1].Exists())
}

// waitFor returns when the worker runs or not and so many commits wait.
func waitFor(t *testing.T, s *Store, working bool, waiting int) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return s.queue.working == working && len(s.queue.waiting) == waiting
	}, time.Minute, time.Millisecond)
}

// A lock that is never released is an error, and nothing was written (ST-04).
func TestBusy(t *testing.T) {
	s, path := openTemp(t)
	s.patience = 50 * time.Millisecond
	release := hold(t, path)
	var done sync.WaitGroup
	outcomes := make([]error, 3)
	for i := range outcomes {
		done.Go(func() { _, outcomes[i] = s.Commit(t.Context(), put("a")) })
	}
	done.Wait()
	for _, err := range outcomes {
		assert.ErrorContains(t, err, "nothing was written")
		assert.True(t, isBusy(err), "the cause is wrapped")
		assert.NotErrorIs(t, err, store.ErrUnknown)
		assert.NotErrorIs(t, err, store.ErrConflict)
	}
	assert.False(t, exists(t, s, "a"), "readers do not wait for writers")
	waitFor(t, s, false, 0)

	s.patience = time.Minute
	done.Go(func() { _, outcomes[0] = s.Commit(t.Context(), put("a")) })
	waitFor(t, s, true, 1)
	release()
	done.Wait()
	assert.NoError(t, outcomes[0], "it asked again")
}

// Every error by which SQLite reports another process's lock makes a commit wait for its turn
// (ST-04); any other is another error.
func TestIsBusy(t *testing.T) {
	s, path := openTemp(t)
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer raw.Close()
	reader, err := raw.Conn(t.Context())
	require.NoError(t, err)
	defer reader.Close()
	_, err = reader.ExecContext(t.Context(), "BEGIN; SELECT * FROM items")
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), put("a"))
	require.NoError(t, err)
	_, err = reader.ExecContext(t.Context(), "DELETE FROM items")
	assert.ErrorContains(t, err, "(517)", "SQLITE_BUSY_SNAPSHOT")
	assert.True(t, isBusy(err))
	_, err = reader.ExecContext(t.Context(), "DELETE FROM nothing")
	require.Error(t, err)
	assert.False(t, isBusy(err))
	assert.False(t, isBusy(context.Canceled))
}

// Pages and sweeps read the rows they return and no others, however many there are (ST-12).
func TestQueryPlans(t *testing.T) {
	s, _ := openTemp(t)
	for query, want := range map[string]string{
		columns + "WHERE key IN ('a', 'b')":                             "SEARCH items USING PRIMARY KEY (key=?)",
		columns + "WHERE key >= 'a' AND key < 'b' ORDER BY key LIMIT 1": "SEARCH items USING PRIMARY KEY (key>? AND key<?)",
		columns + "WHERE expires < 5 ORDER BY expires LIMIT 1":          "SEARCH items USING INDEX item_expires (expires<?)",
	} {
		rows, err := s.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		assert.Equal(t, []string{want}, plan)
	}
}
