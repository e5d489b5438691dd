package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// done is an event of a commit.
var done = audit.Event{Type: audit.TokenRevoked, Outcome: audit.Done, User: "alice", Reasons: []string{"all"}}

// A recording is a Recorder with all that it recorded.
type recording struct {
	*audit.Recorder
	store    *storetest.Faulty
	log      *audit.Log
	recorded []audit.Event
	ctx      []error // of each call of the sink
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	r := &recording{store: storetest.NewFaulty(store.NewMemory())}
	r.log = newLog(t, r.store)
	r.Recorder = audit.NewRecorder(audit.RecorderConfig{
		Sink: audit.Func(func(ctx context.Context, e audit.Event) {
			r.recorded, r.ctx = append(r.recorded, e), append(r.ctx, ctx.Err())
		}),
		Log: r.log,
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	})
	return r
}

// logged returns the events of the Log.
func (r *recording) logged(t *testing.T) []audit.Event {
	t.Helper()
	page, _, err := r.log.List(t.Context(), "", 100)
	require.NoError(t, err)
	var events []audit.Event
	for _, e := range page {
		events = append(events, e.Event)
	}
	return events
}

// at returns e at the time of the recording.
func at(e audit.Event) audit.Event {
	e.Time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return e
}

func TestRecorderCommit(t *testing.T) {
	r := newRecording(t)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, store.Transact(ctx, r.store, func(tx *store.Tx) error {
		require.NoError(t, r.Commit(ctx, tx, done))
		assert.Empty(t, r.recorded, "not before it is committed")
		tx.After(func(store.Outcome) { cancel() })
		return r.Commit(ctx, tx, audit.Event{Type: "second"})
	}))
	assert.Equal(t, []audit.Event{at(done), at(audit.Event{Type: "second"})}, r.recorded)
	assert.Equal(t, []error{nil, nil}, r.ctx, "a client that leaves cancels no event")
	assert.Equal(t, []audit.Event{r.recorded[1], r.recorded[0]}, r.logged(t))
}

func TestRecorderCommitThatDidNotHappen(t *testing.T) {
	r := newRecording(t)
	broken := errors.New("broken")
	err := store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
		require.NoError(t, r.Commit(t.Context(), tx, done))
		return broken
	})
	require.ErrorIs(t, err, broken)
	r.store.Inject(storetest.Fault{On: storetest.Commits, Err: broken})
	err = store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return r.Commit(t.Context(), tx, done) })
	require.ErrorIs(t, err, broken)
	assert.Empty(t, r.recorded)
	assert.Empty(t, r.logged(t))
}

func TestRecorderCommitThatRunsTwice(t *testing.T) {
	r := newRecording(t)
	r.store.Inject(storetest.Fault{On: storetest.Commits, Err: store.ErrConflict})
	runs := 0
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
		runs++
		e := done
		e.Detail = map[string]string{"run": fmt.Sprint(runs)}
		err := r.Commit(t.Context(), tx, e)
		e.Detail["run"] = "changed after"
		return err
	}))
	want := done
	want.Detail = map[string]string{"run": "2"}
	assert.Equal(t, []audit.Event{at(want)}, r.recorded)
	assert.Equal(t, r.recorded, r.logged(t))
}

func TestRecorderCommitOfUnknownOutcome(t *testing.T) {
	want := done
	want.Outcome, want.Reasons = audit.Failed, []string{"unknown", "all"}
	for name, happened := range map[string]bool{"happened": true, "did not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits, After: happened, Err: store.ErrUnknown})
			err := store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return r.Commit(t.Context(), tx, done) })
			require.ErrorIs(t, err, store.ErrUnknown)
			assert.Equal(t, []audit.Event{at(want)}, r.recorded)
			if happened {
				assert.Equal(t, []audit.Event{at(done)}, r.logged(t), "the Log knows")
			} else {
				assert.Empty(t, r.logged(t))
			}
			assert.Equal(t, []string{"all"}, done.Reasons)
		})
	}
}

