package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// Database is where the tests of this package are, those outside of it too. TestMain
// sets one of the two.
var Database struct {
	DSN     string
	Missing string // why there is none
}

// DSN returns the connection string of the database to test with.
func DSN(t testing.TB) string {
	t.Helper()
	if Database.Missing != "" {
		Lack(t, "the database of NPMAUTH_POSTGRES cannot be used: "+Database.Missing)
	}
	return Database.DSN
}

// Lack skips a test whose requirement is missing, and fails it where all must run.
func Lack(t testing.TB, what string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "all") {
		t.Fatalf("NPMAUTH_REQUIRE wants every test to run: %s", what)
	}
	t.Skip(what)
}

// With returns dsn with one of its settings replaced.
func With(dsn, name, value string) string {
	if !strings.Contains(dsn, "://") {
		return fmt.Sprintf("%s %s='%s'", dsn, name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	if name == "dbname" {
		u.Path = "/" + value
		return u.String()
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

var schemas atomic.Int64

// NewSchema returns the name of a schema that nothing else uses.
func NewSchema() string { return fmt.Sprintf("npmauth_%d", schemas.Add(1)) }

// Connect returns a plain connection.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// OpenNew opens a store in a schema of its own, with a few connections.
func OpenNew(t testing.TB) (s *Store, schema string) {
	t.Helper()
	schema = NewSchema()
	return openIn(t, DSN(t), schema, nil), schema
}

func openIn(t testing.TB, dsn, schema string, change func(*pgxpool.Config)) *Store {
	t.Helper()
	pool, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	pool.MaxConns = 6
	if change != nil {
		change(pool)
	}
	s, err := open(t.Context(), pool, Config{Schema: schema})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func run(t testing.TB, conn *pgx.Conn, schema, query string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), in(schema, query))
	require.NoError(t, err)
}

func put(key string) store.Op {
	return store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte("x")}
}

func exists(t testing.TB, s *Store, key string) bool {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0].Exists()
}

// A countingConn counts round trips: writes that follow a read, however many packets
// each of them is.
type countingConn struct {
	net.Conn
	trips   *atomic.Int64
	waiting atomic.Bool // what was written last has not been answered yet
}

func (c *countingConn) Write(b []byte) (int, error) {
	if !c.waiting.Swap(true) {
		c.trips.Add(1)
	}
	return c.Conn.Write(b)
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.waiting.Store(false)
	}
	return n, err
}

// On a warm connection, every call is one round trip.
func TestRoundTrips(t *testing.T) {
	var trips atomic.Int64
	s := openIn(t, DSN(t), NewSchema(), func(pool *pgxpool.Config) {
		pool.MaxConns = 1
		dial := pool.ConnConfig.DialFunc
		pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &countingConn{Conn: conn, trips: &trips}, err
		}
	})
	keys := make([]string, store.MaxKeys)
	ops := make([]store.Op, store.MaxOps)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%03d", i)
	}
	for i := range ops {
		ops[i] = store.Op{Key: keys[i], At: store.Any, Action: store.Put, Value: make([]byte, store.MaxValue)}
	}
	for name, call := range map[string]func() error{
		"get of one key":   func() error { _, err := s.Get(t.Context(), "a"); return err },
		"get of many keys": func() error { _, err := s.Get(t.Context(), keys...); return err },
		"list":             func() error { _, err := s.List(t.Context(), "key", "key-002", 100); return err },
		"commit":           func() error { _, err := s.Commit(t.Context(), put("a")); return err },
		"commit of a check and three puts": func() error {
			_, err := s.Commit(t.Context(), store.Op{Key: "absent"}, put("a"), put("b"), put("c"))
			return err
		},
		"commit of a deletion": func() error {
			_, err := s.Commit(t.Context(), store.Op{Key: "a", At: store.Any, Action: store.Delete})
			return err
		},
		"commit of checks": func() error { _, err := s.Commit(t.Context(), store.Op{Key: "absent"}); return err },
		"commit of four megabytes": func() error {
			_, err := s.Commit(t.Context(), ops...)
			return err
		},
		"conflict": func() error {
			_, err := s.Commit(t.Context(), store.Op{Key: "a", At: 1 << 40, Action: store.Put})
			if !errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("want a conflict, not %w", err)
			}
			return nil
		},
	} {
		require.NoError(t, call(), name) // which prepares the statement
		before := trips.Load()
		require.NoError(t, call(), name)
		assert.EqualValues(t, 1, trips.Load()-before, name)
	}
}

