package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

const keepDefault = 90 * 24 * time.Hour

// A record is an event as it is stored.
type record struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
	Event   Event     `json:"event"`
}

var (
	records = store.NewTable("audit", 1, func(r *record) string { return r.ID }).
		Expiring(func(r *record) time.Time { return r.Expires })
	byUser = records.Index("user", func(r *record) string { return userValue(r.Event.User) })
)

// userValue returns the text by which the events of an account are found. A key has a bound and
// a host's IDs have none, so long ones are found by their digest.
func userValue(user protocol.UserID) string {
	if len(user) <= 128 {
		return string(user)
	}
	sum := sha256.Sum256([]byte(user))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// LogConfig configures a [Log].
type LogConfig struct {
	// Store keeps the events, and is the store whose transactions write them: the sealed one,
	// if it is sealed. Required.
	Store store.Store

	// Keep is how long an event is kept. Zero means 90 days; negative is an error. A change
	// applies to events that are written from then on. Expired events are not listed; a
	// [store.Sweeper] deletes them.
	Keep time.Duration

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Log stores events as rows of a store, each in the commit that it describes: the event is in the
// Log if and only if the commit happened. Make one with [NewLog].
//
// Events are listed newest first, by their own time. The clocks of nodes differ, so an event of
// a node whose clock is behind is listed among older ones, perhaps on a page that was read
// before. A program that needs every event gets them from a [Sink], or reads once more what is
// younger than the clocks may differ.
type Log struct {
	store store.Store
	keep  time.Duration
	now   func() time.Time
	seq   atomic.Uint32 // orders events of this process that have the same time
}

// NewLog returns a Log, or an error naming the field of cfg that is wrong.
func NewLog(cfg LogConfig) (*Log, error) {
	if cfg.Store == nil {
		return nil, errors.New("audit: LogConfig.Store is missing")
	}
	if cfg.Keep < 0 {
		return nil, fmt.Errorf("audit: LogConfig.Keep is negative: %v", cfg.Keep)
	}
	if cfg.Keep == 0 {
		cfg.Keep = keepDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Log{store: cfg.Store, keep: cfg.Keep, now: cfg.Now}, nil
}

// Write adds e to what tx commits: one op, and one more if e has a User. Write events of
// changes and not of refusals: otherwise everybody who can send requests fills the store.
//
// Every event can be written, since a revocation must not fail because of its event: Write cuts
// what is longer than a row allows, and drops values that could not be decoded. The event then has
// the detail "omitted", which counts the grants and details that are missing.
func (l *Log) Write(ctx context.Context, tx *store.Tx, e Event) error {
	now := l.now()
	if e.Time.IsZero() {
		e.Time = now
	}
	e = fit(e)
	r := &record{ID: l.newID(e.Time), Expires: now.Add(l.keep).UTC(), Event: e}
	if err := records.Insert(ctx, tx, r); err != nil {
		return fmt.Errorf("audit: write: %w", err)
	}
	return nil
}

// newID returns a new id whose byte order is newest first: the time, inverted, then how many
// events this process has written, inverted, then random text that no other process has.
func (l *Log) newID(t time.Time) string {
	return fmt.Sprintf("%016x-%08x-%s", math.MaxInt64-t.UnixMicro(), ^l.seq.Add(1), rand.Text()[:16])
}

// An Entry is an event in a [Log].
type Entry struct {
	ID string `json:"id"` // unique in its Log, and a cursor for List
	Event
}

// ErrCursor means that a text is not the ID of an [Entry].
var ErrCursor = errors.New("audit: unknown cursor")

var entryID = regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{8}-[A-Z2-7]{16}$`)

// List returns events, newest first, that come after the entry with the ID after, which need not be
// there any more; "" begins with the newest, and any other text is [ErrCursor]. It reads up to limit rows, 1 to [store.MaxLimit]. A page may have fewer,
// since expired events are not shown: next is the cursor of the next page, and "" at the end.
func (l *Log) List(ctx context.Context, after string, limit int) (page []Entry, next string, err error) {
	if after != "" && !entryID.MatchString(after) {
		return nil, "", ErrCursor
	}
	rows, err := records.List(ctx, l.store, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("audit: list: %w", err)
	}
	if len(rows) == limit {
		next = rows[len(rows)-1].ID
	}
	return l.entries(rows, func(*record) bool { return true }), next, nil
}

// ListUser is List for the events that have user as their User. Those in which user only acted,
// as an administrator does, are listed for the account that they concern.
func (l *Log) ListUser(ctx context.Context, user protocol.UserID, after string, limit int) (page []Entry, next string, err error) {
	if after != "" && !entryID.MatchString(after) {
		return nil, "", ErrCursor
	}
	rows, next, err := byUser.List(ctx, l.store, userValue(user), after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("audit: list of a user: %w", err)
	}
	return l.entries(rows, func(r *record) bool { return r.Event.User == user }), next, nil
}

// entries returns those of rows that have not expired and are wanted.
func (l *Log) entries(rows []*record, want func(*record) bool) []Entry {
	now := l.now()
	page := make([]Entry, 0, len(rows))
	for _, r := range rows {
		if now.Before(r.Expires) && want(r) {
			page = append(page, Entry{ID: r.ID, Event: r.Event})
		}
	}
	return page
}