func TestRecorderCommitReturnsTheErrorOfTheLog(t *testing.T) {
	r := newRecording(t)
	runs := 0
	r.store.Inject(storetest.Fault{On: storetest.Commits, Err: store.ErrConflict})
	err := store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
		if runs++; runs == 2 { // a rerun reads before it writes
			r.store.Inject(storetest.Fault{On: storetest.Gets, Err: errors.New("broken")})
		}
		return r.Commit(t.Context(), tx, done)
	})
	require.ErrorContains(t, err, "audit: write: ")
	assert.Empty(t, r.recorded)
}

func TestRecorderWithoutLog(t *testing.T) {
	var recorded []audit.Event
	r := audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) { recorded = append(recorded, e) })})
	s := &counted{Store: store.NewMemory()}
	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error { return r.Commit(t.Context(), tx, done) }))
	assert.Zero(t, s.ops)
	require.Len(t, recorded, 1)
	assert.WithinDuration(t, time.Now(), recorded[0].Time, time.Minute)
}

func TestRecorderOutcome(t *testing.T) {
	refused := errors.New("wrong code")
	for name, tt := range map[string]struct {
		err  error
		want []audit.Event
	}{
		"committed": {nil, []audit.Event{at(audit.Event{Type: "committed", Outcome: audit.Done})}},
		"refused":   {refused, []audit.Event{at(audit.Event{Type: "refused", Reasons: []string{"wrong code"}})}},
		"unknown":   {store.ErrUnknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			ctx, cancel := context.WithCancel(t.Context())
			if errors.Is(tt.err, store.ErrUnknown) {
				r.store.Inject(storetest.Fault{On: storetest.Commits, Err: tt.err})
			}
			err := store.Transact(ctx, r.store, func(tx *store.Tx) error {
				tx.After(func(store.Outcome) { cancel() })
				r.Outcome(ctx, tx, func(o store.Outcome) (audit.Event, bool) {
					switch o.Result {
					case store.Committed:
						return audit.Event{Type: "committed", Outcome: audit.Done}, true
					case store.Refused:
						return audit.Event{Type: "refused", Reasons: []string{o.Err.Error()}}, true
					default:
						return audit.Event{}, false
					}
				})
				if errors.Is(tt.err, refused) {
					return refused
				}
				tx.Put("key", nil, time.Time{})
				return nil
			})
			require.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, r.recorded)
			for _, err := range r.ctx {
				assert.NoError(t, err)
			}
			assert.Empty(t, r.logged(t))
		})
	}
}

func TestRecorderRecord(t *testing.T) {
	r := newRecording(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var s audit.Sink = r
	s.Record(ctx, audit.Event{Type: audit.Access})
	assert.Equal(t, []audit.Event{at(audit.Event{Type: audit.Access})}, r.recorded)
	assert.Equal(t, []error{nil}, r.ctx)
	assert.Empty(t, r.logged(t), "AU-22: who is refused writes no rows")
}

func TestRecorderOutlivesPanicsOfTheSink(t *testing.T) {
	var out bytes.Buffer
	r := audit.NewRecorder(audit.RecorderConfig{
		Sink:   audit.Func(func(context.Context, audit.Event) { panic("npm_secret") }),
		Logger: slog.New(slog.NewTextHandler(&out, nil)),
	})
	s := store.NewMemory()
	assert.NotPanics(t, func() {
		assert.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error {
			tx.Put("key", nil, time.Time{})
			return r.Commit(t.Context(), tx, done)
		}), "what is committed is not refused")
		r.Record(t.Context(), done)
	})
	assert.Equal(t, 2, bytes.Count(out.Bytes(), []byte("type=token.revoked")))
	assert.NotContains(t, out.String(), "npm_secret")
}

func TestNoRecorderDiscards(t *testing.T) {
	var none *audit.Recorder
	for _, r := range []*audit.Recorder{none, audit.NewRecorder(audit.RecorderConfig{})} {
		r.Record(t.Context(), done)
		require.NoError(t, store.Transact(t.Context(), store.NewMemory(), func(tx *store.Tx) error {
			r.Outcome(t.Context(), tx, func(store.Outcome) (audit.Event, bool) { return done, true })
			return r.Commit(t.Context(), tx, done)
		}))
	}
}
