package npmauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// quoted is what a broken host panics with, which nobody may read.
const quoted = "looking up a secret"

// A brokenHost stands in front of everything that a host plugs in. It counts the calls of each
// method, and from the nth one of the method on on panics.
type brokenHost struct {
	mu    sync.Mutex
	calls map[string]int
	on    string
	nth   int
	hit   bool

	host *backend
	ids  map[string]protocol.UserID // of the world
}

func (b *brokenHost) called(method string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[method]++
	if b.on == method && b.calls[method] >= b.nth {
		b.hit = true
		panic(quoted)
	}
}

// begin forgets what was called, and breaks from the nth call of method on.
func (b *brokenHost) begin(method string, nth int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls, b.on, b.nth, b.hit = map[string]int{}, method, nth, false
}

func (b *brokenHost) user(ok bool) (host.User, error) {
	if !ok {
		return host.User{}, host.ErrNoUser
	}
	return host.User{ID: b.ids["alice"], Name: "alice"}, nil
}

func (b *brokenHost) Lookup(_ context.Context, name string) (host.User, error) {
	b.called("Users.Lookup")
	return b.user(name == "alice")
}

func (b *brokenHost) User(_ context.Context, id protocol.UserID) (host.User, error) {
	b.called("Users.User")
	return b.user(id == b.ids["alice"])
}

func (b *brokenHost) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	b.called("Users.CheckPassword")
	return id == b.ids["alice"] && pw.Reveal() == password, nil
}

func (b *brokenHost) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	b.called("Packages.Facts")
	return b.host.Facts(ctx, pkg, user)
}

func (b *brokenHost) Document(ctx context.Context, pkg protocol.PackageName) (host.Document, error) {
	b.called("Documents.Document")
	return b.host.Document(ctx, pkg)
}

func (b *brokenHost) OrgFacts(ctx context.Context, org string, user protocol.UserID) (policy.OrgFacts, error) {
	b.called("Orgs.OrgFacts")
	return b.host.OrgFacts(ctx, org, user)
}

func (b *brokenHost) FactorRequired(ctx context.Context, user protocol.UserID) (bool, error) {
	b.called("Orgs.FactorRequired")
	return b.host.FactorRequired(ctx, user)
}

func (b *brokenHost) Memberships(ctx context.Context, user protocol.UserID) ([]host.Membership, error) {
	b.called("Orgs.Memberships")
	return b.host.Memberships(ctx, user)
}

func (b *brokenHost) OwnScope(ctx context.Context, user protocol.UserID) (string, error) {
	b.called("Orgs.OwnScope")
	return b.host.OwnScope(ctx, user)
}

func (b *brokenHost) SetRequireFactor(ctx context.Context, org protocol.OrgID, require bool) (host.Write, error) {
	b.called("Orgs.SetRequireFactor")
	write, err := b.host.SetRequireFactor(ctx, org, require)
	return func(ctx context.Context) error {
		b.called("the Write of Orgs.SetRequireFactor")
		return write(ctx)
	}, err
}

func (b *brokenHost) Administers(_ context.Context, admin protocol.UserID, service string) (host.User, bool, error) {
	b.called("Services.Administers")
	if service != "ci" {
		return host.User{}, false, host.ErrNoUser
	}
	return host.User{ID: "ci-1", Name: "ci", Service: true}, admin == b.ids["alice"], nil
}

func (b *brokenHost) foreign(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
	b.called("Config.Foreign")
	if bearer.Reveal() != "an-older-token" {
		return host.ForeignToken{}, host.ErrInvalidToken
	}
	return host.ForeignToken{ID: "old-1", User: b.ids["alice"], Created: time.Now().AddDate(1, 0, 0)}, nil
}

func (b *brokenHost) public(r *http.Request) bool {
	b.called("Config.Public")
	return r.URL.Path == "/healthz"
}

func (b *brokenHost) Key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	b.called("LeakKeys.Key")
	return &leakScanner().key.PublicKey, nil
}

