package sqlite_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// names returns what is in a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// fill puts items of 60 KB into s.
func fill(t *testing.T, s store.Store, items int) {
	t.Helper()
	for i := 0; i < items; {
		var ops []store.Op
		for ; i < items && len(ops) < store.MaxOps; i++ {
			ops = append(ops, put(fmt.Sprintf("fill-%04d", i), string(make([]byte, 60<<10)), store.Any))
		}
		_, err := s.Commit(t.Context(), ops...)
		require.NoError(t, err)
	}
}

// A backup that is made while others write is of one moment: each commit is in it completely,
// and every commit that had returned before is.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "auth.db"))
	fill(t, s, 20)
	deleted, err := s.Commit(t.Context(), put("deleted", "", store.Absent))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), store.Op{Key: "deleted", At: deleted, Action: store.Delete})
	require.NoError(t, err)
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	before, err := s.Commit(t.Context(), store.Op{Key: "before", Action: store.Put, Value: []byte("x"), Expires: expires})
	require.NoError(t, err)

	const pairs = 4
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	written := make(chan struct{}, 1)
	for g := range pairs {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := fmt.Sprint(i)
				_, err := s.Commit(t.Context(), put(fmt.Sprint("left-", g), n, store.Any), put(fmt.Sprint("right-", g), n, store.Any))
				assert.NoError(t, err)
				select {
				case written <- struct{}{}:
				default:
				}
			}
		})
	}
	var copies []string
	for i := range 3 {
		<-written // they are at it
		copies = append(copies, filepath.Join(dir, fmt.Sprintf("copy %d?#.db", i)))
		assert.NoError(t, s.Backup(t.Context(), copies[i]))
	}
	stop()
	writers.Wait()

	last, err := s.Commit(t.Context(), put("last", "", store.Absent))
	require.NoError(t, err)
	for _, path := range copies {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		c := open(t, path)
		items, err := c.Get(t.Context(), "before", "deleted", "last", "fill-0019")
		require.NoError(t, err)
		assert.Equal(t, store.Item{Key: "before", Value: []byte("x"), Revision: before, Expires: expires}, items[0])
		assert.False(t, items[1].Exists())
		assert.False(t, items[2].Exists())
		assert.Len(t, items[3].Value, 60<<10)
		for g := range pairs {
			assert.Equal(t, value(t, c, fmt.Sprint("left-", g)), value(t, c, fmt.Sprint("right-", g)), "written together")
		}
		w := begin(t, c, time.Millisecond)
		rev, err := c.Commit(t.Context(), put("new", "", store.Absent))
		require.NoError(t, err)
		assert.Greater(t, rev, before, "revisions go on from where the copy was made")
		assert.LessOrEqual(t, rev, last, "and come again: whoever remembers any must not outlive the copy's return")
		w.has(t, "new")
	}
	for _, name := range names(t, dir) {
		assert.NotContains(t, name, "part", "nothing is left behind")
	}
}

func TestBackupRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "auth.db")
	s := open(t, path)
	_, err := s.Commit(t.Context(), put("a", "1", store.Absent))
	require.NoError(t, err)
	there := filepath.Join(dir, "there.db")
	require.NoError(t, os.WriteFile(there, []byte("something"), 0o600))
	empty := filepath.Join(dir, "empty.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link.db")))
	for _, beside := range []string{"-wal", "-shm", "-journal"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x"+beside+".db"+beside), nil, 0o600))
	}
	before := names(t, dir)
	for name, to := range map[string]string{
		"itself": path, "its log": path + "-wal", "a file": there, "an empty file": empty, "a link": filepath.Join(dir, "link.db"), "a directory": dir,
		"beside a log": filepath.Join(dir, "x-wal.db"), "beside an index": filepath.Join(dir, "x-shm.db"), "beside a journal": filepath.Join(dir, "x-journal.db"),
	} {
		assert.ErrorIs(t, s.Backup(t.Context(), to), fs.ErrExist, name)
	}
	for name, to := range map[string]string{"empty": "", "memory": ":memory:", "NUL": "a\x00b"} {
		assert.ErrorContains(t, s.Backup(t.Context(), to), "not the path of a file", name)
	}
	assert.ErrorIs(t, s.Backup(t.Context(), filepath.Join(dir, "none", "copy.db")), fs.ErrNotExist)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Backup(over, filepath.Join(dir, "copy.db")), context.Canceled)
	assert.Equal(t, before, names(t, dir), "nothing is left behind")
	data, err := os.ReadFile(there)
	require.NoError(t, err)
	assert.Equal(t, "something", string(data))
	assert.Equal(t, "1", value(t, s, "a"))

	closed, err := sqlite.Open(filepath.Join(t.TempDir(), "closed.db"))
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	assert.ErrorContains(t, closed.Backup(t.Context(), filepath.Join(dir, "copy.db")), "closed")
	assert.Equal(t, before, names(t, dir))
}

// A backup that is interrupted leaves no file, or if its process is killed, no file with the
// requested name.
func TestBackupInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := open(t, path)
	fill(t, s, 300) // 18 MB: it takes a while
	// interrupted calls try with a new folder until what it begins there has been
	// interrupted, which can come too late.
	interrupted := func(t *testing.T, try func(dir string, begun func()) error) (dir string, err error) {
		for range 50 {
			dir = t.TempDir()
			err = try(dir, func() {
				require.Eventually(t, func() bool { return len(names(t, dir)) > 0 }, time.Minute, 100*time.Microsecond)
			})
			if err != nil {
				return dir, err
			}
			require.Equal(t, []string{"copy.db"}, names(t, dir))
		}
		require.Fail(t, "it was always too late")
		return "", nil
	}
	t.Run("cancelled", func(t *testing.T) {
		dir, err := interrupted(t, func(dir string, begun func()) error {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Backup(ctx, filepath.Join(dir, "copy.db")) }()
			begun()
			cancel()
			return <-ended
		})
		assert.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, names(t, dir))
	})
	t.Run("closed", func(t *testing.T) {
		dir, err := interrupted(t, func(dir string, begun func()) error {
			second, err := sqlite.Open(path)
			require.NoError(t, err)
			ended := make(chan error)
			go func() { ended <- second.Backup(t.Context(), filepath.Join(dir, "copy.db")) }()
			begun()
			assert.NoError(t, second.Close())
			return <-ended
		})
		assert.ErrorContains(t, err, "closed")
		assert.Empty(t, names(t, dir))
	})
	t.Run("killed", func(t *testing.T) {
		dir, _ := interrupted(t, func(dir string, begun func()) error {
			process := another(t, backup, path+"\n"+filepath.Join(dir, "copy.db"))
			require.NoError(t, process.Start())
			begun()
			_ = process.Process.Kill() // unless it has ended
			return process.Wait()
		})
		require.NotEmpty(t, names(t, dir))
		for _, name := range names(t, dir) {
			assert.True(t, strings.HasPrefix(name, ".copy.db.part-"), name)
		}
		assert.NoError(t, s.Backup(t.Context(), filepath.Join(dir, "copy.db")), "the next one is not in its way")
		items, err := open(t, filepath.Join(dir, "copy.db")).Get(t.Context(), "fill-0299")
		require.NoError(t, err)
		assert.Len(t, items[0].Value, 60<<10)
	})
}
