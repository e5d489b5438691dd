package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// unfit reads from a new connection what is wrong with its server, and sets the settings that
// commits need. It sets nothing that is right already, so that a pooler which lends the
// connection to others keeps no setting of npmauth on it.
//
// A client that vanishes between the two statements of a Commit leaves its locks taken. The
// server's keepalives limit for how long: 30 s and 3 × 10 s. Servers whose system cannot report
// them show 0 and are left alone.
const unfit = `
SELECT CASE
		WHEN current_setting('server_version_num')::integer < 130000 THEN 'it is older than PostgreSQL 13'
		WHEN pg_is_in_recovery() THEN 'it is a replica'
		WHEN current_setting('transaction_read_only')::boolean THEN 'it is read-only'
		ELSE '' END,
	CASE
		WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit is off'
		WHEN NOT current_setting('fsync')::boolean THEN 'fsync is off'
		ELSE '' END,
	CASE WHEN current_setting('default_transaction_isolation') <> 'read committed'
		THEN set_config('default_transaction_isolation', 'read committed', false) END,
	CASE WHEN current_setting('tcp_keepalives_idle')::integer > 30
		THEN set_config('tcp_keepalives_idle', '30', false) END,
	CASE WHEN current_setting('tcp_keepalives_interval')::integer > 10
		THEN set_config('tcp_keepalives_interval', '10', false) END,
	CASE WHEN current_setting('tcp_keepalives_count')::integer > 3
		THEN set_config('tcp_keepalives_count', '3', false) END`

// fit returns an error unless a new connection leads to a server that may be read from and
// written to. If the connection string names several hosts, the next one is tried then.
func (s *Store) fit(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, unfit).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 2 {
		return errors.New("the server did not answer the query")
	}
	row := results[0].Rows[0]
	if why := string(row[0]); why != "" {
		return fmt.Errorf("the server cannot be used: %s", why)
	}
	if why := string(row[1]); why != "" && !s.insecure {
		return fmt.Errorf("the server is not durable: %s (see Config.InsecureNotDurable)", why)
	}
	return nil
}

// both returns a check that both of its arguments pass. The first may be nil.
func both(a, b pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	if a == nil {
		return b
	}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := a(ctx, conn); err != nil {
			return err
		}
		return b(ctx, conn)
	}
}

// asIs marks a context: the connection is used without a ping first.
type asIs struct{}

// shouldPing makes the pool ping a connection that was idle for a while before a Commit uses
// it, at the price of a round trip: if the Commit itself found it broken, the outcome would be
// unknown. A read can be repeated and needs no ping.
func shouldPing(ctx context.Context, p pgxpool.ShouldPingParams) bool {
	return ctx.Value(asIs{}) == nil && p.IdleDuration > time.Second
}

// locksHold returns an error unless the two statements of a batch are one transaction in which
// the locks of the first last during the second, as Commit requires. This fails behind a proxy
// that splits batches, and on servers that accept advisory locks and ignore them.
func (s *Store) locksHold(ctx context.Context, conn *pgx.Conn) error {
	lock := s.lock("")
	var holds bool
	batch := &pgx.Batch{}
	batch.Queue(lockSQL, []int64{lock}, []bool{true})
	batch.Queue(heldSQL, lock).QueryRow(func(row pgx.Row) error { return row.Scan(&holds) })
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if !holds {
		return errors.New("advisory locks do not hold for a whole transaction here")
	}
	return nil
}

// heldSQL reports whether the connection has a lock.
const heldSQL = `
SELECT EXISTS (SELECT FROM pg_locks
	WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
		AND (classid::bigint << 32 | objid::bigint) = $1::bigint)`
