package npmauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
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
	slow = &slowStore{key: subject.Key("alice")}
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
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, "alice"))
		require.Equal(t, []int{401, 401}, []int{whoami(one), whoami(two)})
		require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, "alice"))
	}
	require.Equal(t, 200, whoami(one))
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, "alice"))
	require.Equal(t, []int{401, 401}, []int{whoami(one), whoami(two)})
}

// A person who was read before a change is not remembered after it.
func TestChangeOvertakesAFill(t *testing.T) {
	w, slow, whoami, one, two := warmWorld(t)
	slow.after = func() {
		require.Equal(t, 200, whoami(two), "another reader is done before")
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, "alice"))
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
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, "alice"))
		assert.False(t, live())
		require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, "alice"))
		assert.True(t, live())
	}
	close(done)
	readers.Wait()
}

// What the host said of a package is found again, whatever other scopes have one of that
// name, and whatever it shares its name with.
func TestFactsOfOneNameInManyScopes(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.HostFresh = time.Minute })
	const n = 400
	read := func() (asked int) {
		w.host.mu.Lock()
		before := w.host.facts
		w.host.mu.Unlock()
		for i := range n {
			op := policy.Operation{Action: policy.ReadPackument, Package: policy.PackageName{Scope: fmt.Sprint("s", i), Name: "core"}}
			_, d, err := w.auth.Authorize(t.Context(), op, http.Header{}, netip.Addr{})
			require.NoError(t, err)
			require.Equal(t, policy.Allow, d.Effect)
		}
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		return w.host.facts - before
	}
	for i := range n {
		w.host.add(fmt.Sprintf("@s%d/core", i), false, "1")
	}
	assert.Equal(t, n, read())
	assert.Zero(t, read(), "asked again")
	w.clock.Add(time.Minute)
	assert.Equal(t, n, read(), "after HostFresh")
}

// renamed is a host that answers for one account with another's record.
type renamed struct{ *people }

func (r renamed) User(ctx context.Context, id policy.UserID) (npmauth.User, error) {
	u, err := r.people.User(ctx, id)
	u.ID = "2"
	return u, err
}

// blank is a host that has a record of nobody.
type blank struct{ *people }

func (b blank) User(ctx context.Context, id policy.UserID) (npmauth.User, error) {
	if id == "" {
		return npmauth.User{}, nil
	}
	return b.people.User(ctx, id)
}

// Where no policy decides after authentication, it alone refuses who is nobody: what a host
// asks for with Authenticate, and a logout of another credential.
func TestNobodyIsAuthenticated(t *testing.T) {
	p := &people{user: npmauth.User{ID: "1", Name: "alice"}}
	nobody := map[string]npmauth.ForeignToken{
		"without-a-user":    {ID: "old"},
		"without-an-ID":     {User: "1"},
		"without-either":    {},
		"of-an-absent-user": {ID: "old", User: "3"},
	}
	foreign := func(_ context.Context, bearer credential.Secret) (npmauth.ForeignToken, error) {
		if f, ok := nobody[bearer.Reveal()]; ok {
			return f, nil
		}
		return npmauth.ForeignToken{}, npmauth.ErrInvalidToken
	}
	refused := func(name string, w *world, authorization, theirs string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "DELETE", "/-/user/token/"+theirs, nil)
		r.Header.Set("Authorization", authorization)
		id, err := w.auth.Authenticate(r)
		assert.ErrorIs(t, err, npmauth.ErrInvalidToken, name)
		assert.Zero(t, id, name)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		assert.Equal(t, 401, rec.Code, "%s: %s", name, rec.Body)
	}

	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Foreign = blank{p}, foreign })
	w.ids["alice"] = "1"
	theirs := w.login("alice")
	for name := range nobody {
		refused(name, w, "Bearer "+name, theirs)
	}
	require.Equal(t, 200, whoami(w, theirs))
	nobody["somebody"] = npmauth.ForeignToken{ID: "old", User: "1"}
	require.Equal(t, 200, whoami(w, "somebody"))

	// The record that the host gives is another's.
	st := w.store
	other := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users = st, renamed{p} })
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite)})
	refused("another's record", other, "Bearer "+secret, theirs)

	// What was made in the very instant in which all were ended is one of them.
	for name, end := range map[string]func(w *world) error{
		"sessions":   func(w *world) error { return w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, "1") },
		"everything": func(w *world) error { return w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, "1") },
	} {
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = p })
		w.ids["alice"] = "1"
		s := w.login("alice")
		tok, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadOnly)})
		w.clock.Add(-time.Microsecond) // what ends, ends until the next one
		require.NoError(t, end(w))
		w.clock.Add(time.Microsecond)
		refused(name+" ended, session", w, "Bearer "+s, s+"x")
		if name == "everything" {
			refused(name+" ended, token", w, "Bearer "+tok, s+"x")
		} else {
			assert.Equal(t, 200, whoami(w, tok), "tokens go on")
		}
		w.clock.Add(time.Microsecond)
		assert.Equal(t, 200, whoami(w, w.login("alice")), "and a moment later it is not")
	}
}
