package npmauth_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// A slowStore lets something happen between a read and its answer.
type slowStore struct {
	store.Store
	key   string
	after func()
}

func (s *slowStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	items, err := s.Store.Get(ctx, keys...)
	if after := s.after; after != nil && slices.Contains(keys, s.key) {
		s.after = nil
		after()
	}
	return items, err
}

// warmWorld is a node that remembers for a day, and asks who two tokens of alice are.
func warmWorld(t *testing.T) (w *world, slow *slowStore, whoami func(bearer string) int, one, two string) {
	slow = &slowStore{key: account.SubjectKey("alice")}
	w = newWorld(t, func(cfg *npmauth.Config) {
		slow.Store = cfg.Store
		cfg.Store, cfg.Users, cfg.Fresh = slow, oneUser{}, 24*time.Hour
	})
	w.ids["alice"] = "alice"
	one, _ = w.token("alice", token.Spec{Grants: grantAll(policy.ReadOnly)})
	two, _ = w.token("alice", token.Spec{Grants: grantAll(policy.ReadOnly)})
	whoami = func(bearer string) int {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code
	}
	return w, slow, whoami, one, two
}

// TK-16, TK-20: what is changed about a person bites at once in each credential that
// this node knows the person of, whatever it remembers.
func TestChangeOfAPersonIsExact(t *testing.T) {
	w, _, whoami, one, two := warmWorld(t)
	for range 2 {
		require.Equal(t, []int{200, 200}, []int{whoami(one), whoami(two)})
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), "alice"))
		require.Equal(t, []int{401, 401}, []int{whoami(one), whoami(two)})
		require.NoError(t, w.auth.Subjects().Enable(t.Context(), "alice"))
	}
	require.Equal(t, 200, whoami(one))
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), "alice"))
	require.Equal(t, []int{401, 401}, []int{whoami(one), whoami(two)})
}

// A person who was read before a change is not remembered after it.
func TestChangeOvertakesAFill(t *testing.T) {
	w, slow, whoami, one, two := warmWorld(t)
	slow.after = func() {
		require.Equal(t, 200, whoami(two), "another reader is done before")
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), "alice"))
	}
	require.Equal(t, 200, whoami(one), "read before the change")
	assert.Equal(t, []int{401, 401}, []int{whoami(one), whoami(two)})
}

// No request that begins after a change sees what was before it.
func TestChangeOfAPersonRace(t *testing.T) {
	w, _, _, one, _ := warmWorld(t)
	h := http.Header{"Authorization": {"Bearer " + one}}
	live := func() bool {
		_, d, err := w.auth.Authorize(t.Context(), policy.Operation{Action: policy.Whoami}, h, addr)
		return err == nil && d.Effect == policy.Allow
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					live()
				}
			}
		})
	}
	for range 200 {
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), "alice"))
		assert.False(t, live())
		require.NoError(t, w.auth.Subjects().Enable(t.Context(), "alice"))
		assert.True(t, live())
	}
	close(done)
	readers.Wait()
}
