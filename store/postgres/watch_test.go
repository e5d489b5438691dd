package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func poll(t *testing.T, w *watch) []string {
	t.Helper()
	keys, err := w.poll(t.Context())
	require.NoError(t, err)
	return keys
}

func commit(t *testing.T, s *Store, ops ...store.Op) {
	t.Helper()
	_, err := s.Commit(t.Context(), ops...)
	require.NoError(t, err)
}

// half carries out the statements of a Commit in a transaction that stays open.
func half(t *testing.T, s *Store, ops ...store.Op) pgx.Tx {
	t.Helper()
	tx, err := Connect(t, DSN(t)).Begin(t.Context())
	require.NoError(t, err)
	locks, shared := s.lockAll(ops)
	_, err = tx.Exec(t.Context(), lockSQL, locks, shared)
	require.NoError(t, err)
	var verdict int
	var rev store.Revision
	require.NoError(t, tx.QueryRow(t.Context(), s.sql.commit, s.arguments(ops)...).Scan(&verdict, &rev))
	require.Equal(t, committed, verdict)
	return tx
}

// Each poll finds what was committed since the one before, once.
func TestPoll(t *testing.T) {
	s, _ := OpenNew(t)
	commit(t, s, put("before"))
	w := newWatch(t, s)
	assert.Empty(t, poll(t, w), "the first")
	assert.Empty(t, poll(t, w))
	commit(t, s, put("a"), store.Op{Key: "absent"}, store.Op{Key: "b", At: store.Any, Action: store.Delete})
	assert.ElementsMatch(t, []string{"a", "b"}, poll(t, w), "puts and deletions, no checks")
	assert.Empty(t, poll(t, w))
	commit(t, s, store.Op{Key: "absent"})
	_, err := s.Commit(t.Context(), store.Op{Key: "a", Action: store.Put})
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Empty(t, poll(t, w), "nothing was written")
}

// A transaction that began before others and ends after them is not missed, also if several
// polls have gone past its ID, and neither is one that began between them.
func TestPollSlowTransactions(t *testing.T) {
	s, _ := OpenNew(t)
	w := newWatch(t, s)
	slow := half(t, s, put("slow"))
	undone := half(t, s, put("undone"))
	poll(t, w)
	slower := half(t, s, put("slower"))
	commit(t, s, put("quick"))
	assert.Equal(t, []string{"quick"}, poll(t, w))
	commit(t, s, put("quick"))
	assert.Equal(t, []string{"quick"}, poll(t, w))
	require.NoError(t, slow.Commit(t.Context()))
	assert.Equal(t, []string{"slow"}, poll(t, w))
	commit(t, s, put("quick"))
	require.NoError(t, undone.Rollback(t.Context()))
	require.NoError(t, slower.Commit(t.Context()))
	assert.ElementsMatch(t, []string{"quick", "slower"}, poll(t, w))
	assert.Empty(t, poll(t, w), "nothing twice, although IDs were found out of order")
}

// Under commits from all sides, the polls together find every key.
func TestPollMissesNothing(t *testing.T) {
	s, schema := OpenNew(t)
	other := openIn(t, DSN(t), schema, nil)
	w := newWatch(t, s)
	poll(t, w)
	const writers, each = 8, 25
	var done sync.WaitGroup
	for i := range writers {
		done.Go(func() {
			for j := range each {
				_, err := []*Store{s, other}[i%2].Commit(t.Context(), put(fmt.Sprint(i, "-", j)))
				assert.NoError(t, err)
			}
		})
	}
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	found := map[string]int{}
	for last := false; !last; {
		select {
		case <-finished:
			last = true
		default:
		}
		for _, key := range poll(t, w) {
			found[key]++
		}
	}
	assert.Len(t, found, writers*each)
	for key, n := range found {
		assert.Equal(t, 1, n, key)
	}
}

// Too much for one poll is not kept in memory.
func TestPollIsBounded(t *testing.T) {
	s, schema := OpenNew(t)
	w := newWatch(t, s)
	poll(t, w)
	run(t, w.conn, schema, fmt.Sprintf(`INSERT INTO {s}.npmauth_change
		SELECT pg_current_xact_id(), ARRAY(SELECT 'key' FROM generate_series(1, 32)) FROM generate_series(1, %d)`, maxPending/32))
	keys, err := w.poll(t.Context())
	require.NoError(t, err)
	assert.Len(t, keys, maxPending)
	run(t, w.conn, schema, fmt.Sprintf(`INSERT INTO {s}.npmauth_change
		SELECT pg_current_xact_id(), ARRAY(SELECT 'key' FROM generate_series(1, 32)) FROM generate_series(1, %d)`, maxPending/32+1))
	_, err = w.poll(t.Context())
	assert.ErrorIs(t, err, store.ErrBehind)
}

func changes(t *testing.T, s *Store, schema string) (n int) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), in(schema, "SELECT count(*) FROM {s}.npmauth_change")).Scan(&n))
	return n
}

