package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
)

// An event is tried again, each time after twice as long, until it is taken or its tries are used up.
func TestRetry(t *testing.T) {
	for name, tt := range map[string]struct {
		fails int
		cfg   audit.RetryConfig
		at    []time.Duration // of the tries, since the first
		lost  bool
	}{
		"at once":      {0, audit.RetryConfig{}, []time.Duration{0}, false},
		"third time":   {2, audit.RetryConfig{}, []time.Duration{0, time.Second, 3 * time.Second}, false},
		"two tries":    {9, audit.RetryConfig{Tries: 2, Wait: time.Hour}, []time.Duration{0, time.Hour}, true},
		"up to minute": {9, audit.RetryConfig{Tries: 4, Wait: 40 * time.Second}, []time.Duration{0, 40 * time.Second, 100 * time.Second, 160 * time.Second}, true},
		"one try":      {1, audit.RetryConfig{Tries: 1}, []time.Duration{0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				start, at := time.Now(), []time.Duration(nil)
				sink, err := audit.NewRetry(func(_ context.Context, e audit.Event) error {
					assert.Equal(t, map[string]string{"name": "ci"}, e.Detail)
					e.Detail["name"] = "changed by a receiver"
					if at = append(at, time.Since(start)); len(at) <= tt.fails {
						return errors.New("boom")
					}
					return nil
				}, tt.cfg)
				require.NoError(t, err)
				sink.Record(t.Context(), audit.Event{Type: audit.TokenCreated, Detail: map[string]string{"name": "ci"}})
				assert.Equal(t, tt.at, at)
				assert.Equal(t, tt.lost, strings.Contains(log.String(), "was not delivered"), log.String())
				if tt.lost {
					assert.Contains(t, log.String(), "type=token.created error=boom")
				}
			})
		})
	}
}

// Behind a queue it holds up nobody, and ends when the queue has drained for long enough.
func TestRetryBehindAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var taken []string
		down.Store(true)
		sink, err := audit.NewRetry(func(_ context.Context, e audit.Event) error {
			if down.Load() {
				return errors.New("boom")
			}
			taken = append(taken, e.Credential)
			return nil
		}, audit.RetryConfig{Tries: 100})
		require.NoError(t, err)
		queue, err := audit.NewQueue(sink, audit.QueueConfig{Size: 4, Drain: time.Minute})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- queue.Run(ctx) }()
		for _, id := range []string{"a", "b", "c"} {
			queue.Record(ctx, audit.Event{Type: audit.TokenCreated, Outcome: audit.Done, Credential: id})
		}
		time.Sleep(10 * time.Minute)
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"a", "b", "c"}, taken)

		down.Store(true)
		queue.Record(ctx, audit.Event{Type: audit.TokenCreated, Outcome: audit.Done})
		cancel()
		assert.ErrorContains(t, <-ended, "1 events of a queue were not delivered")
	})
}

func TestNewRetryRefuses(t *testing.T) {
	ok := func(context.Context, audit.Event) error { return nil }
	for want, err := range map[string]error{
		"function": second(audit.NewRetry(nil, audit.RetryConfig{})),
		"Tries":    second(audit.NewRetry(ok, audit.RetryConfig{Tries: -1})),
		"Wait":     second(audit.NewRetry(ok, audit.RetryConfig{Wait: -1})),
	} {
		assert.ErrorContains(t, err, want)
	}
}

func second(_ audit.Sink, err error) error { return err }
