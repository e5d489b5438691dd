package account

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

func busy(t *testing.T) (*Hasher, *Directory) {
	t.Helper()
	h, err := NewHasher(HasherConfig{Workers: 1, Wait: time.Second})
	require.NoError(t, err)
	d, err := NewDirectory(DirectoryConfig{Store: store.NewMemory(), Hasher: h})
	require.NoError(t, err)
	return h, d
}

// EN-02: known and unknown users, right and wrong passwords all wait in the same queue, and get
// the same refusal at the same time.
func TestEveryCheckWaitsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := busy(t)
		right := credential.NewSecret("correct horse battery")
		jane, err := d.Create(t.Context(), audit.Actor{}, NewUser{Name: "jane", Password: right})
		require.NoError(t, err)

		require.NoError(t, h.queue.acquire(t.Context())) // the only worker
		for name, try := range map[string]func() (bool, error){
			"right":   func() (bool, error) { return d.CheckPassword(t.Context(), jane.ID, right) },
			"wrong":   func() (bool, error) { return d.CheckPassword(t.Context(), jane.ID, credential.NewSecret("x")) },
			"unknown": func() (bool, error) { return d.CheckPassword(t.Context(), "nobody", right) },
			"no ID":   func() (bool, error) { return d.CheckPassword(t.Context(), "", right) },
			"hash":    func() (bool, error) { _, err := h.Hash(t.Context(), right); return false, err },
		} {
			start := time.Now()
			ok, err := try()
			assert.ErrorIs(t, err, ErrBusy, name)
			assert.False(t, ok, name)
			assert.Equal(t, time.Second, time.Since(start), name)
		}
		h.queue.release()
		idle(t, h.queue, 1)
	})
}

// PW-02: the hash of a caller that left is never begun.
func TestCancelledCheckHashesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := busy(t)
		require.NoError(t, h.queue.acquire(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := d.CheckPassword(ctx, "", credential.NewSecret("correct horse"))
			done <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.Zero(t, h.queue.all.waiting)
		h.queue.release()
		idle(t, h.queue, 1)
	})
}

// The hash of the absent user matches no password, not even by chance, and has the costs of a
// new one.
func TestNobody(t *testing.T) {
	h, _ := busy(t)
	pw := credential.NewSecret("correct horse battery")
	phc, err := h.Hash(t.Context(), pw)
	require.NoError(t, err)
	made, err := parseHash(phc)
	require.NoError(t, err)
	assert.Equal(t, made.params, h.nobody.params)
	assert.Len(t, h.nobody.salt, len(made.salt))
	assert.Len(t, h.nobody.key, len(made.key))

	h.nobody = made // as if it had been drawn so
	ok, _, err := h.Verify(t.Context(), "", pw)
	require.NoError(t, err)
	assert.False(t, ok)
}