func trimNow(t *testing.T, s *Store) int {
	t.Helper()
	n, err := trim(t.Context(), s.pool, s, 0)
	require.NoError(t, err)
	return n
}

// ST-12: rows that all watchers have read in time are deleted, and a watcher that was late gets
// ErrBehind.
func TestTrim(t *testing.T) {
	s, schema := OpenNew(t)
	prompt, late := newWatch(t, s), newWatch(t, s)
	poll(t, prompt)
	poll(t, late)
	commit(t, s, put("a"))
	commit(t, s, put("b"))

	n, err := trim(t.Context(), s.pool, s, time.Hour)
	require.NoError(t, err)
	assert.Zero(t, n, "the mark is not old enough")
	assert.Zero(t, trimNow(t, s), "the mark is older than both")
	assert.Equal(t, 2, changes(t, s, schema))
	poll(t, prompt)
	commit(t, s, put("c"))
	assert.Equal(t, 2, trimNow(t, s))
	assert.Equal(t, 1, changes(t, s, schema), "what came after the mark stays")

	assert.Equal(t, []string{"c"}, poll(t, prompt))
	_, err = late.poll(t.Context())
	assert.ErrorIs(t, err, store.ErrBehind)
	begun := newWatch(t, s)
	poll(t, begun)
	assert.Empty(t, poll(t, begun))
}

// The rows of a slow transaction are kept until they can have been read.
func TestTrimWaitsForSlowTransactions(t *testing.T) {
	s, schema := OpenNew(t)
	w := newWatch(t, s)
	slow := half(t, s, put("slow"))
	commit(t, s, put("quick"))
	assert.ElementsMatch(t, []string{}, poll(t, w))
	for range 3 {
		trimNow(t, s)
	}
	assert.Equal(t, 1, changes(t, s, schema), "a later one that has ended")
	require.NoError(t, slow.Commit(t.Context()))
	trimNow(t, s)
	assert.Equal(t, []string{"slow"}, poll(t, w))
	assert.Equal(t, 2, trimNow(t, s))
	assert.Zero(t, changes(t, s, schema))
	assert.Empty(t, poll(t, w))
}

// ST-12: each deletion is bounded, and the next continues where it ended. A Sweep makes several
// of them.
func TestTrimIsBounded(t *testing.T) {
	s, schema := OpenNew(t)
	conn := Connect(t, DSN(t))
	run(t, conn, schema, fmt.Sprintf(`INSERT INTO {s}.npmauth_change
		SELECT pg_current_xact_id(), '{a}' FROM generate_series(1, %d)`, 3*trimBatch+1))
	trimNow(t, s)
	assert.Equal(t, trimBatch, trimNow(t, s))
	assert.Equal(t, 2*trimBatch+1, changes(t, s, schema))

	run(t, conn, schema, "UPDATE {s}.npmauth_trim SET at = at - interval '1 hour'")
	_, err := s.Sweep(t.Context(), time.Now(), 1)
	require.NoError(t, err)
	assert.Zero(t, changes(t, s, schema))
}

// A dump brings transaction IDs of another server. If they are ahead, they are neither reported
// at every poll nor kept for ever, and a mark made from them is set anew.
func TestRestoredTransactionIDs(t *testing.T) {
	s, schema := OpenNew(t)
	conn := Connect(t, DSN(t))
	commit(t, s, put("here"))
	run(t, conn, schema, `INSERT INTO {s}.npmauth_change SELECT '1000000000000'::xid8, '{there}' FROM generate_series(1, 10);
		UPDATE {s}.npmauth_trim SET at = at - interval '1 hour', horizon = '1000000000001', trimmed = '999999999999'`)
	w := newWatch(t, s)
	poll(t, w)
	commit(t, s, put("a"))
	assert.Equal(t, []string{"a"}, poll(t, w))
	assert.Equal(t, 10, trimNow(t, s), "those from there, and none by their mark")
	assert.Equal(t, 2, changes(t, s, schema))
	commit(t, s, put("b"))
	assert.Equal(t, []string{"b"}, poll(t, w))
	trimNow(t, s)
	trimNow(t, s)
	assert.Zero(t, changes(t, s, schema))
	assert.Empty(t, poll(t, w))

	// A clock that was set back makes no mark old.
	commit(t, s, put("c"))
	trimNow(t, s)
	run(t, conn, schema, "UPDATE {s}.npmauth_trim SET at = now() + interval '1 hour'")
	assert.Zero(t, trimNow(t, s))
	assert.Equal(t, 1, changes(t, s, schema))
	assert.Equal(t, 1, trimNow(t, s))
}

