package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	queueSize   = 1024
	queueDrain  = 5 * time.Second
	reportEvery = 10 * time.Second // how often a receiver that falls behind gets an EventsLost
)

// QueueConfig configures a [Queue].
type QueueConfig struct {
	// Size is how many events may wait. Zero means 1024; negative is an error.
	Size int

	// Drain is how long Run continues to deliver once its context is done. Zero means five
	// seconds; negative is an error.
	Drain time.Duration

	// Logger logs lost events and panics of the receiver. Nil discards.
	Logger *slog.Logger

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Queue is a [Sink] that never waits: it keeps events in memory until [Queue.Run] has
// delivered them, in order, to a receiver that may be slow or unavailable.
//
// When Size events wait, the next one is lost. Refusals, which everybody can cause, may take no
// more than half of the room, so that they cannot displace the events of changes. The receiver gets
// an event of the type [EventsLost] for lost events, and the Logger logs them. The events that wait
// when the process dies are lost too: a [Log] keeps those that must not be.
type Queue struct {
	sink  Sink
	size  int
	drain time.Duration
	log   *slog.Logger
	now   func() time.Time
	wake  chan struct{} // holds one when something may wait

	mu         sync.Mutex
	waiting    []Event   // guarded by mu
	refusals   int       // of waiting; guarded by mu
	lost       uint64    // since New; guarded by mu
	reported   uint64    // of lost; guarded by mu
	reportedAt time.Time // guarded by mu
	running    bool      // guarded by mu
}

// NewQueue returns a Queue that delivers to sink, or an error naming what is wrong. It delivers
// nothing before Run is called.
func NewQueue(sink Sink, cfg QueueConfig) (*Queue, error) {
	switch {
	case sink == nil:
		return nil, errors.New("audit: a queue without a sink")
	case cfg.Size < 0:
		return nil, fmt.Errorf("audit: QueueConfig.Size is negative: %d", cfg.Size)
	case cfg.Drain < 0:
		return nil, fmt.Errorf("audit: QueueConfig.Drain is negative: %v", cfg.Drain)
	}
	q := &Queue{sink: sink, size: cfg.Size, drain: cfg.Drain, log: cfg.Logger, now: cfg.Now, wake: make(chan struct{}, 1)}
	if q.size == 0 {
		q.size = queueSize
	}
	if q.drain == 0 {
		q.drain = queueDrain
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	if q.now == nil {
		q.now = time.Now
	}
	return q, nil
}

// Record implements [Sink]. It never blocks. The receiver gets the event with the
// context of Run: that of a request is not kept beyond the request.
func (q *Queue) Record(_ context.Context, e Event) {
	if e.Time.IsZero() {
		e.Time = q.now()
	}
	e = clone(e)
	refusal := isRefusal(e)
	q.mu.Lock()
	if len(q.waiting) >= q.size || refusal && q.refusals >= max(q.size/2, 1) {
		q.lost++
	} else {
		q.waiting = append(q.waiting, e)
		if refusal {
			q.refusals++
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// clone returns e without memory that its caller may still change.
func clone(e Event) Event {
	e.Grants, e.Reasons, e.Detail = slices.Clone(e.Grants), slices.Clone(e.Reasons), maps.Clone(e.Detail)
	return e
}

func isRefusal(e Event) bool { return e.Outcome != Done && e.Outcome != Failed }

// Lost returns how many events were lost since q was made.
func (q *Queue) Lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// Run delivers events one at a time until ctx is done, then those that still wait, for at most
// QueueConfig.Drain. It returns nil if all were delivered, else an error that says how many
// were not. The receiver's context is done only when that time is over. If it does not return
// then, Run returns without it. End ctx when the last request has ended: events recorded after
// Run are not delivered. One Run at a time.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	running := q.running
	q.running = true
	q.mu.Unlock()
	if running {
		return errors.New("audit: this queue runs already")
	}
	receiver, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer q.stopped() // before ended, so that Run can be called once more
		q.deliver(receiver, ctx.Done())
	}()
	select {
	case <-ended: // the receiver ended the goroutine
		return errors.New("audit: the receiver of a queue ended its goroutine")
	case <-ctx.Done():
	}
	busy := false
	bound := time.NewTimer(q.drain)
	defer bound.Stop()
	select {
	case <-ended:
	case <-bound.C:
		busy = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left := len(q.waiting)
	if busy {
		left++ // the one that the receiver has
	}
	if left > 0 {
		return fmt.Errorf("audit: %d events of a queue were not delivered", left)
	}
	return nil
}

func (q *Queue) stopped() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = false
}

// deliver calls the receiver with the events until its context is done, or nothing waits after
// drain is closed.
func (q *Queue) deliver(receiver context.Context, drain <-chan struct{}) {
	for {
		for receiver.Err() == nil {
			e, ok := q.next()
			if !ok {
				break
			}
			q.deliverOne(receiver, e)
		}
		select {
		case <-receiver.Done():
			return
		case <-q.wake:
		case <-drain:
			if q.empty() || receiver.Err() != nil {
				return
			}
		}
	}
}

func (q *Queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0 && q.lost == q.reported
}

// next returns the next event to deliver. An EventsLost comes at once, then from time to time
// while the losses go on, and when the receiver has caught up.
func (q *Queue) next() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.lost - q.reported; n > 0 && (len(q.waiting) == 0 || time.Since(q.reportedAt) >= reportEvery) {
		q.reported, q.reportedAt = q.lost, time.Now()
		return Event{Time: q.now(), Type: EventsLost, Outcome: Failed, Detail: map[string]string{"lost": strconv.FormatUint(n, 10)}}, true
	}
	if len(q.waiting) == 0 {
		return Event{}, false
	}
	e := q.waiting[0]
	q.waiting[0] = Event{}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil // a burst's memory is not kept
	}
	if isRefusal(e) {
		q.refusals--
	}
	return e, true
}

// deliverOne gives e to the receiver, whose panic only loses that event.
func (q *Queue) deliverOne(ctx context.Context, e Event) {
	if e.Type == EventsLost {
		q.log.WarnContext(ctx, "audit: events were lost, their receiver is too slow", "lost", e.Detail["lost"])
	}
	defer recoverSink(ctx, q.log, e)
	q.sink.Record(ctx, e)
}

// recoverSink recovers a panic of a sink and logs it, without its value, which may quote the
// event.
func recoverSink(ctx context.Context, log *slog.Logger, e Event) {
	if recover() != nil {
		log.ErrorContext(ctx, "audit: a sink panicked, the event may be lost", "type", string(e.Type), "stack", string(debug.Stack()))
	}
}
