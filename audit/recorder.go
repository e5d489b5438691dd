package audit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/npmauth/npmauth/store"
)

// RecorderConfig configures a [Recorder].
type RecorderConfig struct {
	// Sink gets every event. Nil discards.
	Sink Sink

	// Log keeps the events of commits, and must be on the store that is committed to. Nil keeps
	// none.
	Log *Log

	// Logger logs panics of the Sink. Nil discards.
	Logger *slog.Logger

	// Now returns the current time, for events without one. Nil means time.Now.
	Now func() time.Time
}

// A Recorder records the events of a part of npmauth: Commit those of a change, in its commit;
// Outcome those that depend on how a commit ended; and Record those without a commit. So a
// caller has nothing to report later.
//
//	err := store.Transact(ctx, s, func(tx *store.Tx) error {
//		…
//		return events.Commit(ctx, tx, audit.Event{Type: audit.TokenRevoked, Outcome: audit.Done, User: user, Credential: id}.From(by))
//	})
//
// A nil Recorder discards. A panic of the Sink is recovered: the change has happened and can no
// longer be refused. A Recorder is itself a Sink, and safe for concurrent use if its Sink is.
type Recorder struct {
	sink Sink
	log  *Log
	errs *slog.Logger
	now  func() time.Time

	floods floods
}

// NewRecorder returns a Recorder.
func NewRecorder(cfg RecorderConfig) *Recorder {
	r := &Recorder{sink: cfg.Sink, log: cfg.Log, errs: cfg.Logger, now: cfg.Now}
	if r.sink == nil {
		r.sink = Multi()
	}
	if r.errs == nil {
		r.errs = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// Commit makes e part of what tx commits: it writes e to the Log, which takes at most two of
// the ops of a Commit, and gives e to the Sink when the Commit has happened. A Commit that did
// not happen has no event. If the outcome is unknown, the Sink gets e as [Failed] with
// "unknown" as its first reason; the Log has e if the Commit happened.
//
// Call it in each run of the function of [store.Transact]: only the last one counts.
// An error is for that function to return.
func (r *Recorder) Commit(ctx context.Context, tx *store.Tx, e Event) error {
	if r == nil {
		return nil
	}
	if tx == nil {
		return errors.New("audit: a commit without a Tx")
	}
	e = r.timed(clone(e))
	if r.log != nil {
		if err := r.log.Write(ctx, tx, e); err != nil {
			return err
		}
	}
	tx.After(func(o store.Outcome) {
		switch o.Result {
		case store.Committed:
			r.Record(ctx, e)
		case store.Unknown:
			e.Outcome, e.Reasons = Failed, append([]string{"unknown"}, e.Reasons...)
			r.Record(ctx, e)
		}
	})
	return nil
}

// Outcome gives the Sink the event that fn returns when tx has ended, unless fn returns false:
// for events that depend on how it ended, such as a code that was refused. The event is not in
// the Log, so an event of a change belongs to Commit:
//
//	events.Outcome(ctx, tx, func(o store.Outcome) (audit.Event, bool) {
//		refused := audit.Event{Type: audit.FactorUsed, User: user, Reasons: []string{reason(o.Err)}}
//		return refused, o.Result == store.Refused
//	})
//
// Call it before anything that may fail: a function that is not registered is not called. Without
// a tx or a fn nothing is recorded.
func (r *Recorder) Outcome(ctx context.Context, tx *store.Tx, fn func(store.Outcome) (Event, bool)) {
	if r == nil || tx == nil || fn == nil {
		return
	}
	tx.After(func(o store.Outcome) {
		if e, ok := fn(o); ok {
			r.Record(ctx, e)
		}
	})
}

// Record passes e to the Sink at once, for an event without a commit: a refusal, or an operation
// that the host carries out. It does not write to the Log, since everybody could fill the store
// with refusals. The Sink's context is not cancelled when ctx is. It implements [Sink].
//
// Of refusals that are alike, in type, outcome, account, action and first reason, the first ten in a
// minute are passed on. The others become one event, which [Recorder.Flush] tells, with count
// and since in its Detail and without what they do not have in common: a flood is one event a minute.
func (r *Recorder) Record(ctx context.Context, e Event) {
	if r == nil {
		return
	}
	now := r.now()
	for _, other := range r.floods.over(now, false) {
		r.give(ctx, other)
	}
	if e = r.timed(e); !r.floods.take(e, now) {
		r.give(ctx, e)
	}
}

// give passes e to the Sink.
func (r *Recorder) give(ctx context.Context, e Event) {
	ctx = context.WithoutCancel(ctx)
	defer recoverSink(ctx, r.errs, e)
	r.sink.Record(ctx, e)
}

func (r *Recorder) timed(e Event) Event {
	if e.Time.IsZero() {
		e.Time = r.now()
	}
	return e
}
