package sqlite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// held watches s and blocks the watcher in its first call until the function that it returns is
// called, which returns all reported keys until a key "end", and the error of Watch if it
// returned before that.
func held(t *testing.T, s *Store) (resume func() ([]store.Change, error)) {
	t.Helper()
	started, release := make(chan struct{}), make(chan struct{})
	changes, ended := make(chan store.Change), make(chan error, 1)
	first := true
	go func() {
		ended <- s.Watch(t.Context(), time.Minute, func(c store.Change) {
			if first {
				first = false
				close(started)
				select {
				case <-release:
				case <-t.Context().Done():
				}
			}
			select {
			case changes <- c:
			case <-t.Context().Done():
			}
		})
	}()
	<-started
	return func() (all []store.Change, err error) {
		close(release)
		for {
			select {
			case c := <-changes:
				all = append(all, c)
				for _, key := range c.Keys {
					if key == "end" {
						return all, nil
					}
				}
			case err := <-ended:
				return all, err
			}
		}
	}
}

func keysOf(changes []store.Change) (keys []string) {
	for _, c := range changes {
		keys = append(keys, c.Keys...)
	}
	return keys
}

// commits commits n new keys, one after the other.
func commits(t *testing.T, s *Store, name string, n int) (keys []string) {
	t.Helper()
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s-%d", name, i))
		_, err := s.Commit(t.Context(), put(keys[i]))
		require.NoError(t, err)
	}
	return keys
}

// keepLess makes s keep so many rows of the change log.
func keepLess(s *Store, rows int64) { s.keep, s.writer.keep = rows, rows }

func TestWatchBehind(t *testing.T) {
	t.Run("trimmed", func(t *testing.T) {
		s, _ := openTemp(t)
		keepLess(s, 10)
		resume := held(t, s)
		commits(t, s, "a", 2*trimEvery)
		_, err := resume()
		assert.ErrorIs(t, err, store.ErrBehind)
	})
	t.Run("not yet trimmed", func(t *testing.T) {
		s, _ := openTemp(t)
		keepLess(s, 2*trimEvery)
		resume := held(t, s)
		keys := append(commits(t, s, "a", 2*trimEvery-2), "end")
		_, err := s.Commit(t.Context(), put("end"))
		require.NoError(t, err)
		all, err := resume()
		require.NoError(t, err)
		assert.ElementsMatch(t, keys, keysOf(all))
	})
	// None of these should happen; if one does, a watcher must not trust the log.
	for name, spoil := range map[string]string{
		"log gone":   "DELETE FROM change",
		"place gone": "DELETE FROM change WHERE seq = 1",
		"hole":       "DELETE FROM change WHERE seq = 3",
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := openTemp(t)
			resume := held(t, s)
			commits(t, s, "a", 4)
			_, err := s.writer.conn.ExecContext(t.Context(), spoil)
			require.NoError(t, err)
			all, err := resume()
			assert.ErrorIs(t, err, store.ErrBehind)
			assert.Empty(t, keysOf(all))
		})
	}
}

// A commit through the watched handle wakes the watcher, which need not wait until its next
// poll.
func TestWatchIsWoken(t *testing.T) {
	s, _ := openTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	started, reported := make(chan struct{}), make(chan string, 1)
	ended := make(chan error)
	go func() {
		ended <- s.watch(ctx, 24*time.Hour, func(c store.Change) {
			if len(c.Keys) == 0 {
				close(started)
			} else {
				reported <- c.Keys[0]
			}
		})
	}()
	<-started
	_, err := s.Commit(t.Context(), put("a"))
	require.NoError(t, err)
	assert.Equal(t, "a", <-reported)
	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled)
}

// A watcher that was blocked reads on in pages, and only the last one reports that nothing can
// be missing.
func TestWatchCatchesUp(t *testing.T) {
	s, _ := openTemp(t)
	resume := held(t, s)
	keys := commits(t, s, "a", 2*maxRead)
	done := time.Now()
	_, err := s.Commit(t.Context(), put("end"))
	require.NoError(t, err)
	all, err := resume()
	require.NoError(t, err)
	assert.ElementsMatch(t, append(keys, "end"), keysOf(all))
	require.Greater(t, len(all), 3)
	for _, c := range all[:len(all)-1] {
		assert.Equal(t, all[0].Seen, c.Seen, "until it has caught up")
	}
	assert.True(t, all[len(all)-1].Seen.After(done))
}

// The log keeps as many rows as it must and not many more, and does not make one commit delete
// all that is old (ST-12).
func TestTrim(t *testing.T) {
	s, _ := openTemp(t)
	rows := func() (n int64) {
		require.NoError(t, s.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM change").Scan(&n))
		return n
	}
	_, err := s.writer.conn.ExecContext(t.Context(),
		"WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO change SELECT i, 'x' FROM n")
	require.NoError(t, err)
	keepLess(s, 100)
	commits(t, s, "a", trimEvery)
	assert.EqualValues(t, 1000+trimEvery-trimMost, rows(), "after one step")
	commits(t, s, "b", 5*trimEvery)
	assert.GreaterOrEqual(t, rows(), int64(100))
	assert.LessOrEqual(t, rows(), int64(100+trimEvery))
	_, err = s.Commit(t.Context(), store.Op{Key: "none"})
	require.NoError(t, err)
	before := newest(t, s)
	_, err = s.Commit(t.Context(), store.Op{Key: "none"}, store.Op{Key: "nor this"})
	require.NoError(t, err)
	assert.Equal(t, before, newest(t, s), "checks alone are not written down")
}

// However many keys a transaction writes, they fit into the pages of the log, and
// all of them are in it.
func TestLogOfManyKeys(t *testing.T) {
	s, _ := openTemp(t)
	resume := held(t, s)
	var want []string
	var batch []*commit
	for i := range maxTogether {
		var ops []store.Op
		for j := range store.MaxOps {
			key := fmt.Sprintf("%d-%d-", i, j)
			key += strings.Repeat("k", store.MaxKey-len(key))
			want = append(want, key)
			ops = append(ops, put(key))
		}
		batch = append(batch, newCommit(t.Context(), ops))
	}
	carryOut(t, s, batch...)
	for _, c := range batch {
		require.NoError(t, c.err)
	}
	_, err := s.Commit(t.Context(), put("end"))
	require.NoError(t, err)
	all, err := resume()
	require.NoError(t, err)
	assert.ElementsMatch(t, append(want, "end"), keysOf(all))
	var longest int
	require.NoError(t, s.readers.QueryRowContext(t.Context(), "SELECT max(length(keys)) FROM change").Scan(&longest))
	assert.LessOrEqual(t, longest, maxChange)
	assert.Greater(t, longest, maxChange-store.MaxKey-1)
}
