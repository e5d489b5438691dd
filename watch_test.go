package npmauth_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// A handle is a node's way to a store that others use, too. It counts what is read.
type handle struct {
	store.Store
	gets atomic.Int32
}

func (h *handle) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	h.gets.Add(1)
	return h.Store.Get(ctx, keys...)
}

func (h *handle) Unwrap() store.Store { return h.Store }

// nodes runs fn with two nodes on s, in a bubble whose time passes only when all wait.
// The first has people and tokens made, the second answers for them, too.
func nodes(t *testing.T, s store.Store, change func(*npmauth.Config), fn func(t *testing.T, first, second *world, reads *handle)) {
	synctest.Test(t, func(t *testing.T) {
		hasher, err := account.NewHasher(account.HasherConfig{})
		require.NoError(t, err)
		reads := &handle{Store: s}
		var pair [2]*world
		for i, st := range []store.Store{s, reads} {
			pair[i] = newWorld(t, func(cfg *npmauth.Config) {
				cfg.Store, cfg.Hasher, cfg.Now = st, hasher, time.Now
				if change != nil {
					change(cfg)
				}
			})
		}
		fn(t, pair[0], pair[1], reads)
	})
}

// run runs what waits in the background on w, until the test ends. In a bubble that
// also shows that it leaves no goroutine behind (ST-22).
func run(t *testing.T, w *world) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.auth.Run(ctx) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-done) })
	synctest.Wait()
}

func whoami(w *world, bearer string) int {
	return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code
}

// TK-21, ST-08, G-10: a node that hears of changes keeps what did not change, and refuses at
// once what another node revoked.
func TestWatchKeepsAndDrops(t *testing.T) {
	nodes(t, store.NewMemory(), nil, func(t *testing.T, first, second *world, reads *handle) {
		run(t, second)
		alice := first.person("alice")
		one, tok := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		two, _ := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		require.Equal(t, 200, whoami(second, one), "TK-22: a new token works at once on all nodes")
		require.Equal(t, 200, whoami(second, two))
		synctest.Wait() // the tokens' own creation is a change, too
		require.Equal(t, 200, whoami(second, one))
		require.Equal(t, 200, whoami(second, two))
		for range 100 {
			time.Sleep(time.Second)
			synctest.Wait() // what the second node does in the background may read
			before := reads.gets.Load()
			require.Equal(t, 200, whoami(second, one))
			require.Equal(t, 200, whoami(second, two))
			require.Equal(t, before, reads.gets.Load(), "nothing changed, nothing is read again")
		}

		require.NoError(t, first.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
		synctest.Wait()
		assert.Equal(t, 401, whoami(second, one))
		assert.Equal(t, 200, whoami(second, two))

		require.NoError(t, first.auth.Subjects().Disable(t.Context(), audit.Actor{}, alice))
		synctest.Wait()
		assert.Equal(t, 401, whoami(second, two), "the user's facts go, too")
	})
}

// Nobody who merely does not run Run is served what is older than the bound.
func TestFreshWithoutRun(t *testing.T) {
	nodes(t, store.NewMemory(), nil, func(t *testing.T, first, second *world, reads *handle) {
		alice := first.person("alice")
		one, tok := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		require.Equal(t, 200, whoami(second, one))
		require.NoError(t, first.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
		time.Sleep(time.Second - time.Nanosecond)
		assert.Equal(t, 200, whoami(second, one))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 401, whoami(second, one))
	})
}

// A scripted store watches as it is told to.
type scripted struct {
	store.Store
	watch func(ctx context.Context, every time.Duration, changed func(store.Change)) error
}

func (s *scripted) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	return s.watch(ctx, every, changed)
}

// A watch that is silent vouches for nothing: the bound holds as without it.
func TestWatchFallsSilent(t *testing.T) {
	s := &scripted{Store: store.NewMemory()}
	s.watch = func(ctx context.Context, every time.Duration, changed func(store.Change)) error {
		for range 4 {
			changed(store.Change{Seen: time.Now()})
			time.Sleep(every)
		}
		<-ctx.Done() // for 250 ms there was a report due
		return ctx.Err()
	}
	nodes(t, s, nil, func(t *testing.T, first, second *world, reads *handle) {
		alice := first.person("alice")
		one, tok := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		run(t, second)
		require.Equal(t, 200, whoami(second, one))
		time.Sleep(time.Second) // the last report was 250 ms ago
		require.NoError(t, first.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
		assert.Equal(t, 200, whoami(second, one))
		time.Sleep(750*time.Millisecond - time.Nanosecond)
		assert.Equal(t, 200, whoami(second, one), "the last instant")
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 401, whoami(second, one))
	})
}

// What happens while no watch is there goes unreported: the next one begins with
// nothing that was remembered.
func TestWatchBeginsAnew(t *testing.T) {
	s := &scripted{Store: store.NewMemory()}
	var watches atomic.Int32
	var behind atomic.Bool
	s.watch = func(ctx context.Context, every time.Duration, changed func(store.Change)) error {
		n := watches.Add(1)
		changed(store.Change{Seen: time.Now()})
		for ctx.Err() == nil {
			time.Sleep(every)
			if n == 1 && behind.Load() {
				return store.ErrBehind
			}
			changed(store.Change{Seen: time.Now()})
		}
		return ctx.Err()
	}
	nodes(t, s, nil, func(t *testing.T, first, second *world, reads *handle) {
		alice := first.person("alice")
		one, tok := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		run(t, second)
		require.Equal(t, 200, whoami(second, one))
		behind.Store(true)
		require.NoError(t, first.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
		time.Sleep(500 * time.Millisecond)
		require.EqualValues(t, 2, watches.Load())
		assert.Equal(t, 401, whoami(second, one))
	})
}

// A hostUser is the only one of a host's own, whom it can disable.
type hostUser struct {
	oneUser
	disabled atomic.Bool
}

func (h *hostUser) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	user, err := h.oneUser.User(ctx, id)
	user.Disabled = h.disabled.Load()
	return user, err
}

// A host's own people are not in the store: no report vouches for them.
func TestWatchDoesNotVouchForTheHost(t *testing.T) {
	people := &hostUser{}
	change := func(cfg *npmauth.Config) { cfg.Users = people }
	nodes(t, store.NewMemory(), change, func(t *testing.T, first, second *world, reads *handle) {
		first.ids["alice"] = "alice"
		one, _ := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		run(t, second)
		require.Equal(t, 200, whoami(second, one))
		people.disabled.Store(true)
		time.Sleep(time.Second - time.Nanosecond)
		assert.Equal(t, 200, whoami(second, one))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 401, whoami(second, one))
	})
}

// A user's record is part of what is remembered of them.
func TestWatchDropsPeople(t *testing.T) {
	nodes(t, store.NewMemory(), nil, func(t *testing.T, first, second *world, reads *handle) {
		run(t, second)
		alice := first.person("alice")
		one, _ := first.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		synctest.Wait()
		require.Equal(t, 200, whoami(second, one))
		reads.gets.Store(0)
		require.Equal(t, 200, whoami(second, one))
		require.Zero(t, reads.gets.Load())
		_, err := first.auth.People().ReplaceProfile(t.Context(), audit.Actor{}, alice, account.Profile{FullName: "Alice"})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 200, whoami(second, one))
		assert.NotZero(t, reads.gets.Load())
	})
}
