// Package postgres keeps a [store.Store] in a PostgreSQL database, for registries that run on
// several nodes or have a database anyway.
//
//	st, err := postgres.Open(ctx, "postgres://npmauth@db.example/registry?sslmode=verify-full", postgres.Config{})
//	…
//	defer st.Close()
//
// The connection string is libpq's, with environment variables and password file, and
// pgxpool's pool_max_conns (by default the number of CPUs, at least 4) and the like.
// The server must be PostgreSQL 13 or later; 15 is what the tests are run with. Its
// tables are npmauth and those whose names begin with npmauth_.
//
// # Durability
//
// A Commit that returned nil is as durable as the server's synchronous_commit makes it; off is
// refused, like fsync = off (see [Config.InsecureNotDurable]). Commits that an asynchronous
// standby has not received are lost when it takes over, revocations included: to prevent that,
// set synchronous_standby_names, and do not cancel sessions that wait for a standby, which
// makes the server answer as if it had been reached. full_page_writes = off is left to the
// operator, who alone knows whether the file system can tear a page.
//
// # Several nodes
//
// Every node opens the same database. All of them read and write its primary: a server in
// recovery, or one that is read-only, is refused on every new connection, and every single read
// checks it, too. Name all hosts in the connection string, and a new primary is found by
// itself. The system that promotes a new primary must make sure that the old one no longer
// answers.
//
// Two commits with a common key wait for each other on advisory locks, whose numbers are
// digests of the keys: an application's own locks in the same database practically never have
// the same numbers. A node that vanishes in the middle of a Commit keeps them until the server
// misses it, within a minute. Commits run in READ COMMITTED, whatever the database's default,
// because their locks would not help under an older snapshot; a commit in another isolation
// does nothing and is an error.
//
// # Watching
//
// [Store.Watch] polls the server on a connection of its own. Each Commit leaves a row with the
// keys that it wrote; Watch and Sweep delete these rows after five to ten minutes, so one of
// these must be running. There is no LISTEN: a NOTIFY would make all commits of the server
// queue for one lock while they are synced.
//
// # Privileges
//
// [Open] creates the tables, and the schema if there is none, which needs CREATE on the schema
// or the database. A role for existing tables needs USAGE on the schema, SELECT, INSERT, UPDATE
// and DELETE on npmauth, npmauth_change and npmauth_trim, SELECT on npmauth_version and USAGE
// on npmauth_rev. No other program should be able to write to them: a program that does not
// take the locks breaks the Checks of npmauth, and Watch does not report its writes. The values
// are not encrypted: use [store.Seal].
//
// # Backup and restore
//
// pg_dump and base backups both work. A restore revives credentials that were revoked since:
// stop every node first, for a running node may have revisions that will be reused, and revoke
// what must not stay valid before the first request is answered (npmauth's Auth.Restored). A
// watcher notices a restore and a failover, and ends.
//
// # Connection poolers
//
// A pooler must keep a pipelined batch together on one connection. PgBouncer does in session
// and in transaction pooling (1.18 was tried); in statement pooling Open fails, as it does
// behind any proxy where locks do not last for a whole batch. In transaction pooling, a
// PgBouncer without max_prepared_statements needs default_query_exec_mode=exec in the
// connection string, and Watch does not work: it ends when another server process answers.
//
// # Other servers
//
// Only PostgreSQL has been tried. Serialization failures and deadlocks are retried, which other
// servers of its protocol may need, but without working advisory locks, as in CockroachDB, Open
// fails: Commit needs them.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/npmauth/npmauth/store"
)

// Config configures a [Store]. The zero value is for production.
type Config struct {
	// Schema is the PostgreSQL schema that the tables are in: at most 63 ASCII letters, digits
	// and underscores. Open creates it if it does not exist. Empty means "public".
	Schema string

	// InsecureNotDurable permits synchronous_commit = off and fsync = off. A Commit that
	// returned nil may then be lost in a crash of the server: a revoked token works, and a
	// spent code can be spent a second time.
	InsecureNotDurable bool
}

var schemaName = regexp.MustCompile(`^[A-Za-z0-9_]{1,63}$`)

var errClosed = errors.New("the store is closed")

// A Store is a [store.Store] in a PostgreSQL database. Make one with [Open].
type Store struct {
	pool     *pgxpool.Pool
	sql      statements
	insecure bool // synchronous_commit and fsync may be off
	locks    string

	closing  chan struct{} // closed by Close
	mu       sync.Mutex
	closed   bool           // guarded by mu
	watchers sync.WaitGroup // added to under mu, unless closed
}

// Open connects to the database that dsn names and creates the tables if there are none. ctx
// limits Open alone.
func Open(ctx context.Context, dsn string, cfg Config) (*Store, error) {
	pool, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// The cause quotes the connection string, which may contain a password.
		return nil, errors.New("postgres: open: the connection string is malformed")
	}
	return open(ctx, pool, cfg)
}

func open(ctx context.Context, pool *pgxpool.Config, cfg Config) (*Store, error) {
	schema := cfg.Schema
	if schema == "" {
		schema = "public"
	}
	if !schemaName.MatchString(schema) {
		return nil, fmt.Errorf("postgres: open: Config.Schema %q is not the name of a schema", schema)
	}
	s := &Store{
		sql:      newStatements(schema),
		insecure: cfg.InsecureNotDurable,
		locks:    "npmauth\x00" + schema + "\x00",
		closing:  make(chan struct{}),
	}
	config := pool.ConnConfig
	config.ValidateConnect = both(config.ValidateConnect, s.fit)
	pool.ShouldPing = shouldPing
	var err error
	if s.pool, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	if err := s.prepare(ctx, schema); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, schema string) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := s.locksHold(ctx, conn.Conn()); err != nil {
		return err
	}
	return migrate(ctx, conn.Conn(), schema, migrations)
}

// Close ends every Watch, waits for the calls that are under way and closes the connections.
// Every call after it is an error, except Close itself.
func (s *Store) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.watchers.Wait()
	s.pool.Close()
	return nil
}

// ended returns err, or the error of ctx before it if that has ended and err does not say so.
func ended(ctx context.Context, err error) error {
	if over := ctx.Err(); over != nil && !errors.Is(err, over) {
		return fmt.Errorf("%w: %w", over, err)
	}
	return err
}

// pause waits for d, or returns the error of ctx if that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

var _ interface {
	store.Store
	store.Sweeper
	store.Watcher
} = (*Store)(nil)
