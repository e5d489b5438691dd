package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

func TestSubIsAStore(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) store.Store {
			m := store.NewMemory()
			put(t, m, "auth", "the host's")
			put(t, m, "auth.x", "the host's")
			put(t, m, "auth/", "the host's")
			put(t, m, "auth0", "the host's")
			return store.Sub(m, "auth/")
		},
		Reopen: same,
		MaxKey: store.MaxKey - len("auth/"),
	})
}

func TestSubKeepsToItsPrefix(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	s := store.Sub(m, "auth/")
	put(t, s, "a", "1")
	put(t, m, "a", "2")
	assert.Equal(t, []string{"a", "auth/a"}, keys(t, m))
	assert.Equal(t, []string{"a"}, keys(t, s))
	assert.Equal(t, "1", string(get(t, s, "a").Value))

	_, err := s.Get(ctx, "")
	assert.ErrorIs(t, err, store.ErrInvalid, "the prefix alone is no key of it")
	_, err = s.Commit(ctx, store.Op{Action: store.Put})
	assert.ErrorIs(t, err, store.ErrInvalid)
	_, err = store.Sub(m, "ü/").Get(ctx, "a")
	assert.ErrorIs(t, err, store.ErrInvalid, "unusable prefix")
}

func TestWrappersTogether(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open: func(*testing.T) store.Store {
			return store.Observe(store.Seal(store.Sub(store.NewMemory(), "auth/"), key1), func([]string) {})
		},
		Reopen: same,
		MaxKey: store.MaxKey - len("auth/"),
	})
}
