package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/npmauth/npmauth/store"
)

const (
	// retention is how long rows of npmauth_change are kept at least.
	retention = 5 * time.Minute
	// trimBatch is how many of these rows are deleted at once at most, and sweepTrims how often
	// a Sweep does so at most.
	trimBatch  = 5000
	sweepTrims = 20
	// trimEvery is how long a Watch that finds nothing to delete waits before its next attempt.
	trimEvery = time.Minute
	// pollEvery is the longest that a Watch waits between polls.
	pollEvery = 10 * time.Second
	// patience is how long it waits for an answer of the server, whatever the request.
	patience = 10 * time.Second
	// maxPending bounds how many keys one poll may find.
	maxPending = 1 << 16
)

// pollSQL returns what was committed since the moment whose snapshot is $1, which is null at
// first, and the snapshot of its own moment.
//
// A row carries the ID of the transaction that wrote it. IDs are given out in order, but
// transactions do not end in order: a query for IDs above the highest one seen would miss a
// slow transaction with a lower one. A snapshot does not: for it, a transaction has ended if
// its ID is below xmax and not in the list of those still running then, so the new rows are
// those with an ID from xmax on, or in the list. Both are looked up in the index. A commit that
// has returned is in every later snapshot, so also in the next one here.
//
// This is true of one server process on one set of data. The second column identifies both: it
// changes when a pooler or a failover connects to another server, and when a restore, TRUNCATE
// or VACUUM FULL replaces a table's file. The third column tells whether rows that were not
// seen may have been deleted. IDs of another server, restored with a dump, are neither reported
// nor taken for a mark.
const pollSQL = `
SELECT pg_current_snapshot()::text,
	concat_ws(' ', pg_backend_pid(),
		pg_relation_filenode('{s}.npmauth'::regclass), pg_relation_filenode('{s}.npmauth_change'::regclass)),
	EXISTS (SELECT FROM {s}.npmauth_trim WHERE trimmed > pg_snapshot_xmin($1::text::pg_snapshot)
		AND trimmed <= pg_snapshot_xmin(pg_current_snapshot())),
	ARRAY(SELECT unnest(c.keys) FROM (
		SELECT keys FROM {s}.npmauth_change WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot)
			AND xid < pg_snapshot_xmax(pg_current_snapshot())
		UNION ALL
		SELECT keys FROM {s}.npmauth_change
			WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
	) c LIMIT $2)`

// trimSQL deletes up to $2 rows that every watcher has seen unless it was disconnected for $1
// seconds. npmauth_trim has a mark: a moment, and the lowest transaction ID that was still
// running then. All rows below it were visible to all at that moment. So once the mark is old
// enough, these rows are deleted, and then the mark is set anew. In the same transaction
// "trimmed" tells watchers how far the deletions may have gone, so that no clock decides
// whether a watcher missed something.
//
// A mark that is ahead of the server, in time or in IDs, is not this server's: it came with a
// dump, or the clock was set back. It is set anew and nothing is deleted by it. Rows that are
// ahead of the server came with a dump too, and are deleted.
//
// The caller has the lock of trim, so that the snapshot is younger than the last trim of
// another node.
const trimSQL = `
WITH now AS MATERIALIZED (
	SELECT clock_timestamp() AS at,
		pg_snapshot_xmin(pg_current_snapshot()) AS xmin, pg_snapshot_xmax(pg_current_snapshot()) AS xmax
), mark AS MATERIALIZED (
	SELECT t.horizon, t.horizon > now.xmin OR t.at > now.at AS void
	FROM {s}.npmauth_trim t, now
	WHERE t.horizon > now.xmin OR t.at > now.at OR t.at <= now.at - make_interval(secs => $1)
), gone AS (
	DELETE FROM {s}.npmauth_change WHERE ctid = ANY (ARRAY(
		(SELECT c.ctid FROM {s}.npmauth_change c
			WHERE c.xid < (SELECT horizon FROM mark WHERE NOT void) ORDER BY c.xid LIMIT $2)
		UNION ALL
		(SELECT c.ctid FROM {s}.npmauth_change c
			WHERE c.xid >= (SELECT now.xmax FROM now, mark) ORDER BY c.xid LIMIT $2)))
	RETURNING 1
), n AS MATERIALIZED (
	SELECT count(*) AS n FROM gone
)
UPDATE {s}.npmauth_trim t SET
	trimmed = CASE WHEN n.n > 0 AND NOT mark.void THEN mark.horizon WHEN t.trimmed > now.xmin THEN '0' ELSE t.trimmed END,
	horizon = CASE WHEN mark.void OR n.n < $2 THEN now.xmin ELSE t.horizon END,
	at = CASE WHEN mark.void OR n.n < $2 THEN now.at ELSE t.at END
FROM now, mark, n
RETURNING n.n`