// ST-20: a watcher whose tables are replaced, as a restore does, ends with an error.
func TestWatcherNoticesARestore(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, schema string){
		"of the tables": func(t *testing.T, schema string) {
			restore(t, DSN(t), dump(t, schema, "--clean"))
		},
		"of the rows": func(t *testing.T, schema string) {
			rows := dump(t, schema, "--data-only", "--table="+schema+".npmauth")
			run(t, Connect(t, DSN(t)), schema, "TRUNCATE {s}.npmauth")
			restore(t, DSN(t), rows)
		},
		"of no row": func(t *testing.T, schema string) {
			run(t, Connect(t, DSN(t)), schema, "TRUNCATE {s}.npmauth_change")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, schema := OpenNew(t)
			commit(t, s, put("a"))
			w := newWatch(t, s)
			poll(t, w)
			assert.Empty(t, poll(t, w))
			replace(t, schema)
			_, err := w.poll(t.Context())
			assert.ErrorIs(t, err, store.ErrBehind)
		})
	}
}

// Another server process behind the connection counts its transactions as it likes.
func TestWatcherNoticesAnotherServer(t *testing.T) {
	s, _ := OpenNew(t)
	w := newWatch(t, s)
	poll(t, w)
	w.conn = newWatch(t, s).conn
	_, err := w.poll(t.Context())
	assert.ErrorIs(t, err, store.ErrBehind)
}

// watched runs Watch until the test ends or stop is called, which returns its error.
// There are no reports once it has ended.
func watched(t *testing.T, s store.Store, every time.Duration) (reports <-chan store.Change, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ch, answer := make(chan store.Change), make(chan error, 1)
	go func() {
		defer close(ch)
		answer <- store.Watch(ctx, s, every, func(c store.Change) {
			select {
			case ch <- c:
			case <-ctx.Done():
			}
		})
	}()
	stop = sync.OnceValue(func() error { cancel(); return <-answer })
	t.Cleanup(func() { _ = stop() })
	return ch, stop
}

// A watcher reports the commits of other pools, its Seen never goes back, and commits that
// returned before it have been reported.
func TestWatch(t *testing.T) {
	s, schema := OpenNew(t)
	other := openIn(t, DSN(t), schema, nil)
	reports, stop := watched(t, store.Sub(s, "ours/"), time.Millisecond)
	next := func() store.Change {
		c, ok := <-reports
		if !ok {
			require.NoError(t, stop(), "it ended by itself")
		}
		return c
	}
	first := next()
	assert.Empty(t, first.Keys)
	assert.False(t, first.Seen.IsZero())

	seen, reported := first.Seen, map[string]bool{}
	for i := range 20 {
		key := fmt.Sprint("ours/", i)
		commit(t, []*Store{s, other}[i%2], put(key), put("theirs/"+key))
		returned := time.Now()
		for {
			c := next()
			assert.False(t, c.Seen.Before(seen), "Seen goes back")
			seen = c.Seen
			for _, k := range c.Keys {
				reported[k] = true
			}
			if c.Seen.After(returned) {
				break
			}
		}
		require.Len(t, reported, i+1, "%s returned before %s", key, seen)
		require.True(t, reported[fmt.Sprint(i)])
	}
	expired := put("ours/expired")
	expired.Expires = time.Now().Add(-2 * store.SweepGrace)
	commit(t, other, expired)
	for reported["expired"] = false; !reported["expired"]; {
		for _, k := range next().Keys {
			reported[k] = true
		}
	}
	_, err := other.Sweep(t.Context(), time.Now(), 10)
	require.NoError(t, err)
	for reported["expired"] = false; !reported["expired"]; {
		for _, k := range next().Keys {
			reported[k] = true
		}
	}
	assert.ErrorIs(t, stop(), context.Canceled)
}

func TestWatchEnds(t *testing.T) {
	t.Run("not every so often", func(t *testing.T) {
		s, _ := OpenNew(t)
		never := func(store.Change) { t.Error("called") }
		assert.ErrorIs(t, s.Watch(t.Context(), 0, never), store.ErrInvalid)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, s.Watch(over, time.Second, never), context.Canceled)
	})
	t.Run("with its connection", func(t *testing.T) {
		name := NewSchema()
		s := openIn(t, With(DSN(t), "application_name", name), name, nil)
		begun, answer := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			answer <- s.Watch(t.Context(), time.Millisecond, func(store.Change) {
				select {
				case begun <- struct{}{}:
				default:
				}
			})
		}()
		<-begun
		var killed int
		require.NoError(t, Connect(t, DSN(t)).QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid))
			FROM pg_stat_activity WHERE application_name = $1`, name).Scan(&killed))
		require.GreaterOrEqual(t, killed, 2, "the watcher's and one of the pool's")
		err := <-answer
		assert.Error(t, err)
		assert.NotErrorIs(t, err, context.Canceled)
		assert.False(t, exists(t, s, "a"), "a read goes on")
	})
	t.Run("with the store", func(t *testing.T) {
		s, _ := OpenNew(t)
		reports, stop := watched(t, s, time.Hour)
		<-reports
		require.NoError(t, s.Close())
		assert.ErrorIs(t, stop(), errClosed)
		assert.ErrorIs(t, s.Watch(t.Context(), time.Hour, nil), errClosed)
	})
}