// A connection that was idle is pinged before a Commit, and not before a read.
func TestShouldPing(t *testing.T) {
	idle := pgxpool.ShouldPingParams{IdleDuration: time.Minute}
	assert.True(t, shouldPing(t.Context(), idle))
	assert.False(t, shouldPing(context.WithValue(t.Context(), asIs{}, true), idle))
	assert.False(t, shouldPing(t.Context(), pgxpool.ShouldPingParams{IdleDuration: time.Second}))
}

// Locks are taken in one order whatever the order of the operations, once each.
func TestLockAll(t *testing.T) {
	s := &Store{locks: "npmauth\x00public\x00"}
	ops := []store.Op{{Key: "a"}, put("b"), {Key: "c", Action: store.Delete}, {Key: "d"}}
	locks, shared := s.lockAll(ops)
	require.Len(t, locks, 4)
	assert.IsIncreasing(t, locks)
	for i, l := range locks {
		assert.Equal(t, l == s.lock("a") || l == s.lock("d"), shared[i])
	}
	ops[0], ops[3] = ops[3], ops[0]
	again, _ := s.lockAll(ops)
	assert.Equal(t, locks, again)

	// Of two keys with one lock, the stronger mode counts.
	ops = []store.Op{{Key: "a"}, {Key: "a", Action: store.Put}, {Key: "a"}}
	locks, shared = s.lockAll(ops)
	assert.Equal(t, []int64{s.lock("a")}, locks)
	assert.Equal(t, []bool{false}, shared)

	other := &Store{locks: "npmauth\x00other\x00"}
	assert.NotEqual(t, s.lock("a"), other.lock("a"), "stores of one database do not wait for each other")
}

// ST-03: an error that leaves the outcome unknown is told apart from others.
func TestUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"an error of the server":     {&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "23503"}, true},
		"of an old server":           {&pgconn.PgError{Severity: "ERROR", Code: "23503"}, true},
		"the server shuts down":      {&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, false},
		"the server panics":          {&pgconn.PgError{SeverityUnlocalized: "PANIC", Code: "XX000"}, false},
		"a pooler lost the server":   {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "08006"}, false},
		"the server does not know":   {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40003"}, false},
		"the connection broke":       {&net.OpError{Op: "read", Err: errors.New("reset")}, false},
		"the context ended":          {context.Canceled, false},
		"serialization, as reported": {fmt.Errorf("batch: %w", &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40001"}), true},
	} {
		assert.Equal(t, tt.want, undone(tt.err), name)
		assert.Equal(t, !tt.want, errors.Is(failed(t.Context(), tt.err), store.ErrUnknown), name)
	}
}

// ST-02, ST-03: a Commit whose context ends while it waits for a lock may still
// happen. The connection is given up, and the pool goes on with another.
func TestCancelledWhileItWaits(t *testing.T) {
	s, _ := OpenNew(t)
	conn := Connect(t, DSN(t))
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", s.lock("a"))
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() {
		_, err := s.Commit(ctx, put("a"), put("b"))
		answer <- err
	}()
	waitForLock(t, s.lock("a"), 1)
	cancel()
	err = <-answer
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, store.ErrConflict)
	waitForLock(t, s.lock("a"), 0) // the server was asked to give up, and did
	require.NoError(t, tx.Rollback(t.Context()))

	assert.False(t, exists(t, s, "a"))
	assert.False(t, exists(t, s, "b"))
	for range 10 {
		_, err = s.Commit(t.Context(), put("a"), put("b"))
		require.NoError(t, err)
	}

	// A call that never had a connection sends nothing.
	var held []*pgxpool.Conn
	for range s.pool.Config().MaxConns {
		c, err := s.pool.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, c)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = s.Commit(ctx, put("c"))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	for _, c := range held {
		c.Release()
	}
	assert.False(t, exists(t, s, "c"))
}

// waitForLock returns when so many transactions wait for a lock.
func waitForLock(t *testing.T, lock int64, waiting int) {
	t.Helper()
	conn := Connect(t, DSN(t))
	require.Eventually(t, func() bool {
		var n int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory' AND NOT granted AND (classid::bigint << 32 | objid::bigint) = $1`, lock).Scan(&n)
		return assert.NoError(t, err) && n == waiting
	}, time.Minute, 5*time.Millisecond)
}

