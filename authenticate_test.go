package npmauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
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
	one, _ = w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	two, _ = w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
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

// A credential that is dead costs one read within Config.Fresh, and not one with each request.
// What is remembered of it is of the account as it was: what changes about that is seen at once.
func TestDeadCredentialIsReadOnce(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, oneUser{}, time.Minute })
	w.ids["alice"] = "alice"
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	reads := func(want int) int {
		t.Helper()
		before := st.Count(storetest.Reads)
		for range 50 {
			require.Equal(t, want, whoami(w, bearer))
		}
		return st.Count(storetest.Reads) - before
	}
	reads(200)
	for range 2 {
		require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, "alice"))
		assert.LessOrEqual(t, reads(401), 2, "its user, and both together")
		assert.Zero(t, reads(401))
		require.NoError(t, w.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, "alice", true))
		reads(401)
		require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, "alice"))
		reads(200)
	}
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, "alice"))
	assert.LessOrEqual(t, reads(401), 2)
	w.clock.Add(2 * time.Minute)
	assert.LessOrEqual(t, reads(401), 3, "and once more when what is remembered is old")
	assert.Zero(t, reads(401))
}

// What is remembered of a dead credential says nothing of a user who was read since: another
// node may have changed both, and the session lives.
func TestDeadCredentialComesAlive(t *testing.T) {
	st := store.NewMemory()
	on := func(fresh time.Duration) *world {
		return newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, fresh })
	}
	here, there := on(time.Hour), on(0)
	alice := here.person("alice")
	s := here.login("alice")
	require.Equal(t, 200, whoami(here, s))
	require.NoError(t, here.auth.Subjects().Disable(t.Context(), audit.Actor{}, alice))
	for range 2 {
		require.Equal(t, 401, whoami(here, s))
	}
	// Of this the first node hears nothing: the session is kept, under new numbers.
	require.NoError(t, there.auth.Subjects().Enable(t.Context(), audit.Actor{}, alice))
	a := there.setUser(s, "", `{"password":{"old":"`+password+`","new":"another password of mine"}}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	require.Equal(t, 401, whoami(here, s), "for as long as Config.Fresh says")

	require.NoError(t, here.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, alice, true))
	assert.Equal(t, 200, whoami(here, s))
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
		_, d, err := w.auth.Authorize(t.Context(), protocol.Operation{Action: protocol.Whoami}, h, addr)
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
			op := protocol.Operation{Action: protocol.ReadPackument, Package: protocol.PackageName{Scope: fmt.Sprint("s", i), Name: "core"}}
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

func (r renamed) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	u, err := r.people.User(ctx, id)
	u.ID = "2"
	return u, err
}

// blank is a host that has a record of nobody.
type blank struct{ *people }

func (b blank) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	if id == "" {
		return host.User{}, nil
	}
	return b.people.User(ctx, id)
}

// Where no policy decides after authentication, it alone refuses who is nobody: what a host
// asks for with Authenticate, and a logout of another credential.
func TestNobodyIsAuthenticated(t *testing.T) {
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	nobody := map[string]host.ForeignToken{
		"without-a-user":    {ID: "old"},
		"without-an-ID":     {User: "1"},
		"without-either":    {},
		"of-an-absent-user": {ID: "old", User: "3"},
	}
	foreign := func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
		if f, ok := nobody[bearer.Reveal()]; ok {
			return f, nil
		}
		return host.ForeignToken{}, host.ErrInvalidToken
	}
	refused := func(name string, w *world, authorization, theirs string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "DELETE", "/-/user/token/"+theirs, nil)
		r.Header.Set("Authorization", authorization)
		id, err := w.auth.Authenticate(r)
		assert.ErrorIs(t, err, host.ErrInvalidToken, name)
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
	nobody["somebody"] = host.ForeignToken{ID: "old", User: "1"}
	require.Equal(t, 200, whoami(w, "somebody"))

	// The record that the host gives is another's.
	st := w.store
	other := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users = st, renamed{p} })
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	refused("another's record", other, "Bearer "+secret, theirs)

	// What was made in the very instant in which all were ended is one of them.
	for name, end := range map[string]func(w *world) error{
		"sessions":   func(w *world) error { return w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, "1") },
		"everything": func(w *world) error { return w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, "1") },
	} {
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = p })
		w.ids["alice"] = "1"
		s := w.login("alice")
		tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
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

// A host may no longer say whose a token is when it is asked once more: the token is refused, and
// nothing panics.
func TestForeignTokenLosesItsUser(t *testing.T) {
	asked := 0
	p := &people{user: host.User{ID: "1", Name: "alice", Disabled: true}}
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Users = p
		cfg.Foreign = func(context.Context, credential.Secret) (host.ForeignToken, error) {
			if asked++; asked > 1 {
				return host.ForeignToken{}, nil
			}
			return host.ForeignToken{ID: "old", User: "1"}, nil
		}
	})
	assert.Equal(t, 401, whoami(w, "somebody"))
	assert.Equal(t, 2, asked)
}

// A revocation is one way to end credentials of alice's, and which it ends.
type revocation struct {
	name                 string
	on                   func(ctx context.Context, r *revoked) error
	all, session, tokens bool // ends everything that is there, the acting session, or tokens
	one                  bool // ends the one token that is there
	off                  bool // as long as it lasts
	alone                bool // ends one credential by itself
}

// A revoked is what a revocation ends, on the node where it comes.
type revoked struct {
	w         *world
	session   string
	sessionID string
	token     string
	tokenID   string
}

var revocations = []revocation{
	{name: "the session is ended", alone: true, session: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Sessions().End(ctx, audit.Actor{}, "alice", r.sessionID)
	}},
	{name: "the token is revoked", alone: true, one: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Tokens().Revoke(ctx, audit.Actor{}, "alice", r.tokenID, "")
	}},
	{name: "sessions are ended", session: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Subjects().EndSessions(ctx, audit.Actor{}, "alice")
	}},
	{name: "the password is changed", session: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.PasswordChanged(ctx, "alice")
	}},
	{name: "tokens are revoked", tokens: true, one: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Tokens().RevokeAll(ctx, audit.Actor{}, "alice")
	}},
	{name: "everything is revoked", all: true, session: true, tokens: true, one: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Subjects().RevokeAll(ctx, audit.Actor{}, "alice")
	}},
	{name: "everybody's is revoked", all: true, session: true, tokens: true, one: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Restored(ctx)
	}},
	{name: "the account is disabled", off: true, session: true, tokens: true, one: true, on: func(ctx context.Context, r *revoked) error {
		return r.w.auth.Subjects().Disable(ctx, audit.Actor{}, "alice")
	}},
}

// twoNodes are two nodes on one store whose calls can be interleaved. What alice has was made
// on the second. fresh is the first's.
func twoNodes(t *testing.T, fresh time.Duration) (a, b *world, in *steppedStore) {
	t.Helper()
	in = &steppedStore{Store: store.NewMemory()}
	pair := [2]*world{}
	for i, f := range []time.Duration{fresh, 0} {
		pair[i] = newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = in, aliceAlone{}, f })
		pair[i].ids["alice"] = "alice"
	}
	return pair[0], pair[1], in
}

// What a node is told to do is true on it at once, also where another had done it already
// and it remembers what was before.
func TestSecondToSayItKnows(t *testing.T) {
	a, b, _ := twoNodes(t, 0)
	bearer := prepareRevoked(b).token
	ctx, by := t.Context(), audit.Actor{}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for _, step := range []struct {
		name   string
		do     func(m *subject.Manager) error
		before int
		want   int
	}{
		{"disable", func(m *subject.Manager) error { return m.Disable(ctx, by, "alice") }, 200, 401},
		{"enable", func(m *subject.Manager) error { return m.Enable(ctx, by, "alice") }, 401, 200},
		{"ranges", func(m *subject.Manager) error { return m.SetCIDRs(ctx, by, "alice", elsewhere) }, 200, 401},
		{"no ranges", func(m *subject.Manager) error { return m.SetCIDRs(ctx, by, "alice", nil) }, 401, 200},
	} {
		require.Equal(t, step.before, whoami(a, bearer), step.name)
		require.NoError(t, step.do(b.auth.Subjects()), step.name)
		require.NoError(t, step.do(a.auth.Subjects()), step.name)
		assert.Equal(t, step.want, whoami(a, bearer), step.name)
	}
}

// afterwards are the ways in which a node is told to end one credential of alice's, or to
// put another in its place, and what it may answer where another node had ended it already.
var afterwards = []struct {
	name    string
	session bool // the session, else the token
	do      func(ctx context.Context, r *revoked, leaks scanner) error
}{
	{"end", true, func(ctx context.Context, r *revoked, _ scanner) error {
		return r.w.auth.Sessions().End(ctx, audit.Actor{}, "alice", r.sessionID)
	}},
	{"log out", true, func(_ context.Context, r *revoked, _ scanner) error { return r.w.logOut(r.session) }},
	{"log out of the manager", true, func(ctx context.Context, r *revoked, _ scanner) error {
		d, _ := credential.Parse(r.session)
		_, err := r.w.auth.Sessions().Logout(ctx, audit.Actor{}, d)
		return err
	}},
	{"report a session", true, func(_ context.Context, r *revoked, leaks scanner) error { return r.w.leaked(leaks, r.session) }},
	{"revoke", false, func(ctx context.Context, r *revoked, _ scanner) error {
		return r.w.auth.Tokens().Revoke(ctx, audit.Actor{}, "alice", r.tokenID, "")
	}},
	{"end a token", false, func(ctx context.Context, r *revoked, _ scanner) error {
		return r.w.auth.Tokens().End(ctx, audit.Actor{}, r.tokenID, "")
	}},
	{"log out of a token", false, func(_ context.Context, r *revoked, _ scanner) error { return r.w.logOut(r.token) }},
	{"report a token", false, func(_ context.Context, r *revoked, leaks scanner) error { return r.w.leaked(leaks, r.token) }},
	{"rotate", false, func(ctx context.Context, r *revoked, _ scanner) error {
		_, _, err := r.w.auth.Tokens().Rotate(ctx, audit.Actor{}, token.Rotation{User: "alice", ID: r.tokenID})
		return err
	}},
	{"look up", false, func(ctx context.Context, r *revoked, _ scanner) error {
		_, err := r.w.auth.Tokens().Get(ctx, "alice", r.tokenID)
		return err
	}},
}

func (w *world) logOut(bearer string) error {
	if a := w.do(call{method: "DELETE", path: "/-/user/token/" + bearer, bearer: bearer}); a.Code != 200 {
		return fmt.Errorf("logout: %d", a.Code)
	}
	return nil
}

func (w *world) leaked(leaks scanner, bearer string) error {
	if a := leaks.report(w, []find{{Token: bearer}}); a.Code != 200 {
		return fmt.Errorf("report: %d", a.Code)
	}
	return nil
}

// What a node answers about one credential is true on it at once, also where another node had
// ended that one, alone or with others, and it remembers what was before: in its caches, or in
// a read that is still under way.
func TestSecondToEndItKnows(t *testing.T) {
	leaks := newScanner(t)
	for _, rev := range revocations {
		for _, then := range afterwards {
			for _, how := range []string{"remembered", "under way"} {
				t.Run(rev.name+", "+then.name+", "+how, func(t *testing.T) {
					st := store.NewMemory()
					on := func(s store.Store, fresh time.Duration) *world {
						w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = s, aliceAlone{}, fresh; leaks.keys(cfg) })
						w.ids["alice"] = "alice"
						return w
					}
					slow := &slowStore{Store: st}
					a, b := on(slow, 0), on(st, -1)
					there := prepareRevoked(b)
					here := *there
					here.w = a
					bearer := here.token
					if then.session {
						bearer = here.session
					}
					both := func() {
						require.NoError(t, rev.on(t.Context(), there))
						err := then.do(t.Context(), &here, leaks)
						if err != nil && !errors.Is(err, session.ErrNoSession) && !errors.Is(err, token.ErrNotFound) && !errors.Is(err, token.ErrDisabled) {
							require.NoError(t, err)
						}
					}
					if how == "remembered" {
						require.Equal(t, 200, whoami(a, bearer))
						both()
					} else {
						slow.key, slow.after = subject.Key("alice"), both
						if rev.alone {
							d, _ := credential.Parse(bearer)
							slow.key = session.Key(d)
						}
						whoami(a, bearer) // which may have read what was before
					}
					assert.Equal(t, whoami(b, bearer), whoami(a, bearer))
				})
			}
		}
	}
}

// So it is with what a reset of the second factor ends.
func TestSecondToResetItKnows(t *testing.T) {
	st := store.NewMemory()
	var pair [2]*world
	for i := range pair {
		pair[i] = newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	}
	a, b := pair[0], pair[1]
	alice := b.person("alice")
	b.enrol("alice", protocol.AuthAndWrites)
	s := b.login("alice")
	a.clock.Add(b.clock.Now().Sub(a.clock.Now()))
	require.Equal(t, 200, whoami(a, s))
	require.NoError(t, b.auth.ResetTwoFactor(t.Context(), alice))
	require.ErrorIs(t, a.auth.ResetTwoFactor(t.Context(), alice), twofactor.ErrNoFactor)
	assert.Equal(t, 401, whoami(a, s))
	for _, nobody := range []protocol.UserID{"", protocol.UserID(strings.Repeat("x", store.MaxKey))} {
		assert.ErrorIs(t, a.auth.Factors().Disable(t.Context(), audit.Actor{}, nobody), twofactor.ErrNoFactor)
	}
}

// prepareRevoked gives alice a session and a token.
func prepareRevoked(b *world) *revoked {
	r := &revoked{w: b, session: b.login("alice")}
	r.sessionID = b.sessionID(r.session)
	var tok token.Token
	r.token, tok = b.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	r.tokenID = tok.ID
	return r
}

// In whatever order the calls of a verification and of a revocation reach the store, on one
// node or two and with whatever the caches hold: no live credential is refused, and none is
// accepted once the revocation has returned, on the node that revokes and on one that reads
// the store. Nor is what the revocation leaves.
func TestRevocationIsExact(t *testing.T) {
	warmings := map[string]func(a *world, r *revoked, bearer string){
		"cold":                              func(*world, *revoked, string) {},
		"warm":                              func(a *world, _ *revoked, bearer string) { whoami(a, bearer) },
		"a warm credential of a cold user":  func(a *world, _ *revoked, bearer string) { whoami(a, bearer); a.coolUser() },
		"a cold credential of a warm user":  func(a *world, r *revoked, _ string) { a.warmUser() },
		"a cold credential, a user shortly": func(a *world, r *revoked, bearer string) { a.warmUser(); whoami(a, bearer); a.coolUser() },
	}
	orders, combination := 0, 0
	for _, rev := range revocations {
		for _, kind := range []string{"session", "token"} {
			for how, warm := range warmings {
				for _, where := range []struct {
					name  string
					fresh time.Duration // of the node that verifies
					same  bool          // it is the one that revokes
				}{{"on the same node", 0, true}, {"on a node that reads the store", -1, false}, {"on a node that remembers", 0, false}} {
					if combination++; testing.Short() && combination%5 != 0 || raceEnabled && combination%3 != 0 {
						continue
					}
					t.Run(rev.name+"/"+kind+"/"+how+"/"+where.name, func(t *testing.T) {
						dies := rev.session && kind == "session" || rev.one && kind == "token"
						orders += interleave(t, func(in *interleaving) {
							in.answers = where.same // with which it fills a cache
							a, b, st := twoNodes(t, where.fresh)
							if where.same {
								a = b
							}
							r := prepareRevoked(b)
							bearer := r.token
							if kind == "session" {
								bearer = r.session
							}
							warm(a, r, bearer)
							st.in = in
							var code int
							var err error
							in.run(t.Context(), [2]func(context.Context){
								func(ctx context.Context) {
									code = a.sendIn(ctx, call{method: "GET", path: "/-/whoami", bearer: bearer}).Code
								},
								func(ctx context.Context) { err = rev.on(ctx, r) },
							})
							st.in = nil
							require.NoError(t, err)
							switch {
							case !dies || in.ended(0) < in.committed(1):
								assert.Equal(t, 200, code, "refused while it lives: %+v", in.steps)
							case in.began(0) > in.ended(1) && (where.same || where.fresh < 0):
								assert.Equal(t, 401, code, "accepted when it was dead: %+v", in.steps)
							default:
								assert.Contains(t, []int{200, 401}, code)
							}
							want := 200
							if dies {
								want = 401
							}
							assert.Equal(t, want, whoami(b, bearer), "on the node that revoked: %+v", in.steps)
							if where.fresh < 0 {
								assert.Equal(t, want, whoami(a, bearer), "on another: %+v", in.steps)
							}
							a.clock.Add(time.Second)
							assert.Equal(t, want, whoami(a, bearer), "a second later: %+v", in.steps)
							if rev.off {
								require.NoError(t, b.auth.Subjects().Enable(t.Context(), audit.Actor{}, "alice"))
								assert.Equal(t, 200, whoami(b, bearer), "disabled is not revoked")
								a.clock.Add(time.Second)
								assert.Equal(t, 200, whoami(a, bearer), "on another")
							}
						})
					})
				}
			}
		}
	}
	t.Log("orders:", orders)
}

// warmUser lets w remember alice by a token that is used for nothing else.
func (w *world) warmUser() {
	w.t.Helper()
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	require.Equal(w.t, 200, whoami(w, bearer))
}

// coolUser lets w forget alice, and none of her credentials.
func (w *world) coolUser() {
	w.t.Helper()
	require.NoError(w.t, w.auth.Subjects().SetCIDRs(w.t.Context(), audit.Actor{}, "alice", nil))
}

// In whatever order the calls of a request that makes a credential and of a revocation reach
// the store: what was made before the revocation is dead where that ends its kind, and what is
// made after it lives. What the revocation does not concern is not refused.
func TestRevocationOfWhatIsBeingMade(t *testing.T) {
	for _, made := range []struct {
		name    string
		session bool // is what is made; and not what acts
		ask     func(ctx context.Context, a *world, r *revoked) answer
	}{
		{"a token", false, func(ctx context.Context, a *world, r *revoked) answer {
			return a.sendIn(ctx, call{method: "POST", path: "/-/npm/v1/tokens", bearer: r.session, body: specBody("")})
		}},
		{"a rotation", false, func(ctx context.Context, a *world, r *revoked) answer {
			return a.sendIn(ctx, call{method: "POST", path: "/-/auth/v1/tokens/" + r.tokenID + "/rotate", bearer: r.session, body: `{"password":"` + password + `"}`})
		}},
		{"a session", true, func(ctx context.Context, a *world, _ *revoked) answer {
			return a.sendIn(ctx, call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice")})
		}},
	} {
		for _, rev := range revocations {
			for _, same := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/same node %t", made.name, rev.name, same), func(t *testing.T) {
					t.Parallel()
					orders := interleave(t, func(in *interleaving) {
						a, b, st := twoNodes(t, 0)
						if same {
							a = b
						}
						r := prepareRevoked(b)
						whoami(a, r.session)
						st.in = in
						var got answer
						var err error
						in.run(t.Context(), [2]func(context.Context){
							func(ctx context.Context) { got = made.ask(ctx, a, r) },
							func(ctx context.Context) { err = rev.on(ctx, r) },
						})
						st.in = nil
						require.NoError(t, err)
						secret := got.text("token")
						first := in.committed(0) >= 0 && in.committed(0) < in.committed(1)
						actingDies := rev.session && !made.session || rev.off || made.session && (rev.all || rev.session && rev.name != "the session is ended")
						if made.name == "a rotation" {
							actingDies = actingDies || rev.one // there is nothing to rotate any more
						}
						if secret == "" {
							assert.True(t, actingDies && !first, "refused and need not be: %d %s %+v", got.Code, got.Body, in.steps)
							assert.Less(t, got.Code, 500, "%s", got.Body)
							return
						}
						madeDies := made.session && rev.session && rev.name != "the session is ended" || !made.session && rev.tokens
						if first {
							want := 200
							if madeDies {
								want = 401
							}
							assert.Equal(t, want, whoami(b, secret), "made before: %+v", in.steps)
							a.clock.Add(time.Second)
							assert.Equal(t, want, whoami(a, secret), "made before, on another: %+v", in.steps)
							return
						}
						assert.True(t, !actingDies || made.session && !rev.off && in.read(0) > in.committed(1), "made by what was dead: %+v", in.steps)
						assert.Equal(t, 200, whoami(a, secret), "made after, and dead: %+v", in.steps)
						assert.Equal(t, 200, whoami(b, secret), "made after, and dead on another: %+v", in.steps)
					})
					t.Log("orders:", orders)
				})
			}
		}
	}
}

// The session that turns a factor on outlives that its sessions end: it is refused at no
// moment, on no node and with nothing that a cache holds.
func TestKeptSessionIsNeverRefused(t *testing.T) {
	for _, fresh := range []time.Duration{-1, 0} {
		for how, warm := range map[string]func(a *world, bearer string){
			"cold":            func(*world, string) {},
			"warm":            func(a *world, bearer string) { whoami(a, bearer) },
			"warm user":       func(a *world, bearer string) { a.warmUser() },
			"warm credential": func(a *world, bearer string) { whoami(a, bearer); a.coolUser() },
		} {
			t.Run(fmt.Sprint(how, fresh), func(t *testing.T) {
				orders := interleave(t, func(in *interleaving) {
					a, b, st := twoNodes(t, fresh)
					kept, other := b.login("alice"), b.login("alice")
					link, err := b.auth.Factors().Enrol(t.Context(), audit.Actor{}, "alice", "alice", protocol.AuthAndWrites)
					require.NoError(t, err)
					u, err := url.Parse(link.Reveal())
					require.NoError(t, err)
					b.secrets["alice"] = u.Query().Get("secret")
					warm(a, kept)
					st.in = in
					var code int
					var on answer
					in.run(t.Context(), [2]func(context.Context){
						func(ctx context.Context) {
							code = a.sendIn(ctx, call{method: "GET", path: "/-/whoami", bearer: kept}).Code
						},
						func(ctx context.Context) {
							on = b.sendIn(ctx, call{method: "POST", path: "/-/npm/v1/user", bearer: kept, body: `{"tfa":["` + b.codeNow("alice") + `"]}`})
						},
					})
					st.in = nil
					require.Equal(t, 200, on.Code, "%s", on.Body)
					assert.Equal(t, 200, code, "%+v", in.steps)
					assert.Equal(t, 200, whoami(a, kept))
					assert.Equal(t, 200, whoami(b, kept))
					assert.Equal(t, 401, whoami(b, other))
					a.clock.Add(time.Second)
					assert.Equal(t, 200, whoami(a, kept))
					assert.Equal(t, 401, whoami(a, other))
				})
				t.Log("orders:", orders)
			})
		}
	}
}
