package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
)

// A receiver keeps the events that it gets, after a delay.
type receiver struct {
	takes time.Duration
	hold  chan struct{} // if not nil, it waits for a value or the context's end

	mu  sync.Mutex
	got []audit.Event
}

func (r *receiver) Record(ctx context.Context, e audit.Event) {
	time.Sleep(r.takes)
	if r.hold != nil {
		select {
		case <-r.hold:
		case <-ctx.Done():
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, e)
}

// words are the types received; of an EventsLost, how many.
func (r *receiver) words() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, e := range r.got {
		words = append(words, strings.TrimSuffix(string(e.Type)+"="+e.Detail["lost"], "="))
	}
	return strings.Join(words, " ")
}

func newQueue(t *testing.T, sink audit.Sink, cfg audit.QueueConfig) *audit.Queue {
	t.Helper()
	q, err := audit.NewQueue(sink, cfg)
	require.NoError(t, err)
	return q
}

// record records done events whose types are the words of types.
func record(s audit.Sink, types string) {
	for _, word := range strings.Fields(types) {
		s.Record(context.Background(), audit.Event{Type: audit.Type(word), Outcome: audit.Done})
	}
}

// start runs q, and returns a function that ends it and waits for its error.
func start(t *testing.T, q *audit.Queue) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ran
	}
}

func TestNewQueue(t *testing.T) {
	_, err := audit.NewQueue(nil, audit.QueueConfig{})
	require.ErrorContains(t, err, "sink")
	_, err = audit.NewQueue(audit.Multi(), audit.QueueConfig{Size: -1})
	require.ErrorContains(t, err, "QueueConfig.Size")
	_, err = audit.NewQueue(audit.Multi(), audit.QueueConfig{Drain: -1})
	require.ErrorContains(t, err, "QueueConfig.Drain")
}

func TestQueueDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Second}
		q := newQueue(t, r, audit.QueueConfig{})
		record(q, "before")
		began := time.Now()
		stop := start(t, q)
		record(q, "a b")
		assert.Equal(t, began, time.Now(), "Record waits for nobody")
		time.Sleep(time.Minute)
		assert.Equal(t, "before a b", r.words())
		assert.Equal(t, began, r.got[2].Time, "the moment of recording")

		record(q, "c d")
		require.NoError(t, stop())
		assert.Equal(t, "before a b c d", r.words(), "what waits is delivered at the end")
		assert.Zero(t, q.Lost())

		record(q, "e")
		assert.NoError(t, start(t, q)(), "it can run again")
		assert.Equal(t, "before a b c d e", r.words())
	})
}

func TestQueueKeepsWhatItWasGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		q := newQueue(t, r, audit.QueueConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		e := full()
		q.Record(ctx, e)
		e.Detail["via"], e.Reasons[0], e.Grants[0].Permission = "changed", "changed", 0
		cancel()
		require.NoError(t, start(t, q)())
		assert.Equal(t, []audit.Event{full()}, r.got)
	})
}

func TestQueueTellsOfWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &receiver{hold: make(chan struct{})}
		q := newQueue(t, r, audit.QueueConfig{Size: 3, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		stop := start(t, q)
		record(q, "a")
		synctest.Wait() // the receiver has it
		record(q, "b c d e f")
		assert.EqualValues(t, 2, q.Lost())

		r.hold <- struct{}{}
		synctest.Wait()
		record(q, "g") // lost: the receiver is being told of the first two
		assert.Contains(t, out.String(), "level=WARN")
		assert.Contains(t, out.String(), "lost=2")
		for range 5 { // what was lost, b, c, d, and what was lost since
			r.hold <- struct{}{}
			synctest.Wait()
		}
		assert.Equal(t, "a audit.lost=2 b c d audit.lost=1", r.words())
		assert.Equal(t, audit.Failed, r.got[1].Outcome)
		assert.NotZero(t, r.got[1].Time)

		r.got = nil
		record(q, "h")
		synctest.Wait()
		record(q, "i j k l m") // two lost
		r.hold <- struct{}{}   // takes h: i next, since it was told just now
		synctest.Wait()
		time.Sleep(10 * time.Second)
		close(r.hold) // takes i: ten seconds on, it is told before j
		require.NoError(t, stop())
		assert.Equal(t, "h i audit.lost=2 j k", r.words())
		assert.EqualValues(t, 5, q.Lost())
	})
}

func TestQueueRefusalsDoNotPushOutWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		q := newQueue(t, r, audit.QueueConfig{Size: 4})
		for i := range 100 {
			q.Record(t.Context(), audit.Event{Type: audit.Type(fmt.Sprint(i)), Outcome: []audit.Outcome{audit.Denied, audit.Challenged}[i%2]})
		}
		record(q, "done")
		q.Record(t.Context(), audit.Event{Type: "failed", Outcome: audit.Failed})
		record(q, "more")
		require.NoError(t, start(t, q)())
		assert.Equal(t, "audit.lost=99 0 1 done failed", r.words())

		q.Record(t.Context(), audit.Event{Type: "x"})
		require.NoError(t, start(t, q)())
		assert.Equal(t, "audit.lost=99 0 1 done failed x", r.words(), "there is room again")
	})
}

func TestQueueEndIsBounded(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{takes: 2 * time.Second}
			q := newQueue(t, r, audit.QueueConfig{})
			stop := start(t, q)
			record(q, "a b c d")
			began := time.Now()
			require.EqualError(t, stop(), "audit: 2 events of a queue were not delivered")
			assert.Equal(t, 5*time.Second, time.Since(began))
			time.Sleep(time.Minute)
			assert.Equal(t, "a b c", r.words(), "the one under way, and no other")
		})
	})
	t.Run("hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hang := make(chan struct{})
			q := newQueue(t, audit.Func(func(context.Context, audit.Event) { <-hang }), audit.QueueConfig{Drain: time.Second})
			stop := start(t, q)
			record(q, "a b")
			require.ErrorContains(t, stop(), "2 events")
			require.ErrorContains(t, q.Run(t.Context()), "runs already", "one at a time, also when the last one is not over")
			close(hang)
			synctest.Wait()
			require.NoError(t, start(t, q)(), "the other event")
		})
	})
	t.Run("minds its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{hold: make(chan struct{})}
			q := newQueue(t, r, audit.QueueConfig{})
			stop := start(t, q)
			record(q, "a")
			require.ErrorContains(t, stop(), "1 events")
			synctest.Wait()
			assert.NoError(t, start(t, q)())
		})
	})
}

func TestQueueOutlivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &receiver{}
		q := newQueue(t, audit.Func(func(ctx context.Context, e audit.Event) {
			if e.Type == "bad" {
				panic("npm_secret")
			}
			r.Record(ctx, e)
		}), audit.QueueConfig{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		stop := start(t, q)
		record(q, "a bad b")
		require.NoError(t, stop())
		assert.Equal(t, "a b", r.words())
		assert.Contains(t, out.String(), "type=bad")
		assert.NotContains(t, out.String(), "npm_secret")
	})
}

func TestQueueReceiverThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, audit.Func(func(context.Context, audit.Event) { runtime.Goexit() }), audit.QueueConfig{})
		record(q, "a")
		require.ErrorContains(t, q.Run(t.Context()), "ended its goroutine")
	})
}

func TestQueueFromManyGoroutines(t *testing.T) {
	r := &receiver{}
	q := newQueue(t, r, audit.QueueConfig{Size: 10})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 500 {
				record(q, "a")
			}
		})
	}
	senders.Wait()
	cancel()
	require.NoError(t, <-ran)
	assert.EqualValues(t, 4000, uint64(strings.Count(" "+r.words(), " a"))-uint64(strings.Count(r.words(), "audit.lost"))+q.Lost())
}
