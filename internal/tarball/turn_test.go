package tarball_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/tarball"
)

// AU-26: however many tarballs come at once, as many are checked as there are slots.
func TestAFewChecksAtATime(t *testing.T) {
	in := text(zip(tape(entry{name: "package/x", body: source(1 << 20)}, pkg)))
	var now, peak, pieces atomic.Int32
	var all sync.WaitGroup
	for range 8 * cap(tarball.Slots) {
		all.Go(func() {
			c := tarball.New()
			c.Also(func([]byte) {
				pieces.Add(1)
				n := now.Add(1)
				for was := peak.Load(); n > was && !peak.CompareAndSwap(was, n); was = peak.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
			})
			_, err := c.Write(in)
			assert.NoError(t, err)
			_, err = c.Close()
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.LessOrEqual(t, int(peak.Load()), cap(tarball.Slots))
	assert.Greater(t, int(pieces.Load()), 32*cap(tarball.Slots))
	assert.Empty(t, tarball.Slots)
}

// Who sends slowly has no slot meanwhile, whether the check goes on, fails or panics.
func TestAWaitingCheckHasNoSlot(t *testing.T) {
	in := text(zip(tape(entry{name: "package/x", body: source(1 << 20)}, pkg)))
	for range 4 * cap(tarball.Slots) {
		c := tarball.New()
		defer c.Abort()
		_, err := c.Write(in[:len(in)/8*4])
		require.NoError(t, err)
		assert.Empty(t, tarball.Slots)
	}
	_, err := tarball.New().Write(text([]byte("no gzip at all")))
	require.Error(t, err)
	assert.Empty(t, tarball.Slots)
	c := tarball.New()
	c.Also(func([]byte) { panic("a fault") })
	assert.Panics(t, func() { _, _ = c.Write(in) })
	assert.Empty(t, tarball.Slots)
	require.NoError(t, check(in, len(in)), "others go on")
}

// A check whose sender is gone does not wait for its turn.
func TestUntil(t *testing.T) {
	for range cap(tarball.Slots) {
		tarball.Slots <- struct{}{}
	}
	in := text(zip(tape(pkg)))
	done, failed := make(chan struct{}), make(chan error)
	gone := tarball.New()
	gone.Until(done)
	go func() {
		_, err := gone.Write(in)
		failed <- err
	}()
	var released atomic.Bool
	waiting := tarball.New()
	waiting.Until(make(chan struct{}))
	waiting.Also(func([]byte) { assert.True(t, released.Load(), "it did not wait") })
	passed := make(chan error)
	go func() {
		_, err := waiting.Write(in)
		passed <- err
	}()
	close(done)
	require.ErrorContains(t, <-failed, "aborted")
	_, err := gone.Close()
	require.ErrorContains(t, err, "aborted")
	released.Store(true)
	for range cap(tarball.Slots) {
		<-tarball.Slots
	}
	require.NoError(t, <-passed)
	_, err = waiting.Close()
	require.NoError(t, err)
	assert.Empty(t, tarball.Slots)
}
