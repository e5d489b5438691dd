package npmauth_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// facts is a host that knows everything at once.
type facts struct{}

var widget = protocol.PackageName{Scope: "acme", Name: "widget"}

func (facts) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{ID: "1", Private: true, Rights: allRights}, nil
}

type oneUser struct{ host.Users }

func (oneUser) User(_ context.Context, id protocol.UserID) (host.User, error) {
	return host.User{ID: id, Name: "alice"}, nil
}

// warm is an Auth with n tokens, all of them in its cache, and the headers of hot of
// them. A negative hostFresh asks the host each time, as is right for one that answers
// at once.
func warm(tb testing.TB, n, hot int, hostFresh time.Duration) (*npmauth.Auth, []http.Header) {
	tb.Helper()
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: facts{}, Users: oneUser{},
		Fresh: 24 * time.Hour, HostFresh: hostFresh,
	})
	require.NoError(tb, err)
	headers := make([]http.Header, 0, hot)
	for i := range n {
		secret, _, err := auth.Tokens().Create(context.Background(), audit.Actor{}, token.Spec{
			User: protocol.UserID(fmt.Sprint("user-", i/500)), Name: "bench", Bypass: true,
			Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}},
		})
		require.NoError(tb, err)
		h := http.Header{"Authorization": {"Bearer " + secret.Reveal()}}
		if len(headers) < hot {
			headers = append(headers, h)
		}
		// The cache holds them all, as it would in a registry that has served them.
		if _, d, err := auth.Authorize(context.Background(), protocol.Operation{Action: protocol.ReadPackument, Package: widget}, h, addr); err != nil || d.Effect != policy.Allow {
			tb.Fatal(d, err)
		}
	}
	return auth, headers
}

var addr = netip.MustParseAddr("192.0.2.1")

const hot = 1024

// BenchmarkAuthorize is header to decision over a million tokens, the clock and the
// path's classification included, with its floor in the same run: one SHA-256 and one
// look into a map of a million behind a RWMutex. Compare rows of one run only.
func BenchmarkAuthorize(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 10_000
	}
	auth, headers := warm(b, n, hot, -1)
	ctx := context.Background()

	b.Run("floor", func(b *testing.B) {
		table := make(map[[32]byte]*int, n)
		for i := range n {
			table[sha256.Sum256(fmt.Appendf(nil, "%040d", i))] = new(int)
		}
		secrets := make([]string, hot)
		for i := range secrets {
			secrets[i] = fmt.Sprintf("%040d", i)
		}
		var mu sync.RWMutex
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			var buf [64]byte
			d := sha256.Sum256(buf[:copy(buf[:], secrets[i%hot])])
			mu.RLock()
			v := table[d]
			mu.RUnlock()
			if v == nil {
				b.Fatal("not found")
			}
			i++
		}
	})
	// With the classification of method and path before it, and without for a caller
	// that knows the operation.
	for _, c := range []struct{ name, method, path string }{
		{"whoami", "GET", "/-/whoami"}, {"read", "GET", "/@acme%2fwidget"}, {"publish", "PUT", "/@acme%2fwidget"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				op, err := protocol.Classify(c.method, c.path)
				if op.Action == protocol.WritePackument {
					op.Action = protocol.Publish
				}
				_, d, e := auth.Authorize(ctx, op, headers[i%hot], addr)
				if err != nil || e != nil || d.Effect != policy.Allow {
					b.Fatal(d, err, e)
				}
			}
		})
		op := classify(b, c.method, c.path)
		b.Run(c.name+", classified", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				authorize(b, auth, op, headers[i%hot])
			}
		})
	}
	for _, c := range []struct {
		name string
		hot  int
	}{{"read on all cores", hot}, {"read on all cores, one token", 1}} {
		op := classify(b, "GET", "/@acme%2fwidget")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					authorize(b, auth, op, headers[i%c.hot])
				}
			})
		})
	}
	b.Run("read, host remembered", func(b *testing.B) {
		auth, headers := warm(b, hot, hot, 24*time.Hour)
		op := classify(b, "GET", "/@acme%2fwidget")
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			authorize(b, auth, op, headers[i%hot])
		}
	})
	b.Run("refuse malformed", func(b *testing.B) {
		h := http.Header{"Authorization": {"Bearer npm_0000000000000000000000000000002C8GjT"}}
		op := protocol.Operation{Action: protocol.Whoami}
		b.ReportAllocs()
		for b.Loop() {
			if _, d, err := auth.Authorize(ctx, op, h, addr); err == nil || d.Effect != policy.Deny {
				b.Fatal("allowed")
			}
		}
	})
}

func classify(tb testing.TB, method, path string) protocol.Operation {
	op, err := protocol.Classify(method, path)
	if err != nil {
		tb.Fatal(err)
	}
	if op.Action == protocol.WritePackument {
		op.Action = protocol.Publish
	}
	return op
}

