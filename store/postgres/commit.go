package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/npmauth/npmauth/store"
)

// attempts is how often a Commit is tried if the server requests a retry.
const attempts = 8

// The range of a timestamptz.
var (
	earliest = time.Date(-4712, time.January, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(294275, time.December, 31, 23, 59, 59, 0, time.UTC)
)

// Commit implements [store.Store]. It is one round trip, and one more on a connection
// that was idle for over a second, to see that it still works. If ctx ends before the
// Commit was sent, it does not happen; if later, it may still happen after Commit
// returned, and the error wraps [store.ErrUnknown].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	for i := range ops {
		if t := ops[i].Expires; !t.IsZero() && (t.Before(earliest) || t.After(latest)) {
			return 0, fmt.Errorf("%w: op %d: PostgreSQL knows no such time as its expiry", store.ErrInvalid, i)
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var rev store.Revision
	err := retry(ctx, func() (err error) {
		rev, err = s.commit(ctx, ops)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("postgres: commit: %w", err)
	}
	return rev, nil
}

// retry calls try until it succeeds or fails with an error that a retry cannot help, a bounded
// number of times.
func retry(ctx context.Context, try func() error) error {
	for i := 1; ; i++ {
		err := try()
		if i == attempts || !transient(err) {
			return err
		}
		// Commits that conflicted should not conflict on the retry: 1 to 2 ms first, 64 to 128
		// at last.
		wait := time.Millisecond << (i - 1)
		if over := pause(ctx, wait+rand.N(wait)); over != nil {
			return fmt.Errorf("%w: %w", over, err)
		}
	}
}

func (s *Store) commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, ended(ctx, err)
	}
	defer conn.Release()

	// The two statements are one transaction, which the end of the batch commits. The snapshot
	// of the second is taken when the first has all the locks, and so it sees every commit that
	// had one of these locks before. Row locks would not do: an absent key has no row.
	locks, shared := s.lockAll(ops)
	batch := &pgx.Batch{}
	batch.Queue(lockSQL, locks, shared)
	batch.Queue(s.sql.commit, s.arguments(ops)...)
	results := conn.SendBatch(ctx, batch)
	var verdict int
	var rev store.Revision
	_, err = results.Exec()
	if err == nil {
		err = results.QueryRow().Scan(&verdict, &rev)
	}
	// The row comes before the commit, which can still fail: only Close reports that.
	if closeErr := results.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, failed(ctx, err)
	}
	switch verdict {
	case committed:
		return rev, nil
	case conflict:
		return 0, store.ErrConflict
	case wrongIsolation:
		return 0, errors.New("the transaction is not READ COMMITTED: does a pooler reset what was set?")
	case notDurable:
		return 0, errors.New("synchronous_commit or fsync is off")
	default:
		return 0, fmt.Errorf("%w: verdict %d", store.ErrUnknown, verdict)
	}
}

// failed returns err unchanged if certainly nothing was written, else wrapped in
// [store.ErrUnknown].
func failed(ctx context.Context, err error) error {
	if undone(err) {
		return ended(ctx, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, ended(ctx, err))
}

// undone reports whether err means that a batch changed nothing: it was not sent, or the server
// reported that it failed. An error that ends the connection (FATAL, PANIC) says nothing about
// the transaction: it may come between the commit and its acknowledgement, while the server
// waits for a standby. Nor does an error of a pooler that lost the server, which is of class
// 08, nor 40003, which means unknown. pgx also reports a closed connection, as if nothing had
// been sent, when it broke while pgx waited for the answer.
func undone(err error) bool {
	var reported *pgconn.PgError
	if errors.As(err, &reported) {
		severity := cmp.Or(reported.SeverityUnlocalized, reported.Severity)
		return severity == "ERROR" && reported.Code != "40003" && !strings.HasPrefix(reported.Code, "08")
	}
	return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
}

// transient reports whether err is that of a transaction which conflicted with another and was
// undone.
func transient(err error) bool {
	var reported *pgconn.PgError
	return errors.As(err, &reported) && undone(err) && (reported.Code == "40001" || reported.Code == "40P01")
}

// lock returns the number of the lock for a key.
func (s *Store) lock(key string) int64 { return digest(s.locks + key) }

// lockAll returns the locks that ops need, in ascending order, so that two commits
// never wait for each other, and which of them can be shared.
func (s *Store) lockAll(ops []store.Op) (locks []int64, shared []bool) {
	type lock struct {
		number int64
		shared bool
	}
	all := make([]lock, len(ops))
	for i := range ops {
		all[i] = lock{s.lock(ops[i].Key), ops[i].Action == store.Check}
	}
	locks, shared = make([]int64, 0, len(ops)), make([]bool, 0, len(ops))
	slices.SortFunc(all, func(a, b lock) int { return cmp.Compare(a.number, b.number) })
	for _, l := range all {
		// An attacker may find two keys with the same number. Locked shared first and then
		// exclusively, it could make two commits wait for each other.
		if n := len(locks); n > 0 && locks[n-1] == l.number {
			shared[n-1] = shared[n-1] && l.shared
			continue
		}
		locks, shared = append(locks, l.number), append(shared, l.shared)
	}
	return locks, shared
}

// arguments returns the parameters of commitSQL.
func (s *Store) arguments(ops []store.Op) []any {
	keys := make([]string, len(ops))
	at := make([]int64, len(ops))
	actions := make([]int16, len(ops))
	values := make([][]byte, len(ops))
	expires := make([]pgtype.Timestamptz, len(ops))
	for i := range ops {
		op := &ops[i]
		keys[i], at[i], actions[i] = op.Key, int64(op.At), int16(op.Action)
		if op.Action != store.Put {
			continue
		}
		if values[i] = op.Value; values[i] == nil {
			values[i] = []byte{} // nil would be NULL
		}
		if !op.Expires.IsZero() {
			// Cut off here, so that no rounding later prolongs it.
			expires[i] = pgtype.Timestamptz{Time: op.Expires.Truncate(time.Microsecond), Valid: true}
		}
	}
	return []any{keys, at, actions, values, expires, s.insecure}
}
