package keylock

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneAtATimeAndForgetsTheRest(t *testing.T) {
	var l Locks[string]
	unlock, err := l.Lock(t.Context(), "u1")
	require.NoError(t, err)
	other, err := l.Lock(t.Context(), "u2")
	require.NoError(t, err, "another key does not wait")
	other()

	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() {
		_, err := l.Lock(ctx, "u1")
		waits <- err
	}()
	cancel()
	assert.ErrorIs(t, <-waits, context.Canceled)
	unlock()
	unlock, err = l.Lock(t.Context(), "u1")
	require.NoError(t, err)
	unlock()
	assert.Empty(t, l.m)
}