func authorize(tb testing.TB, auth *npmauth.Auth, op protocol.Operation, h http.Header) {
	if _, d, err := auth.Authorize(context.Background(), op, h, addr); err != nil || d.Effect != policy.Allow {
		tb.Fatal(d, err)
	}
}

// Allocations gate where times cannot.
func TestAuthorizeAllocatesNothing(t *testing.T) {
	auth, headers := warm(t, 100, 100, -1)
	i := 0
	for _, c := range [][2]string{{"GET", "/@acme%2fwidget"}, {"GET", "/-/whoami"}, {"PUT", "/@acme%2fwidget"}} {
		n := testing.AllocsPerRun(1000, func() {
			authorize(t, auth, classify(t, c[0], c[1]), headers[i%len(headers)])
			i++
		})
		if !raceEnabled {
			require.Zero(t, n, "%s %s", c[0], c[1])
		}
	}
}

// A discarded answer.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header       { return d.header }
func (*discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)    { d.status = status }

// serveOne serves r into an empty answer.
func serveOne(h http.Handler, w *discarded, r *http.Request) {
	clear(w.header)
	w.status = http.StatusOK
	h.ServeHTTP(w, r)
}

// A wrappedCase is requests, and a handler without npmauth and with it.
type wrappedCase struct {
	name          string
	requests      []*http.Request
	bare, wrapped http.Handler
}

// wrappedCases are a read by the host, and whoami by npmauth, for which the bare handler
// writes the same answer. They are sent with n tokens.
func wrappedCases(tb testing.TB, n int) (cases []wrappedCase) {
	auth, headers := warm(tb, n, min(n, hot), -1)
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
	})
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		npmauth.WriteJSON(w, http.StatusOK, map[string]string{"username": "alice"})
	})
	for _, c := range []struct {
		name, path string
		bare       http.Handler
	}{{"guarded read", "/@acme%2fwidget", read}, {"whoami", "/-/whoami", whoami}} {
		var rs []*http.Request
		for _, h := range headers {
			r := httptest.NewRequestWithContext(context.Background(), "GET", c.path, nil)
			r.Header = h
			rs = append(rs, r)
		}
		cases = append(cases, wrappedCase{c.name, rs, c.bare, auth.Wrap(read)})
	}
	return cases
}

// What npmauth adds to a read by the host: what the request goes on with, the request that
// has it as its context, and the check of an escaped path. An answer of its own takes what is
// judged, and at most one allocation more.
func TestWrapAllocates(t *testing.T) {
	more := map[string]float64{"guarded read": 3, "whoami": 2}
	for _, c := range wrappedCases(t, 100) {
		allocations := func(h http.Handler) float64 {
			w, i := &discarded{header: http.Header{}}, 0
			return testing.AllocsPerRun(1000, func() {
				serveOne(h, w, c.requests[i%len(c.requests)])
				i++
				if w.status != http.StatusOK {
					t.Fatal(c.name, w.status)
				}
			})
		}
		bare, wrapped := allocations(c.bare), allocations(c.wrapped)
		if !raceEnabled {
			require.LessOrEqual(t, wrapped, bare+more[c.name], "%s: the bare handler allocates %v times", c.name, bare)
		}
	}
}

// BenchmarkWrap is a request through Wrap, and the same without npmauth in the same run.
func BenchmarkWrap(b *testing.B) {
	for _, c := range wrappedCases(b, 10*hot) {
		for _, h := range []struct {
			name string
			http.Handler
		}{{"bare", c.bare}, {"npmauth", c.wrapped}} {
			b.Run(c.name+"/"+h.name, func(b *testing.B) {
				w := &discarded{header: http.Header{}}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					serveOne(h, w, c.requests[i%len(c.requests)])
				}
			})
		}
	}
}

// counting counts the requests that reach a store.
type counting struct {
	store.Store
	gets, commits int
}

func (c *counting) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	c.gets++
	return c.Store.Get(ctx, keys...)
}

func (c *counting) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.commits++
	return c.Store.Commit(ctx, ops...)
}

// A cold credential is one Get whatever its kind, a cold user one more, and a
// warm request none; no request writes.
func TestStoreRequests(t *testing.T) {
	var c *counting
	w := newWorld(t, func(cfg *npmauth.Config) {
		c = &counting{Store: cfg.Store}
		cfg.Store, cfg.Users = c, oneUser{}
	})
	who := func(bearer string, gets int) {
		t.Helper()
		c.gets, c.commits = 0, 0
		require.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code)
		require.Equal(t, gets, c.gets)
		require.Zero(t, c.commits)
	}
	w.ids["alice"] = "alice"
	one, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	two, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	who(one, 2)
	who(one, 0)
	who(two, 1)
	w.clock.Add(time.Second)
	who(one, 2)
	c.gets = 0
	require.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: "npm_garbage"}).Code)
	require.Equal(t, 1, c.gets, "it could be a token that was revoked before npmauth")
	_ = session.Pending
}