// A lockedBuffer is written by several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// brokenWorld returns a world whose host is a brokenHost, and what it logs.
func (u writing) brokenWorld(t *testing.T, change ...func(*npmauth.Config)) (*world, *brokenHost, *lockedBuffer) {
	t.Helper()
	b, log := &brokenHost{}, &lockedBuffer{}
	b.begin("", 0)
	change = append([]func(*npmauth.Config){func(cfg *npmauth.Config) {
		b.host = cfg.Packages.(*backend)
		cfg.Users, cfg.Packages, cfg.Documents, cfg.Orgs, cfg.Services = b, b, b, b, b
		cfg.Foreign, cfg.Public, cfg.LeakKeys = b.foreign, b.public, b
		cfg.Fresh, cfg.HostFresh = -1, -1
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	}}, change...)
	w := u.world(t, change...)
	b.ids, w.ids["ci"] = w.ids, "ci-1"
	w.host.silent = true // what it would say of a new package comes after the answer was decided
	return w, b, log
}

// ofOwnPeople reports whether a writing needs accounts that are npmauth's own.
func ofOwnPeople(u writing) bool {
	return strings.HasPrefix(u.name, "set the ") && u.action != protocol.SetAccess || signsUp(u) || strings.Contains(u.name, "of a service account") && !strings.HasSuffix(u.name, "that the host has")
}

