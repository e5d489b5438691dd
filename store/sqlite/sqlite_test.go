package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/store/storetest"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	var paths sync.Map // of the stores that are open
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) store.Store {
			path := filepath.Join(t.TempDir(), "auth.db")
			s := open(t, path)
			paths.Store(store.Store(s), path)
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			path, ok := paths.Load(s)
			require.True(t, ok)
			return open(t, path.(string))
		},
	})
}

func TestSealedStore(t *testing.T) {
	if testing.Short() {
		t.Skip("package store has this with its Memory")
	}
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) store.Store {
			return store.Seal(open(t, filepath.Join(t.TempDir(), "auth.db")), store.Key{1})
		},
	})
}

func put(key, value string, at store.Revision) store.Op {
	return store.Op{Key: key, At: at, Action: store.Put, Value: []byte(value)}
}

// The content of the file stays as it was: no expiry moves (TK-09), no revision is reused.
func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%.db")
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	expires := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	rev, err := s.Commit(t.Context(), store.Op{Key: "a", Action: store.Put, Value: []byte("1"), Expires: expires}, put("b", "2", store.Absent))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), store.Op{Key: "b", At: rev, Action: store.Delete})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = s.Commit(t.Context(), put("c", "3", store.Absent))
	assert.Error(t, err, "closed")

	s = open(t, path)
	items, err := s.Get(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, "1", string(items[0].Value))
	assert.True(t, items[0].Expires.Equal(expires))
	assert.Equal(t, rev, items[0].Revision)
	assert.False(t, items[1].Exists())
	again, err := s.Commit(t.Context(), put("b", "4", store.Absent))
	require.NoError(t, err)
	assert.Greater(t, again, rev, "no revision comes twice, not even after the file was closed")

	for _, beside := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + beside)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "%q", beside)
	}
}

// Several processes may come upon the new file at once.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			s, err := sqlite.Open(path)
			if !assert.NoError(t, err) {
				return
			}
			_, err = s.Commit(t.Context(), put(fmt.Sprint(i), "x", store.Absent))
			assert.NoError(t, err)
			assert.NoError(t, s.Close())
		})
	}
	done.Wait()
	items, err := open(t, path).List(t.Context(), "", "", 100)
	require.NoError(t, err)
	assert.Len(t, items, 8)
}

// Commits are there without Close: the file is copied as a crash would leave it (ST-06).
func TestSurvivesACrash(t *testing.T) {
	dir, after := t.TempDir(), t.TempDir()
	s := open(t, filepath.Join(dir, "auth.db"))
	for i := range 20 {
		_, err := s.Commit(t.Context(), put(fmt.Sprint(i), "x", store.Absent), put("last", fmt.Sprint(i), store.Any))
		require.NoError(t, err)
	}
	for _, name := range []string{"auth.db", "auth.db-wal"} { // -shm is made anew
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(after, name), data, 0o600))
	}
	again := open(t, filepath.Join(after, "auth.db"))
	items, err := again.List(t.Context(), "", "", 100)
	require.NoError(t, err)
	assert.Len(t, items, 21)
	items, err = again.Get(t.Context(), "last")
	require.NoError(t, err)
	assert.Equal(t, "19", string(items[0].Value))
}

// A file of another program, or an empty one, is not opened (ST-09).
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := sql.Open("sqlite", foreign)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE users (id INTEGER)")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	newer := filepath.Join(dir, "newer.db")
	s, err := sqlite.Open(newer)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err = sql.Open("sqlite", newer)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "PRAGMA user_version = 1000")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	wide := filepath.Join(dir, "wide.db")
	require.NoError(t, os.WriteFile(wide, nil, 0o600))
	require.NoError(t, os.Chmod(wide, 0o644)) // whatever the umask

	ours := filepath.Join(dir, "ours.db") // the right schema number, another's file
	db, err = sql.Open("sqlite", ours)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE item (id INTEGER); PRAGMA user_version = 1")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	garbage := filepath.Join(dir, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, []byte("this is not a database, and long enough to be seen as none"), 0o600))
	if runtime.GOOS == "windows" {
		require.NoError(t, os.WriteFile(wide, []byte("modes mean nothing here, so this is none either"), 0o600))
	}

	for name, path := range map[string]string{
		"empty": "", "memory": ":memory:", "a directory": dir, "no directory": filepath.Join(dir, "none", "auth.db"),
		"another database": foreign, "a newer schema": newer, "no database": garbage,
		"anyone's to read": wide, "schema number of another": ours, "NUL": "a\x00b",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Open(path)
			assert.Error(t, err)
		})
	}
}

func TestClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), put("a", "1", store.Absent))
	require.NoError(t, err)
	require.FileExists(t, path+"-wal")
	require.NoError(t, s.Close())
	assert.NoFileExists(t, path+"-wal", "SQLite takes it away when the last connection is closed")
	require.NoError(t, s.Close())
	_, err = s.Get(t.Context(), "a")
	assert.Error(t, err)
	_, err = s.List(t.Context(), "", "", 1)
	assert.Error(t, err)
	_, err = s.Commit(t.Context(), put("a", "1", store.Any))
	assert.Error(t, err)
	_, err = s.Sweep(t.Context(), time.Now(), 1)
	assert.Error(t, err)
}

// Commits that come at once share transactions, and each has its own outcome.
func TestTogether(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "auth.db"))
	var done sync.WaitGroup
	var won, lost, ended atomic.Int32
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 200 {
		done.Go(func() {
			ctx := t.Context()
			if i%10 == 9 {
				ctx = over
			}
			_, err := s.Commit(ctx, put("one", fmt.Sprint(i), store.Absent), put(fmt.Sprint("own-", i), "x", store.Absent))
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, store.ErrConflict):
				lost.Add(1)
			case errors.Is(err, context.Canceled):
				ended.Add(1)
			default:
				assert.NoError(t, err)
			}
		})
	}
	done.Wait()
	assert.EqualValues(t, 1, won.Load())
	assert.EqualValues(t, 179, lost.Load())
	assert.EqualValues(t, 20, ended.Load())
	items, err := s.List(t.Context(), "own-", "", 100)
	require.NoError(t, err)
	assert.Len(t, items, 1, "who lost wrote nothing")
}
