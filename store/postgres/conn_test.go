package postgres

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// asRole makes a role that the settings are the default of, and returns the connection
// string with which to be it.
func asRole(t *testing.T, settings ...string) (dsn, role string) {
	t.Helper()
	role = "npmauth_test_" + strings.ToLower(rand.Text())
	conn := Connect(t, DSN(t))
	run(t, conn, "", "CREATE ROLE "+role)
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "RESET ROLE; DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role)
		assert.NoError(t, err)
	})
	return With(DSN(t), "options", strings.Join(append(settings, "-c role="+role), " ")), role
}

// ST-15: commits set their isolation, whatever the connection string, the role or the database
// say. Under an older snapshot the locks would not help.
func TestIsolationIsPinned(t *testing.T) {
	dsn := DSN(t)
	conn := Connect(t, dsn)
	for name, tt := range map[string]struct {
		dsn        string
		set, reset string
	}{
		"parameter": {dsn: With(dsn, "default_transaction_isolation", "serializable")},
		"options":   {dsn: With(dsn, "options", "-c default_transaction_isolation=repeatable\\ read")},
		"database": {
			dsn:   dsn,
			set:   "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$",
			reset: "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_isolation', current_database()); END $$",
		},
		"role": {
			dsn:   dsn,
			set:   "DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_user, current_database()); END $$",
			reset: "DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET default_transaction_isolation', current_user, current_database()); END $$",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.set != "" {
				run(t, conn, "", tt.set)
				t.Cleanup(func() {
					_, err := conn.Exec(context.Background(), tt.reset)
					assert.NoError(t, err)
				})
			}
			var is string
			require.NoError(t, Connect(t, tt.dsn).QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&is))
			require.NotEqual(t, "read committed", is, "there is something to pin")

			s := openIn(t, tt.dsn, NewSchema(), nil)
			require.NoError(t, s.pool.QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&is))
			assert.Equal(t, "read committed", is)
			for range 50 {
				skew(t, s)
			}
		})
	}
}

// skew lets two commits race that exclude each other.
func skew(t *testing.T, s *Store) {
	t.Helper()
	x, y := "x-"+rand.Text(), "y-"+rand.Text()
	answers := make(chan error, 2)
	for _, ops := range [][]store.Op{{{Key: x}, put(y)}, {{Key: y}, put(x)}} {
		go func() {
			_, err := s.Commit(t.Context(), ops...)
			answers <- err
		}()
	}
	one, two := <-answers, <-answers
	if one == nil {
		one = two
	}
	require.ErrorIs(t, one, store.ErrConflict, "one of them, at least")
}

// ST-06, ST-15: a pooler that shares a connection can change its settings. A Commit that finds
// them changed does nothing.
func TestCommitLooksAtItsTransaction(t *testing.T) {
	for _, setting := range []string{"default_transaction_isolation = 'repeatable read'", "synchronous_commit = off"} {
		t.Run(setting, func(t *testing.T) {
			s := openIn(t, DSN(t), NewSchema(), func(pool *pgxpool.Config) { pool.MaxConns = 1 })
			_, err := s.Commit(t.Context(), put("a"))
			require.NoError(t, err)
			_, err = s.pool.Exec(t.Context(), "SET "+setting)
			require.NoError(t, err)
			for _, op := range []store.Op{put("b"), {Key: "a", At: store.Any, Action: store.Delete}, {Key: "b"}} {
				_, err = s.Commit(t.Context(), op)
				require.Error(t, err)
				assert.NotErrorIs(t, err, store.ErrUnknown)
				assert.NotErrorIs(t, err, store.ErrConflict)
			}
			assert.True(t, exists(t, s, "a"))
			assert.False(t, exists(t, s, "b"))
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dsn := DSN(t)
	for name, tt := range map[string]struct {
		dsn  string
		cfg  Config
		want string
	}{
		"no sync (ST-06)":    {With(dsn, "synchronous_commit", "off"), Config{}, "synchronous_commit is off"},
		"read-only (ST-07)":  {With(dsn, "default_transaction_read_only", "on"), Config{}, "read-only"},
		"a replica, please":  {With(dsn, "target_session_attrs", "standby"), Config{}, "standby"},
		"a schema's name":    {dsn, Config{Schema: `a"b`}, "Config.Schema"},
		"a long name":        {dsn, Config{Schema: strings.Repeat("a", 64)}, "Config.Schema"},
		"no server":          {With(dsn, "port", "1"), Config{}, "failed to connect"},
		"no database":        {With(dsn, "dbname", "npmauth_none"), Config{}, "does not exist"},
		"a malformed string": {"postgres://user:sec/ret@db.example:54x/db", Config{}, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), tt.dsn, tt.cfg)
			if !assert.ErrorContains(t, err, tt.want) && err == nil {
				s.Close()
			}
			assert.NotContains(t, err.Error(), "ret@")
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, dsn, Config{})
	assert.ErrorIs(t, err, context.Canceled)
}

// ST-06: anything but off has the server wait for a disk.
func TestDurability(t *testing.T) {
	dsn := DSN(t)
	for _, level := range []string{"local", "remote_write", "on", "remote_apply"} {
		s := openIn(t, With(dsn, "synchronous_commit", level), NewSchema(), nil)
		_, err := s.Commit(t.Context(), put("a"))
		assert.NoError(t, err, level)
	}
	s, err := Open(t.Context(), With(dsn, "synchronous_commit", "off"), Config{Schema: NewSchema(), InsecureNotDurable: true})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), put("a"))
	assert.NoError(t, err, "who permits it has it")
	assert.NoError(t, s.Close())
}