// readings are requests that change nothing, each with what it is answered.
var readings = []writing{
	{name: "whoami", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/whoami"})},
	{name: "a package", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/plain"})},
	{name: "a package as the anonymous", prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		return prepared{call: call{method: "GET", path: "/plain"}}
	}},
	{name: "a package with a token of the host", prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		return prepared{call: call{method: "GET", path: "/plain", bearer: "an-older-token"}}
	}},
	{name: "the front page", prepare: func(*world) prepared { return prepared{call: call{method: "GET", path: "/healthz"}} }},
	{name: "the access of a package", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/package/plain/access"})},
	{name: "the members of an organization", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/org/acme/user"})},
	{name: "the organizations of an account", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/auth/v1/orgs"})},
	{name: "a profile", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/npm/v1/user"})},
	{name: "tokens", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/npm/v1/tokens"})},
	{name: "oneself", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/auth/v1/self?package=plain"})},
	{name: "a user", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: "/-/user/org.couchdb.user:alice"})},
	{name: "tokens of a service account that the host has", prepare: withSession(protocol.AuthAndWrites, call{method: "GET", path: ciTokens})},
	{name: "make a token for a service account that the host has", prepare: withCode(call{method: "POST", path: ciTokens, body: specBody(readWrite)})},
	{name: "log out with a token of the host", prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		return prepared{call: call{method: "DELETE", path: "/-/user/token/npm_x", bearer: "an-older-token"}}
	}},
	{name: "the page of a login", prepare: func(w *world) prepared {
		loginURL, _, _ := w.start("")
		return prepared{call: call{method: "GET", path: strings.TrimPrefix(loginURL, base)}}
	}},
	{name: "the page of a challenge", prepare: func(w *world) prepared {
		c := publishOf("plain", "3.0.0")
		c.bearer = w.alice(protocol.AuthAndWrites)
		return prepared{call: call{method: "GET", path: strings.TrimPrefix(w.do(c).text("authUrl"), base)}}
	}},
	{name: "a poll of a login", prepare: func(w *world) prepared {
		_, doneURL, _ := w.start("")
		return prepared{call: call{method: "GET", path: strings.TrimPrefix(doneURL, base)}}
	}},
	{name: "a poll of a challenge", prepare: func(w *world) prepared {
		c := publishOf("plain", "3.0.0")
		c.bearer = w.alice(protocol.AuthAndWrites)
		return prepared{call: call{method: "GET", path: strings.TrimPrefix(w.do(c).text("doneUrl"), base)}}
	}},
}

// isOutage checks that a is the answer of an outage, and that its cause is in the log and
// nowhere else.
func isOutage(t *testing.T, w *world, a answer, log *lockedBuffer, p prepared) {
	t.Helper()
	text := log.take()
	assert.Equal(t, http.StatusServiceUnavailable, a.Code, "%s", a.Body)
	assert.Contains(t, text, "stack=")
	assert.Contains(t, text, "panics_test.go", "of where it panicked")
	assert.NotContains(t, text+a.Body.String(), quoted)
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.host.reads)
	if p.done != nil {
		assert.False(t, p.done(), "it was done")
	}
}

// A panic of whatever a host plugs in is an outage wherever it is asked: a refusal, and a line
// in the log. No call of it is left out, that on the goroutine which reads a body included.
//
// AU-30, ST-17.
func TestPanicsOfTheHost(t *testing.T) {
	met := struct {
		sync.Mutex
		methods map[string]bool
	}{methods: map[string]bool{}}
	t.Run("requests", func(t *testing.T) {
		for i, u := range append(append([]writing{}, writings...), readings...) {
			if ofOwnPeople(u) || u.refused != "" || testing.Short() && i%3 != 0 && u.action != protocol.ReportLeak {
				continue
			}
			t.Run(u.name, func(t *testing.T) {
				t.Parallel()
				w, b, _ := u.brokenWorld(t)
				p := u.prepare(w)
				b.begin("", 0)
				a := w.do(p.call)
				b.mu.Lock()
				calls := b.calls
				b.mu.Unlock()
				require.True(t, a.Code < 400 || u.name == "log out with a token of the host", "%d %s", a.Code, a.Body)
				for method, n := range calls {
					met.Lock()
					met.methods[method] = true
					met.Unlock()
					for nth := 1; nth <= n; nth++ {
						w, b, log := u.brokenWorld(t)
						p := u.prepare(w)
						log.take()
						b.begin(method, nth)
						a := w.do(p.call)
						require.True(t, b.hit, "%s, call %d", method, nth)
						b.begin("", 0)
						isOutage(t, w, a, log, p)
						if t.Failed() {
							t.Fatalf("%s, call %d", method, nth)
						}
					}
				}
			})
		}
	})
	if testing.Short() {
		return // of which some are met
	}
	for _, method := range []string{
		"Users.Lookup", "Users.User", "Users.CheckPassword", "Packages.Facts", "Documents.Document", "Orgs.OrgFacts",
		"Orgs.FactorRequired", "Orgs.Memberships", "Orgs.OwnScope", "Orgs.SetRequireFactor", "the Write of Orgs.SetRequireFactor", "Services.Administers", "Config.Foreign", "Config.Public", "LeakKeys.Key",
	} {
		assert.True(t, met.methods[method], method)
	}
}

// A panic of the store is an outage at each of its calls: a read that failed, a commit of
// which nobody knows.
func TestPanicsOfTheStore(t *testing.T) {
	for i, u := range append(append([]writing{}, writings...), readings...) {
		if strings.HasSuffix(u.name, "that the host has") || strings.HasSuffix(u.name, "token of the host") || u.refused != "" || u.name == "the front page" {
			continue
		}
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			for n, calls := 0, 1; n <= calls; n++ {
				if testing.Short() && n > 0 && (n+i)%3 != 0 {
					continue
				}
				st, log := storetest.NewFaulty(store.NewMemory()), &lockedBuffer{}
				w := u.world(t, func(cfg *npmauth.Config) {
					cfg.Store, cfg.Fresh, cfg.HostFresh = st, -1, -1
					cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
				})
				p := u.prepare(w)
				log.take()
				before := st.Count(storetest.All)
				if n > 0 {
					st.Inject(storetest.Fault{Nth: n, Do: func() { panic(quoted) }})
				}
				handed := 0 // calls before the host wrote: what follows is none of the answer's
				w.host.wrote = func() { handed = st.Count(storetest.All) - before }
				a := w.do(p.call)
				if n == 0 {
					if calls = st.Count(storetest.All) - before; handed > 0 {
						calls = handed
					}
					require.Less(t, a.Code, 400, "%s", a.Body)
					continue
				}
				require.True(t, st.Struck())
				if u.name == "sign up" { // an account is made, and then logged in to; npm logs in when it tries again
					p.done = nil
				}
				if u.relayed { // the page is shown once more, and lists packages
					w.host.reads = nil
				}
				isOutage(t, w, a, log, p)
				if t.Failed() {
					t.Fatalf("call %d of %d", n, calls)
				}
			}
		})
	}
}

