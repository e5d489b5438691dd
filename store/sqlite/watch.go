package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/npmauth/npmauth/store"
)

const (
	// maxPoll is how long a watcher waits at most between polls for the writes of other
	// processes: much less than it takes to trim rows that it has not read.
	maxPoll = 250 * time.Millisecond

	maxRead = 256 // rows of the change log that are read at a time
)

// An alarm wakes the watchers of a handle when it has written.
type alarm struct {
	mu    sync.Mutex
	wakes map[chan struct{}]struct{} // one per watcher, with room for one signal; guarded by mu
}

// add returns a channel on which ring sends, until it is removed.
func (a *alarm) add() chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wakes == nil {
		a.wakes = make(map[chan struct{}]struct{})
	}
	wake := make(chan struct{}, 1)
	a.wakes[wake] = struct{}{}
	return wake
}

func (a *alarm) remove(wake chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.wakes, wake)
}

func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for wake := range a.wakes {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Watch implements [store.Watcher]. Commits through s are reported at once, those of other
// handles and processes within half of every, and a quarter of a second at most. A watcher that
// is blocked for so long that its place in the log is deleted meanwhile, many thousand commits
// later, gets [store.ErrBehind].
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	if every <= 0 {
		return fmt.Errorf("%w: a watch that reports every %s", store.ErrInvalid, every)
	}
	err := s.users.run(ctx, func(ctx context.Context) error {
		return s.watch(ctx, min(max(every/2, time.Millisecond), maxPoll), changed)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("sqlite: watch: %w", err)
}

func (s *Store) watch(ctx context.Context, poll time.Duration, changed func(store.Change)) error {
	// A connection of its own: while all others are busy reading, caches must not seem fresh
	// because the watch has to wait.
	db, err := pool(s.path, 1, "_pragma=query_only(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	wake := s.alarm.add() // before the place is read, so that no write is missed
	defer s.alarm.remove(wake)
	var l logPlace
	if err := db.QueryRowContext(ctx, "SELECT max(seq) FROM change").Scan(&l.last); err != nil {
		return err
	}
	// Not before the place was read: earlier reads may be older than the first row that is
	// reported.
	l.seen = time.Now()
	if l.stmt, err = db.PrepareContext(ctx, "SELECT seq, keys FROM change WHERE seq >= ? ORDER BY seq LIMIT ?"); err != nil {
		return err
	}
	defer l.stmt.Close()
	changed(store.Change{Seen: l.seen})

	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-tick.C:
		}
		for more := true; more; {
			var c store.Change
			if c, more, err = l.next(ctx); err != nil {
				return err
			}
			changed(c)
		}
	}
}

// A logPlace is the place of a watcher in the change log.
type logPlace struct {
	stmt *sql.Stmt
	last int64     // the row of the change log that was read last
	seen time.Time // every commit that returned before is in the rows read so far
}

// next reads on in the change log, and reports whether there is more of it. The row that was
// read last is read once more: if it is gone, others after it may be missing, too.
func (l *logPlace) next(ctx context.Context) (c store.Change, more bool, err error) {
	seen := time.Now() // before the read: what returned by now is in it
	rows, err := l.stmt.QueryContext(ctx, l.last, maxRead)
	if err != nil {
		return c, false, err
	}
	defer rows.Close()
	n := 0
	for want := l.last; rows.Next(); want++ {
		var seq int64
		var keys string
		if err := rows.Scan(&seq, &keys); err != nil {
			return c, false, err
		}
		if seq != want {
			return c, false, store.ErrBehind
		}
		if n++; n > 1 {
			c.Keys = append(c.Keys, strings.Split(keys, "\n")...)
		}
		l.last = seq
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return c, false, err
	}
	switch n {
	case 0:
		return c, false, store.ErrBehind
	case maxRead:
		more = true // and what is left may be older than this read
	default:
		l.seen = seen
	}
	c.Seen = l.seen
	return c, more, nil
}