// The server's keepalives release the locks of a vanished client soon.
func TestKeepalives(t *testing.T) {
	s, _ := OpenNew(t)
	var addr *string
	var idle, interval, count int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT inet_server_addr()::text, current_setting('tcp_keepalives_idle')::int,
		current_setting('tcp_keepalives_interval')::int, current_setting('tcp_keepalives_count')::int`).Scan(&addr, &idle, &interval, &count))
	if addr == nil {
		Lack(t, "there are no keepalives on a Unix socket")
	}
	assert.LessOrEqual(t, idle, 30)
	assert.LessOrEqual(t, interval, 10)
	assert.LessOrEqual(t, count, 3)
}

// The privileges that the package documents suffice, and a role with fewer fails.
func TestPrivileges(t *testing.T) {
	_, schema := OpenNew(t)
	owner := Connect(t, DSN(t))
	dsn, role := asRole(t)
	grant := func(what string) { run(t, owner, schema, "GRANT "+what+" TO "+role) }

	_, err := Open(t.Context(), dsn, Config{Schema: schema})
	assert.ErrorContains(t, err, "permission denied")
	_, err = Open(t.Context(), dsn, Config{Schema: NewSchema()})
	assert.ErrorContains(t, err, "permission denied", "it may not make a schema")

	grant("USAGE ON SCHEMA {s}")
	grant("SELECT, INSERT, UPDATE, DELETE ON {s}.npmauth, {s}.npmauth_change, {s}.npmauth_trim")
	grant("SELECT ON {s}.npmauth_version")
	grant("USAGE ON SEQUENCE {s}.npmauth_rev")
	s := openIn(t, dsn, schema, nil)
	_, err = s.Commit(t.Context(), put("a"), store.Op{Key: "b", At: store.Any, Action: store.Delete})
	require.NoError(t, err)
	assert.True(t, exists(t, s, "a"))
	_, err = s.Sweep(t.Context(), latest, 10)
	assert.NoError(t, err)
	_, err = trim(t.Context(), s.pool, s, 0)
	assert.NoError(t, err)
	w := newWatch(t, s)
	_, err = w.poll(t.Context())
	assert.NoError(t, err)

	// One with a schema of its own makes its tables there.
	run(t, owner, "", "CREATE SCHEMA "+role+" AUTHORIZATION "+role)
	s = openIn(t, dsn, role, nil)
	_, err = s.Commit(t.Context(), put("a"))
	assert.NoError(t, err)
	require.NoError(t, s.Close())
}

// Names are those of the configured schema, whatever the search path of the role has first.
func TestSearchPath(t *testing.T) {
	s, schema := OpenNew(t)
	_, err := s.Commit(t.Context(), put("a"))
	require.NoError(t, err)
	conn := Connect(t, DSN(t))
	other := NewSchema()
	run(t, conn, other, "CREATE SCHEMA {s}; CREATE TABLE {s}.npmauth (key text); CREATE TABLE {s}.npmauth_version (version int)")
	again := openIn(t, With(DSN(t), "search_path", other), schema, nil)
	assert.True(t, exists(t, again, "a"))
}

func newWatch(t *testing.T, s *Store) *watch {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.pool.Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &watch{conn: conn, sql: s.sql.poll}
}

// ReadsRefuse asserts that reads notice a replica that no check of the connection noticed, as
// behind a pooler.
func ReadsRefuse(t *testing.T, dsn string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	defer pool.Close()
	s := &Store{pool: pool, sql: newStatements("public")}
	_, err = s.Get(t.Context(), "a", "b")
	assert.ErrorIs(t, err, errReplica)
	_, err = s.List(t.Context(), "", "", 10)
	assert.ErrorIs(t, err, errReplica)
	_, err = s.Sweep(t.Context(), latest, 10)
	assert.ErrorIs(t, err, errReplica)
	_, err = s.Commit(t.Context(), put("b"))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrUnknown)
}