// A host may read a publish on a goroutine of its own, where nothing of ours recovers: it gets
// an error, and its answer is replaced.
func TestPanicWhereTheHostReads(t *testing.T) {
	u := writing{}
	w, b, log := u.brokenWorld(t)
	p := withBypass(publishOf("plain", "3.0.0"))(w)
	log.take()
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.begin("Packages.Facts", 1)
		failed := make(chan error)
		go func() {
			_, err := io.ReadAll(r.Body)
			failed <- err
		}()
		assert.Error(t, <-failed)
		rw.WriteHeader(http.StatusOK)
	}))
	isOutage(t, w, w.send(h, p.call), log, prepared{})
}

// What is not answered over HTTP returns an error that is no refusal, and allows nothing.
func TestPanicsOutsideOfRequests(t *testing.T) {
	u := writing{}
	st := &panicking{Store: store.NewMemory()}
	w, b, _ := u.brokenWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	s := w.alice(protocol.AuthAndWrites)
	ctx, header := t.Context(), http.Header{"Authorization": {"Bearer " + s}}
	r := httptest.NewRequest("GET", "/plain", nil)
	r.Header = header
	op := protocol.Operation{Action: protocol.ReadPackument, Package: protocol.PackageName{Name: "plain"}}
	authenticate := func() error {
		id, err := w.auth.Authenticate(r)
		assert.Zero(t, id)
		return err
	}
	authorize := func() error {
		id, d, err := w.auth.Authorize(ctx, op, header, netip.Addr{})
		assert.Zero(t, id)
		assert.Equal(t, policy.Deny, d.Effect)
		return err
	}
	var confirm func() error
	w.send(w.auth.Guard(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		op, _ := host.OperationFrom(r.Context())
		confirm = func() error { return op.Confirm(context.WithoutCancel(r.Context())) }
	})), call{method: "DELETE", path: "/-/package/plain/dist-tags/old", bearer: s, otp: w.code("alice")})
	require.NotNil(t, confirm)
	reaching := func() (err error) {
		for tok, e := range w.auth.TokensReaching(ctx, op.Package, policy.RightRead) {
			assert.Empty(t, tok.ID)
			err = e
		}
		return err
	}
	fails := func(name string, fn func() error) {
		t.Helper()
		err := fn()
		require.Error(t, err, name)
		assert.NotErrorIs(t, err, host.ErrInvalidToken, name)
		assert.NotErrorIs(t, err, host.ErrNoCredential, name)
		assert.NotContains(t, err.Error(), "looking up", name)
	}
	require.NoError(t, confirm())
	for name, fn := range map[string]func() error{
		"Authenticate": authenticate, "Authorize": authorize, "Confirm": confirm, "TokensReaching": reaching,
		"Ready":           func() error { return w.auth.Ready(ctx) },
		"SetPackage":      func() error { return w.auth.SetPackage(ctx, "p", policy.Settings{}) },
		"Package":         func() error { _, err := w.auth.Package(ctx, "p"); return err },
		"PasswordChanged": func() error { return w.auth.PasswordChanged(ctx, b.ids["alice"]) },
		"ResetTwoFactor":  func() error { return w.auth.ResetTwoFactor(ctx, b.ids["alice"]) },
		"Restored":        func() error { return w.auth.Restored(ctx) },
		"Tokens": func() error {
			_, _, err := w.auth.Tokens().Create(ctx, audit.Actor{}, token.Spec{User: b.ids["alice"], Name: "x", Grants: grantAll(protocol.ReadOnly)})
			return err
		},
		"Disable": func() error { return w.auth.Subjects().Disable(ctx, audit.Actor{}, b.ids["alice"]) },
		"End":     func() error { return w.auth.Sessions().End(ctx, audit.Actor{}, b.ids["alice"], "x") },
		"Enrol": func() error {
			_, err := w.auth.Factors().Enrol(ctx, audit.Actor{}, b.ids["alice"], "alice", protocol.AuthOnly)
			return err
		},
	} {
		st.on = true
		if name != "TokensReaching" { // which lists before it gets
			fails(name, fn)
		}
		st.on = false
	}
	w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	for method, fn := range map[string]func() error{"Users.User": authenticate, "Packages.Facts": authorize} {
		b.begin(method, 1)
		fails(method, fn)
		fails(method+" at Confirm", confirm)
		fails(method+" at TokensReaching", reaching)
	}
	b.begin("", 0)
	require.NoError(t, confirm())
}

