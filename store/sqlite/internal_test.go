package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
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

// The settings that durability rests on are those of every connection, also of the
// one that takes the place of a writer that failed (ST-06).
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
		var mode string
		var sync, full, busy int
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&sync))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA fullfsync").Scan(&full))
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&busy))
		assert.Equal(t, "wal", mode, name)
		assert.Equal(t, 2, sync, name)
		assert.Equal(t, 1, full, name)
		assert.Equal(t, 5000, busy, name)
	}
	_, err = reader.ExecContext(t.Context(), "DELETE FROM item")
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
		CREATE TRIGGER spoil AFTER INSERT ON item WHEN NEW.key = 'bad' BEGIN INSERT INTO child VALUES (1); END`)
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

// What shares a transaction that came to nothing has no outcome of its own: a
// conflict may be with a write that was undone.
func TestTogetherFails(t *testing.T) {
	s, path := openTemp(t)
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(),
		`CREATE TRIGGER spoil BEFORE INSERT ON item WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'spoiled'); END`)
	require.NoError(t, err)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	first, loser := newCommit(t.Context(), []store.Op{put("a")}), newCommit(t.Context(), []store.Op{put("a")})
	ended, bad := newCommit(over, []store.Op{put("b")}), newCommit(t.Context(), []store.Op{put("c"), put("bad")})
	s.together([]*commit{first, loser, ended, bad})
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
	s.together([]*commit{first, loser, third})
	assert.NoError(t, first.err)
	assert.Equal(t, store.ErrConflict, loser.err)
	assert.NoError(t, third.err)
	assert.NotEqual(t, first.revision, third.revision)
	assert.False(t, exists(t, s, "d"))
}

// hold takes the write lock as another process would, until the test ends or
// release is called.
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

// A commit whose caller goes away is unknown once it was taken, and does not
// happen while it waits behind another.
func TestCancelledWhileAnotherProcessWrites(t *testing.T) {
	s, path := openTemp(t)
	release := hold(t, path)

	type outcome struct {
		key string
		err error
	}
	outcomes := make(chan outcome)
	taken, leaveTaken := context.WithCancel(t.Context())
	go func() {
		_, err := s.Commit(taken, put("taken"))
		outcomes <- outcome{"taken", err}
	}()
	waitFor(t, s, true, 0) // its turn: the worker has it and waits for the lock

	queued, leaveQueued := context.WithCancel(t.Context())
	go func() {
		_, err := s.Commit(queued, put("queued"))
		outcomes <- outcome{"queued", err}
	}()
	waitFor(t, s, true, 1)

	leaveQueued()
	got := <-outcomes
	assert.Equal(t, outcome{"queued", context.Canceled}, got)
	leaveTaken()
	got = <-outcomes
	assert.Equal(t, "taken", got.key)
	assert.ErrorIs(t, got.err, store.ErrUnknown)
	assert.ErrorIs(t, got.err, context.Canceled)

	release()
	_, err := s.Commit(t.Context(), put("later"))
	require.NoError(t, err)
	assert.False(t, exists(t, s, "queued"))
	assert.False(t, exists(t, s, "taken"), "once the lock was there, its caller was not")
}

// A caller that left has its slices back, while its commit may still go on.
func TestCommitCopies(t *testing.T) {
	s, _ := openTemp(t)
	ops := []store.Op{{Key: "a", Action: store.Put, Value: []byte("value")}, {Key: "b", Action: store.Put}}
	c := newCommit(t.Context(), ops)
	copy(ops[0].Value, "#####")
	ops[0], ops[1] = store.Op{}, store.Op{}
	s.together([]*commit{c})
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

// A lock that nobody gives back is an error, and nothing was written.
func TestBusy(t *testing.T) {
	s, path := openTemp(t)
	_, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 1")
	require.NoError(t, err)
	release := hold(t, path)
	_, err = s.Commit(t.Context(), put("a"))
	assert.ErrorContains(t, err, "locked")
	assert.NotErrorIs(t, err, store.ErrUnknown)
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.False(t, exists(t, s, "a"), "readers do not wait for writers")
	release()
	_, err = s.Commit(t.Context(), put("a"))
	assert.NoError(t, err)
}

// Pages and sweeps read the rows they return and no others, however many there are.
func TestQueryPlans(t *testing.T) {
	s, _ := openTemp(t)
	for query, want := range map[string]string{
		columns + "WHERE key IN ('a', 'b')":                             "SEARCH item USING PRIMARY KEY (key=?)",
		columns + "WHERE key >= 'a' AND key < 'b' ORDER BY key LIMIT 1": "SEARCH item USING PRIMARY KEY (key>? AND key<?)",
		columns + "WHERE expires < 5 ORDER BY expires LIMIT 1":          "SEARCH item USING INDEX item_expires (expires<?)",
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
