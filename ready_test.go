package npmauth_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// readyKey is where every store of npmauth's has the same.
const readyKey = "npmauth/ready"

// readyOn returns a node on what is sealed below st with these keys.
func readyOn(t *testing.T, st store.Store, key store.Key, older ...store.Key) *npmauth.Auth {
	t.Helper()
	return newWorld(t, func(cfg *npmauth.Config) { cfg.Store = store.Seal(st, key, older...) }).auth
}

// A node whose key is not that of the store is not ready, whoever came first, and one that
// has it is.
//
// AU-08.
func TestReadyKnowsItsKey(t *testing.T) {
	ctx, right, wrong, next := t.Context(), store.Key{1}, store.Key{2}, store.Key{3}
	st := storetest.NewFaulty(store.NewMemory())
	a := readyOn(t, st, right)
	require.NoError(t, a.Ready(ctx), "a store that is empty")
	before := dump(t, st)
	require.Len(t, dump(t, st), 2, "its own row, and the number of all accounts")
	for range 3 {
		gets, all := st.Count(storetest.Gets), st.Count(storetest.All)
		require.NoError(t, a.Ready(ctx))
		assert.Equal(t, 1, st.Count(storetest.Gets)-gets)
		assert.Equal(t, 1, st.Count(storetest.All)-all, "one Get and nothing else")
	}
	assert.ErrorIs(t, readyOn(t, st, wrong).Ready(ctx), store.ErrSeal)
	assert.ErrorIs(t, readyOn(t, st, wrong, next).Ready(ctx), store.ErrSeal, "none of several")
	assert.NoError(t, readyOn(t, st, next, right).Ready(ctx), "the key that another takes the place of")
	assert.NoError(t, readyOn(t, st, next, wrong, right).Ready(ctx))
	assert.ErrorIs(t, readyOn(t, st, next).Ready(ctx), store.ErrSeal, "which came too early")
	assert.Empty(t, changes(before, dump(t, st)), "nobody wrote")

	unsealed := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st }).auth
	assert.Error(t, unsealed.Ready(ctx), "nor is one without a key")
	assert.Empty(t, changes(before, dump(t, st)))
}

// A store that was filled before there was such a row has none. Whoever cannot read what is
// there must not be the first to write it.
func TestReadyOfAnOlderStore(t *testing.T) {
	ctx, right, wrong := t.Context(), store.Key{1}, store.Key{2}
	st := store.NewMemory()
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = store.Seal(st, right) })
	w.person("alice")
	before := dump(t, st)
	require.NotContains(t, before, readyKey)
	for range 2 {
		require.ErrorIs(t, readyOn(t, st, wrong).Ready(ctx), store.ErrSeal)
		require.Empty(t, changes(before, dump(t, st)), "nothing is written")
	}
	require.NoError(t, w.auth.Ready(ctx))
	require.Contains(t, dump(t, st), readyKey)
	require.ErrorIs(t, readyOn(t, st, wrong).Ready(ctx), store.ErrSeal)
	assert.Equal(t, 200, whoami(w, w.login("alice")))
}

// Something else of a host's where npmauth has its row is no store of npmauth's.
func TestReadyOfAnotherStore(t *testing.T) {
	st := store.NewMemory()
	_, err := st.Commit(t.Context(), store.Op{Key: readyKey, Action: store.Put, Value: []byte("something")})
	require.NoError(t, err)
	a := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st }).auth
	assert.Error(t, a.Ready(t.Context()))
}

// Of two nodes that start at once on an empty store with two keys one is ready, at whatever
// moment the other comes; with one key both are.
func TestReadyOfTwoAtOnce(t *testing.T) {
	for _, theirs := range []store.Key{{1}, {2}} {
		for call := 1; call <= 3; call++ {
			st := storetest.NewFaulty(store.NewMemory())
			mine, other := readyOn(t, st, store.Key{1}), readyOn(t, st, theirs)
			var first, second error
			st.Inject(storetest.Fault{Nth: call, Do: func() { first = other.Ready(t.Context()) }})
			second = mine.Ready(t.Context())
			require.True(t, st.Struck(), call)
			require.NoError(t, first, call)
			if theirs == (store.Key{1}) {
				assert.NoError(t, second, call)
			} else {
				assert.ErrorIs(t, second, store.ErrSeal, "call %d", call)
			}
			assert.Equal(t, second == nil, mine.Ready(t.Context()) == nil, "and so it stays")
		}
	}
	st := store.NewMemory()
	var all sync.WaitGroup
	for range 8 {
		a := readyOn(t, st, store.Key{1})
		all.Go(func() { assert.NoError(t, a.Ready(t.Context())) })
	}
	all.Wait()
}

// While the store cannot be read or written nobody is ready, and afterwards they are.
func TestReadyInAnOutage(t *testing.T) {
	ctx := t.Context()
	for call := 1; call <= 3; call++ {
		for _, fault := range []storetest.Fault{
			{Err: context.DeadlineExceeded}, {Err: store.ErrUnknown}, {After: true, Err: store.ErrUnknown}, {Do: func() { panic("store") }},
		} {
			st := storetest.NewFaulty(store.NewMemory())
			a := readyOn(t, st, store.Key{1})
			fault.Nth = call
			st.Inject(fault)
			require.Error(t, a.Ready(ctx), "call %d", call)
			require.True(t, st.Struck())
			st.Mend()
			require.NoError(t, a.Ready(ctx))
			st.Inject(storetest.Fault{Times: storetest.Always})
			require.Error(t, a.Ready(ctx), "it was ready, and is no more")
		}
	}
	// A store that can only be read decides nothing that it must remember.
	st := storetest.NewFaulty(store.NewMemory(), storetest.Fault{On: storetest.Commits, Times: storetest.Always})
	assert.ErrorIs(t, readyOn(t, st, store.Key{1}).Ready(ctx), storetest.ErrFault)
	assert.Empty(t, dump(t, st))

	ended, cancel := context.WithCancel(ctx)
	cancel()
	assert.ErrorIs(t, readyOn(t, store.NewMemory(), store.Key{1}).Ready(ended), context.Canceled)
}