// A commit that panicked may have happened: its error says so.
func TestPanicOfACommitIsUnknown(t *testing.T) {
	for _, after := range []bool{false, true} {
		st := storetest.NewFaulty(store.NewMemory())
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
		s := w.alice(protocol.TwoFactorOff)
		st.Inject(storetest.Fault{On: storetest.Commits, After: after, Do: func() { panic(quoted) }})
		err := w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, w.ids["alice"])
		require.ErrorIs(t, err, store.ErrUnknown)
		assert.NotContains(t, err.Error(), quoted)
		st.Mend()
		want := 200
		if after {
			want = 401
		}
		assert.Equal(t, want, whoami(w, s), "what the node remembers is dropped all the same")
	}
}

// A crumblingStore panics in the background, in the method that is named.
type crumblingStore struct {
	store.Store
	in atomic.Value // the name, a string
}

func (c *crumblingStore) crumble(method string) {
	if c.in.Load() == method {
		panic(quoted)
	}
}

func (c *crumblingStore) Watch(ctx context.Context, _ time.Duration, _ func(store.Change)) error {
	c.crumble("Watch")
	<-ctx.Done()
	return ctx.Err()
}

func (c *crumblingStore) Sweep(context.Context, time.Time, int) (int, error) {
	c.crumble("Sweep")
	return 0, nil
}

func (c *crumblingStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	c.crumble("List")
	return c.Store.List(ctx, prefix, after, limit)
}

func (c *crumblingStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.crumble("Commit")
	return c.Store.Commit(ctx, ops...)
}

// Nothing that Run does in the background brings the program down.
func TestPanicsInTheBackground(t *testing.T) {
	for _, name := range []string{"Watch", "Sweep", "List", "Commit"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, log := &crumblingStore{Store: store.NewMemory()}, &lockedBuffer{}
				w := newWorld(t, func(cfg *npmauth.Config) {
					cfg.Store, cfg.Users, cfg.Now = st, aliceAlone{}, time.Now
					cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
				})
				w.ids["alice"] = "alice"
				bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.auth.Run(ctx) }()
				require.Equal(t, 200, whoami(w, bearer))
				st.in.Store(name)
				if name == "Watch" { // which begins when Run does
					stop()
					<-done
					ctx, stop = context.WithCancel(t.Context())
					go func() { done <- w.auth.Run(ctx) }()
				}
				time.Sleep(time.Hour)
				require.Equal(t, 200, whoami(w, bearer))
				st.in.Store("")
				stop()
				assert.NoError(t, <-done)
				text := log.take()
				assert.Contains(t, text, "stack=")
				assert.NotContains(t, text, quoted)
			})
		})
	}
}
