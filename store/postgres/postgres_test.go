package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
	"github.com/npmauth/npmauth/store/storetest"
)

func open(t testing.TB, dsn, schema string) *postgres.Store {
	t.Helper()
	return openWith(t, dsn, postgres.Config{Schema: schema})
}

func openWith(t testing.TB, dsn string, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.With(dsn, "pool_max_conns", "6"), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func conforms(t *testing.T, dsn string, cfg postgres.Config) {
	var opened sync.Map // how the stores were opened that are open
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) store.Store {
			cfg := cfg
			cfg.Schema = postgres.NewSchema()
			s := openWith(t, dsn, cfg)
			opened.Store(store.Store(s), cfg)
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			cfg, ok := opened.Load(s)
			require.True(t, ok)
			return openWith(t, dsn, cfg.(postgres.Config))
		},
	})
}

func TestStore(t *testing.T) {
	dsn := postgres.DSN(t)
	t.Parallel()
	conforms(t, dsn, postgres.Config{})
}

// Behind a pooler without prepared statements, a store uses none.
func TestStoreWithoutPreparedStatements(t *testing.T) {
	if testing.Short() {
		t.Skip("the same cases once more")
	}
	t.Parallel()
	// It is not the disk that is tried here.
	dsn := postgres.With(postgres.With(postgres.DSN(t), "synchronous_commit", "off"), "default_query_exec_mode", "exec")
	conforms(t, dsn, postgres.Config{InsecureNotDurable: true})
}

// TK-08, TK-09: a stored expiry is never later, and one that PostgreSQL cannot store is refused
// rather than changed.
func TestExpiry(t *testing.T) {
	s, _ := postgres.OpenNew(t)
	for _, want := range []time.Time{
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), // cut off, not towards 1970
		time.Date(1, 1, 1, 0, 0, 0, 1_999, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 999, time.UTC),
		time.Date(294_275, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(-4_712, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		op := put("k", "x", store.Any)
		op.Expires = want
		_, err := s.Commit(t.Context(), op)
		require.NoError(t, err, "%s", want)
		got := get(t, s, "k").Expires
		assert.True(t, got.Equal(want.Truncate(time.Microsecond)), "got %s, want %s", got, want)
		assert.False(t, got.After(want))
	}
	for _, expires := range []time.Time{
		time.Date(294_276, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(-5_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0),
	} {
		op := put("k", "x", store.Any)
		op.Expires = expires
		_, err := s.Commit(t.Context(), op)
		assert.ErrorIs(t, err, store.ErrInvalid, "%s", expires)
	}
	for _, before := range []time.Time{time.Unix(1<<60, 0), time.Unix(-1<<60, 0), {}} {
		_, err := s.Sweep(t.Context(), before, 10)
		assert.NoError(t, err, "%s", before)
	}
}

// ST-11: a swept item has been expired for an hour by the clock of the database, whatever time
// the caller gives.
func TestSweepGoesByTheDatabasesClock(t *testing.T) {
	s, _ := postgres.OpenNew(t)
	var now time.Time
	require.NoError(t, postgres.Connect(t, postgres.DSN(t)).QueryRow(t.Context(), "SELECT now()").Scan(&now))
	for key, ago := range map[string]time.Duration{"due": time.Second, "not yet": -time.Minute} {
		op := put(key, "x", store.Any)
		op.Expires = now.Add(-store.SweepGrace - ago)
		_, err := s.Commit(t.Context(), op)
		require.NoError(t, err)
	}
	n, err := s.Sweep(t.Context(), now.Add(100*time.Hour), 10)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.True(t, get(t, s, "not yet").Exists())
	assert.False(t, get(t, s, "due").Exists())
}

func TestClosed(t *testing.T) {
	s, err := postgres.Open(t.Context(), postgres.DSN(t), postgres.Config{Schema: postgres.NewSchema()})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Get(t.Context(), "a")
	assert.Error(t, err)
	_, err = s.List(t.Context(), "", "", 1)
	assert.Error(t, err)
	_, err = s.Commit(t.Context(), put("a", "1", store.Any))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	_, err = s.Sweep(t.Context(), time.Now(), 1)
	assert.Error(t, err)
	assert.Error(t, s.Watch(t.Context(), time.Second, func(store.Change) {}))
}
