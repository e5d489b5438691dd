package credential_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

// faulty is a store whose calls the functions replace, if they are set.
type faulty struct {
	store.Store
	gets   atomic.Int64
	get    func() error
	commit func() error // after the commit was made
}

func (f *faulty) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	f.gets.Add(1)
	if f.get != nil {
		if err := f.get(); err != nil {
			return nil, err
		}
	}
	return f.Store.Get(ctx, keys...)
}

func (f *faulty) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	rev, err := f.Store.Commit(ctx, ops...)
	if err == nil && f.commit != nil {
		err = f.commit()
	}
	return rev, err
}

func TestServerKey(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	derive := func(k *credential.ServerKey, purpose string) [32]byte {
		out, err := k.Derive(ctx, purpose)
		require.NoError(t, err)
		require.NotZero(t, out)
		return out
	}
	k := credential.NewServerKey(st, "web")
	page := derive(k, "page")
	assert.Equal(t, page, derive(k, "page"))
	assert.Equal(t, page, derive(credential.NewServerKey(st, "web"), "page"), "another node, or after a restart")
	assert.NotEqual(t, page, derive(k, "poll"), "another purpose")
	assert.NotEqual(t, page, derive(credential.NewServerKey(st, "other"), "page"), "another key")
	assert.NotEqual(t, page, derive(credential.NewServerKey(store.NewMemory(), "web"), "page"), "another registry")
}

func TestServerKeyIsReadOnce(t *testing.T) {
	f := &faulty{Store: store.NewMemory()}
	_, err := credential.NewServerKey(f, "web").Derive(t.Context(), "page")
	require.NoError(t, err)

	f.gets.Store(0)
	k := credential.NewServerKey(f, "web")
	assert.Zero(t, f.gets.Load(), "nothing before it is needed")
	for range 3 {
		_, err = k.Derive(t.Context(), "page")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, f.gets.Load())
}

func TestServerKeyIsMadeOnce(t *testing.T) {
	st := store.NewMemory()
	var wg sync.WaitGroup
	keys := make([][32]byte, 32)
	for i := range keys {
		wg.Go(func() {
			var err error
			keys[i], err = credential.NewServerKey(st, "web").Derive(context.Background(), "page")
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for _, k := range keys {
		assert.Equal(t, keys[0], k)
	}
}

// A key that may not be the stored one is never used.
func TestServerKeyFails(t *testing.T) {
	boom := errors.New("boom")

	t.Run("store down", func(t *testing.T) {
		f := &faulty{Store: store.NewMemory(), get: func() error { return boom }}
		k := credential.NewServerKey(f, "web")
		out, err := k.Derive(t.Context(), "page")
		require.ErrorIs(t, err, boom)
		assert.Zero(t, out)

		f.get = nil
		_, err = k.Derive(t.Context(), "page")
		assert.NoError(t, err, "a failure is not remembered")
	})
	t.Run("unknown outcome", func(t *testing.T) { // ST-03
		f := &faulty{Store: store.NewMemory(), commit: func() error { return store.ErrUnknown }}
		k := credential.NewServerKey(f, "web")
		_, err := k.Derive(t.Context(), "page")
		require.ErrorIs(t, err, store.ErrUnknown)

		out, err := k.Derive(t.Context(), "page")
		require.NoError(t, err)
		again, err := credential.NewServerKey(f, "web").Derive(t.Context(), "page")
		require.NoError(t, err)
		assert.Equal(t, again, out)
	})
	t.Run("unusable record", func(t *testing.T) { // ST-09
		for _, value := range [][]byte{{}, {1}, make([]byte, 33), append([]byte{2}, make([]byte, 32)...), append([]byte{1}, make([]byte, 33)...)} {
			st := store.NewMemory()
			_, err := st.Commit(t.Context(), store.Op{Key: "serverkey/web", Action: store.Put, Value: value})
			require.NoError(t, err)
			_, err = credential.NewServerKey(st, "web").Derive(t.Context(), "page")
			assert.Error(t, err, "%x", value)
		}
	})
	t.Run("name no store takes", func(t *testing.T) {
		_, err := credential.NewServerKey(store.NewMemory(), "na\nme").Derive(t.Context(), "page")
		assert.ErrorIs(t, err, store.ErrInvalid)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := credential.NewServerKey(store.NewMemory(), "web").Derive(ctx, "page")
		assert.ErrorIs(t, err, context.Canceled)
	})
}
