package npmauth_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// ST-18: on nodes whose clocks are ten seconds apart a lifetime ends at the instant that
// each takes for its end, and what can be used once is used once all the same.
func TestClocksApart(t *testing.T) {
	const apart = 10 * time.Second
	s := store.NewMemory()
	reg := newBackend()
	node := func(ahead time.Duration) *world {
		w := newWorld(t, func(cfg *npmauth.Config) {
			cfg.Store, cfg.Packages, cfg.Users, cfg.Fresh = s, reg, aliceAlone{}, -1
		})
		w.host, w.ids["alice"] = reg, "alice"
		w.handler = w.auth.Wrap(reg)
		w.clock.Add(ahead)
		return w
	}
	slow, fast := node(0), node(apart)
	pass := func(d time.Duration) { slow.clock.Add(d); fast.clock.Add(d) }

	slow.enrol("alice", protocol.AuthAndWrites)
	fast.secrets = slow.secrets
	for _, nodes := range [][2]*world{{slow, fast}, {fast, slow}} {
		pass(time.Minute)
		code := nodes[0].codeNow("alice")
		bearer := legacyLogin(nodes[0], code)
		require.NotEmpty(t, bearer)
		require.Equal(t, 200, whoami(nodes[1], bearer), "of an instant that has not come yet, and works")
		assert.Empty(t, legacyLogin(nodes[1], code), "spent is spent")

		pass(time.Minute)
		loginURL, doneURL, _ := nodes[0].start("")
		nodes[1].submit(loginURL, map[string]string{"name": "alice", "password": password, "code": nodes[1].codeNow("alice")})
		got := nodes[0].poll(doneURL, "GET").text("token")
		require.NotEmpty(t, got)
		assert.Equal(t, 200, whoami(nodes[1], got))
	}

	bearer, tok := fast.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 1})
	pass(tok.Expires.Sub(fast.clock.Now()) - time.Nanosecond)
	assert.Equal(t, 200, whoami(fast, bearer))
	pass(time.Nanosecond)
	assert.Equal(t, 401, whoami(fast, bearer))
	pass(apart - time.Nanosecond)
	assert.Equal(t, 200, whoami(slow, bearer))
	pass(time.Nanosecond)
	assert.Equal(t, 401, whoami(slow, bearer), "no later than the clocks are apart")
}

// A revocation has no time: whatever the clocks of the node that revokes and of the others say,
// nothing that was there outlives it, and what is made next lives on all of them at once. A
// clock that was ten years ahead leaves nothing behind when it is set right.
//
// AU-03.
func TestRevocationHasNoClock(t *testing.T) {
	const decade = 10 * 365 * 24 * time.Hour
	for _, ahead := range []time.Duration{-decade, -time.Hour, time.Hour, decade} {
		for _, rev := range revocations {
			for _, setRight := range []bool{false, true} {
				if rev.name == "the token is revoked" && ahead == decade {
					continue // where it has expired there is nothing to revoke
				}
				t.Run(fmt.Sprintf("%s/%v/set right %t", rev.name, ahead, setRight), func(t *testing.T) {
					t.Parallel()
					old := &foreignTokens{}
					s := store.NewMemory()
					node := func() *world {
						w := newWorld(t, func(cfg *npmauth.Config) {
							cfg.Store, cfg.Users, cfg.Fresh, cfg.Foreign = s, aliceAlone{}, -1, old.find
						})
						w.ids["alice"] = "alice"
						return w
					}
					right, wrong := node(), node()
					r := prepareRevoked(right)
					r.w = wrong
					had := map[string]bool{r.session: rev.session, r.token: rev.one} // whether it ends
					if ahead.Abs() < time.Hour+time.Second {
						wrong.clock.Add(ahead)
						had[legacyLogin(wrong, "")] = rev.session && rev.name != "the session is ended"
						other, _ := wrong.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 2})
						had[other] = rev.tokens
					} else {
						wrong.clock.Add(ahead)
					}
					require.NoError(t, rev.on(t.Context(), r))
					if setRight {
						wrong.clock.Add(-ahead)
					}
					for bearer, ends := range had {
						want := 200
						if ends {
							want = 401
						}
						assert.Equal(t, want, whoami(right, bearer))
						if ends {
							assert.Equal(t, 401, whoami(wrong, bearer))
						}
					}
					if rev.off {
						require.NoError(t, right.auth.Subjects().Enable(t.Context(), audit.Actor{}, "alice"))
					}
					for i, w := range []*world{right, wrong} {
						if i == 1 && !setRight && ahead.Abs() > time.Hour {
							continue // its credentials end, or began, at another time
						}
						s := legacyLogin(w, "")
						require.NotEmpty(t, s, "nobody can log in on node %d", i)
						made, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 2})
						for j, on := range []*world{right, wrong} {
							if j == 1 && !setRight && ahead.Abs() > time.Hour {
								continue
							}
							assert.Equal(t, 200, whoami(on, s), "a session of node %d on node %d", i, j)
							assert.Equal(t, 200, whoami(on, made), "a token of node %d on node %d", i, j)
						}
					}

					// The host's own older bearers have nothing but a time. The next revocation by a
					// right clock puts right what a wrong one has left.
					if !rev.all || !setRight {
						return
					}
					r.w = right
					require.NoError(t, rev.on(t.Context(), r))
					old.created = right.clock.Now()
					assert.Equal(t, 401, whoami(right, "an-older-token"))
					old.created = right.clock.Now().Add(ahead.Abs() % decade).Add(time.Second)
					assert.Equal(t, 200, whoami(right, "an-older-token"))
				})
			}
		}
	}
}

// foreignTokens are a host's own, of which there is one.
type foreignTokens struct{ created time.Time }

func (f *foreignTokens) find(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
	if bearer.Reveal() != "an-older-token" {
		return host.ForeignToken{}, host.ErrInvalidToken
	}
	return host.ForeignToken{ID: "old-1", User: "alice", Created: f.created}, nil
}

// A busyStore knows whether somebody waits for it.
type busyStore struct {
	store.Store
	asked atomic.Int32
}

func (b *busyStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	b.asked.Add(1)
	defer b.asked.Add(-1)
	return b.Store.Get(ctx, keys...)
}

func (b *busyStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	b.asked.Add(1)
	defer b.asked.Add(-1)
	return b.Store.Commit(ctx, ops...)
}

// slowHashes is aliceAlone, whose passwords take long to check.
type slowHashes struct {
	aliceAlone
	check func()
}

func (s slowHashes) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	s.check()
	return s.aliceAlone.CheckPassword(ctx, id, pw)
}

// ST-16: while a password is checked, which takes long and has to wait for its turn, no
// call of the store is under way, and so none of its connections is taken.
func TestNoConnectionWaitsForAPassword(t *testing.T) {
	st := &busyStore{Store: store.NewMemory()}
	checks := 0
	people := slowHashes{check: func() {
		checks++
		assert.Zero(t, st.asked.Load())
	}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, people, -1 })
	s, _ := w.enrolled()
	require.NotEmpty(t, legacyLogin(w, w.code("alice")))
	require.Equal(t, 201, w.create(s, w.code("alice"), map[string]any{"packages_all": true, "packages_and_scopes_permission": "read-only"}).Code)
	w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: w.code("alice"), body: `{"tfa":{"mode":"auth-only","password":"` + password + `"}}`})
	assert.GreaterOrEqual(t, checks, 4)
}
