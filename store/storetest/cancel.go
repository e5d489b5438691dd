package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// ST-02
func cancelled(t tb, e env) {
	commit(t, e.s, put("k", "1", store.Absent))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.s.Get(ctx, "k")
	assert.ErrorIs(t, err, context.Canceled)
	_, err = e.s.List(ctx, "", "", 10)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = e.s.Commit(ctx, put("k", "2", store.Any), put("l", "2", store.Any))
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, store.ErrUnknown, "what was not begun is known not to have happened")

	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = e.s.Commit(past, put("k", "2", store.Any))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	holds(t, e.s, map[string]string{"k": "1"})
}

// cancelledOnTheWay cancels Commits at any moment and checks each result: nil means that it
// happened, ErrUnknown that it may have, any other error that it did not.
func cancelledOnTheWay(t tb, e env) {
	commits := e.rounds(200)
	answers := make([]error, commits)
	var wg sync.WaitGroup
	for i := range commits {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, answers[i] = e.s.Commit(ctx, put("a"+number(i), "x", store.Absent), put("b"+number(i), "x", store.Absent))
		})
		wg.Go(func() {
			for range i % 20 {
				// Reads take about as long as a Commit, in any backend.
				if _, err := e.s.Get(t.Context(), "a"+number(i)); err != nil {
					break
				}
			}
			cancel()
		})
	}
	wg.Wait()
	happened := 0
	for i, err := range answers {
		a, b := "a"+number(i), "b"+number(i)
		present := get(t, e.s, a).Exists()
		switch {
		case err == nil:
			require.True(t, present, "commit %d returned nil and did not happen", i)
			happened++
		case errors.Is(err, store.ErrUnknown):
			require.NotErrorIs(t, err, store.ErrConflict, "commit %d: unknown is not a conflict", i)
		default:
			require.ErrorIs(t, err, context.Canceled, "commit %d", i)
			require.False(t, present, "commit %d happened and returned %v", i, err)
		}
		items, err := e.s.Get(t.Context(), a, b)
		require.NoError(t, err)
		require.Equal(t, items[0].Exists(), items[1].Exists(), "commit %d happened in part", i)
	}
	t.Logf("%d of %d commits were quicker than their cancellation", happened, commits)
}

// readsCancelled cancels reads at any moment: each is complete or an error, and none breaks the
// store for the next.
func readsCancelled(t tb, e env) {
	want := map[string]string{}
	var keys []string
	for i := range 10 {
		key := number(i)
		keys = append(keys, key)
		want[key] = "value " + key
		commit(t, e.s, put(key, want[key], store.Absent))
	}
	reads := e.rounds(120)
	errs := make([]error, reads)
	var wg sync.WaitGroup
	for i := range reads {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			read := e.s.Get
			if i%2 == 1 {
				read = func(ctx context.Context, _ ...string) ([]store.Item, error) {
					return e.s.List(ctx, "", "", store.MaxLimit)
				}
			}
			items, err := read(ctx, keys...)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					errs[i] = fmt.Errorf("a read that was cancelled: %w", err)
				}
				return
			}
			got := map[string]string{}
			for _, it := range items {
				got[it.Key] = string(it.Value)
			}
			if !maps.Equal(want, got) {
				errs[i] = fmt.Errorf("a read that was cut short is called done: %v", got)
			}
		})
		wg.Go(func() {
			for range i % 10 {
				if _, err := e.s.Get(t.Context(), keys[0]); err != nil {
					break
				}
			}
			cancel()
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	holds(t, e.s, want)
	commit(t, e.s, put(keys[0], "x", store.Any))
}