// trim deletes change rows that no watcher needs and returns how many.
func trim(ctx context.Context, db interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}, s *Store, keep time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	deleted := 0
	batch := &pgx.Batch{}
	batch.Queue(lockSQL, []int64{s.lock("trim\x00")}, []bool{false})
	batch.Queue(s.sql.trim, keep.Seconds(), trimBatch).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&deleted); !errors.Is(err, pgx.ErrNoRows) { // no row: not yet
			return err
		}
		return nil
	})
	if err := db.SendBatch(ctx, batch).Close(); err != nil {
		return 0, err
	}
	return deleted, nil
}

// Watch implements [store.Watcher]. It polls once in every, or more often, and reports each
// time. It ends when its connection does, because its snapshot means nothing to the server of
// another connection. It returns [store.ErrBehind] when it was disconnected for minutes, when
// very much was written at once, and when the tables or the server are no longer those that it
// began with.
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	if every <= 0 {
		return fmt.Errorf("%w: a watch that reports every %s", store.ErrInvalid, every)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	watching, done, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("postgres: watch: %w", err)
	}
	defer done()
	err = s.watch(watching, min(every, pollEvery), changed)
	switch {
	case ctx.Err() != nil:
		err = ended(ctx, err)
	case watching.Err() != nil:
		err = errClosed
	}
	return fmt.Errorf("postgres: watch: %w", err)
}

// begin returns a context that ends with ctx and when the store is closed; Close waits until
// done is called.
func (s *Store) begin(ctx context.Context) (watching context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	watching, cancel := context.WithCancel(ctx)
	s.watchers.Add(1)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-watching.Done():
		}
	}()
	return watching, func() { cancel(); s.watchers.Done() }, nil
}

// watch always returns an error.
func (s *Store) watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	// Not a connection of the pool: when all of those are taken, caches need a watch most.
	connecting, cancel := context.WithTimeout(ctx, patience)
	conn, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	cancel()
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	w := watch{conn: conn, sql: s.sql.poll}
	trimAt := time.Now()
	for {
		seen := time.Now() // before the poll: what returned by now is in it
		first := w.snapshot == nil
		keys, err := w.poll(ctx)
		if err != nil {
			return err
		}
		if first {
			// Commits before the first poll are not reported, so caches must drop what they
			// read before it.
			seen = time.Now()
		}
		changed(store.Change{Keys: keys, Seen: seen})
		if !seen.Before(trimAt) {
			trimmed, err := trim(ctx, conn, s, retention)
			if err != nil {
				return err
			}
			if trimmed < trimBatch {
				trimAt = seen.Add(trimEvery)
			}
		}
		if err := pause(ctx, time.Until(seen.Add(every))); err != nil {
			return err
		}
	}
}

// A watch is the state of one call of [Store.Watch].
type watch struct {
	conn     *pgx.Conn
	sql      string
	snapshot *string // of the last poll; nil before the first
	place    string  // the server process and the tables of that poll
}

// poll returns the keys that were written since the last poll, none the first time.
func (w *watch) poll(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var snapshot, place string
	var missed bool
	var keys []string
	err := w.conn.QueryRow(ctx, w.sql, w.snapshot, maxPending+1).Scan(&snapshot, &place, &missed, &keys)
	if err != nil {
		return nil, err
	}
	if w.snapshot != nil && (missed || place != w.place || len(keys) > maxPending) {
		return nil, store.ErrBehind
	}
	w.snapshot, w.place = &snapshot, place
	return keys, nil
}