// The check that Open makes of the locks fails where there is none.
func TestLocksHold(t *testing.T) {
	s, _ := OpenNew(t)
	conn := Connect(t, DSN(t))
	require.NoError(t, s.locksHold(t.Context(), conn))
	var holds bool
	require.NoError(t, conn.QueryRow(t.Context(), heldSQL, s.lock("")).Scan(&holds))
	assert.False(t, holds, "in a transaction of its own, without the first statement")

	// A server that has the function and does nothing.
	run(t, conn, NewSchema(), `CREATE SCHEMA {s};
		CREATE FUNCTION {s}.pg_advisory_xact_lock_shared(bigint) RETURNS void LANGUAGE sql AS '';
		CREATE FUNCTION {s}.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS '';
		SET search_path = {s}, pg_catalog`)
	assert.ErrorContains(t, s.locksHold(t.Context(), conn), "advisory locks do not hold")
}

// Every statement reads only the rows that it returns, however many there are: with plans made
// for the call and with those made for any arguments (ST-12).
func TestQueryPlans(t *testing.T) {
	s, schema := OpenNew(t)
	conn := Connect(t, DSN(t))
	run(t, conn, schema, `
		INSERT INTO {s}.npmauth SELECT 'key-' || n, 'x', n, CASE WHEN n % 2 = 0 THEN now() - n * interval '1 minute' END
			FROM generate_series(1, 20000) n;
		INSERT INTO {s}.npmauth_change SELECT n::text::xid8, '{a,b}' FROM generate_series(1, 20000) n`)
	const args = `ARRAY['key-1', 'key-2'], ARRAY[-1, 5], ARRAY[1, 2], ARRAY['x', NULL]::bytea[], ARRAY[now(), NULL], false`
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			run(t, conn, schema, `ANALYZE {s}.npmauth; ANALYZE {s}.npmauth_change`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			run(t, conn, schema, "SET plan_cache_mode = "+mode)
			for query, q := range map[string]struct {
				args  string
				index map[string]int // and how often
			}{
				s.sql.get:     {"ARRAY['key-1', 'key-2']", map[string]int{"npmauth_pkey": 1}},
				s.sql.list:    {"'key-1', 'key-2', 10", map[string]int{"npmauth_pkey": 1}},
				s.sql.expired: {"now(), 10", map[string]int{"npmauth_expires": 1}},
				s.sql.commit:  {args, map[string]int{"npmauth_pkey": 2}},
				s.sql.poll:    {"'19980:19990:19980', 100", map[string]int{"npmauth_change_xid": 2}},
				s.sql.trim:    {"300, 100", map[string]int{"npmauth_change_xid": 2}},
			} {
				run(t, conn, schema, "PREPARE p AS "+query)
				rows, err := conn.Query(t.Context(), "EXPLAIN (COSTS OFF) EXECUTE p ("+q.args+")", pgx.QueryExecModeSimpleProtocol)
				require.NoError(t, err)
				lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
				require.NoError(t, err)
				plan := strings.Join(lines, "\n")
				for index, n := range q.index {
					assert.Equal(t, n, strings.Count(plan, "using "+index)+strings.Count(plan, "Bitmap Index Scan on "+index),
						"%s, analyzed: %t\n%s\n%s", mode, analyzed, query, plan)
				}
				for _, table := range []string{"npmauth", "npmauth_change"} {
					assert.NotRegexp(t, "Seq Scan on "+table+"( |$)", plan, "%s, analyzed: %t", mode, analyzed)
				}
				run(t, conn, schema, "DEALLOCATE p")
			}
		}
	}
}

// Statements are planned a few times and then no more, whatever the number of their arguments:
// planning takes as long as running.
func TestPlansAreKept(t *testing.T) {
	schema := NewSchema()
	s := openIn(t, DSN(t), schema, func(pool *pgxpool.Config) { pool.MaxConns = 1 })
	conn := Connect(t, DSN(t))
	run(t, conn, schema, "INSERT INTO {s}.npmauth SELECT 'key-' || n, 'x', n FROM generate_series(1, 5000) n; ANALYZE {s}.npmauth")
	for i := range 20 {
		_, err := s.Get(t.Context(), "key-1")
		require.NoError(t, err)
		_, err = s.List(t.Context(), "key-1", "", 10)
		require.NoError(t, err)
		_, err = s.Commit(t.Context(), put(fmt.Sprint("new-", i)))
		require.NoError(t, err)
	}
	for _, query := range []string{s.sql.get, s.sql.list, lockSQL, s.sql.commit} {
		var made, kept int
		require.NoError(t, s.pool.QueryRow(t.Context(),
			"SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = $1", query).Scan(&made, &kept))
		assert.LessOrEqual(t, made, 5, query)
		assert.GreaterOrEqual(t, kept, 15, query)
	}
}
