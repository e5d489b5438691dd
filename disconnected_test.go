package npmauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// A journal is a log that is written and read at once.
type journal struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(p)
}

// take returns what was logged since it was last called.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.log.String()
	j.log.Reset()
	return text
}

// watched returns what gives a world's log, its events and its metrics to j and to told.
func watched(j *journal, told *observations) func(*npmauth.Config) {
	return func(cfg *npmauth.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Audit, cfg.Metrics = audit.NewSlog(cfg.Logger), told
	}
}

// doAs sends c with a context of its own.
func (w *world) doAs(ctx context.Context, c call) answer {
	w.t.Helper()
	return w.send(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r.WithContext(ctx)) }), c)
}

// AU-44: that a client has disconnected is no outage, whatever the host's driver calls it then. That
// something failed is one, also what the host cancels by itself, a deadline, and a commit of which
// nobody knows.
func TestDisconnectIsNoOutage(t *testing.T) {
	broken := errors.New("the statement was interrupted")
	for _, tt := range []struct {
		name   string
		leaves bool
		fail   error
		fault  *storetest.Fault
		want   audit.Outcome
	}{
		{"disconnected, and the host says so", true, context.Canceled, nil, audit.Canceled},
		{"disconnected, and the host has words of its own", true, broken, nil, audit.Canceled},
		{"disconnected, and the store says so", true, nil, nil, audit.Canceled},
		{"the host is out", false, broken, nil, audit.Failed},
		{"the host cancels by itself", false, context.Canceled, nil, audit.Failed},
		{"the host's deadline is out", false, context.DeadlineExceeded, nil, audit.Failed},
		{"the store is out", false, nil, &storetest.Fault{On: storetest.Commits}, audit.Failed},
		{"the store cancels by itself", false, nil, &storetest.Fault{On: storetest.Commits, Err: context.Canceled}, audit.Failed},
		{"a commit is unknown", false, nil, &storetest.Fault{On: storetest.Commits, Err: fmt.Errorf("%w: %w", store.ErrUnknown, context.Canceled)}, audit.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j journal
			var told observations
			st := storetest.NewFaulty(store.NewMemory())
			w := newWorld(t, watched(&j, &told), func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
			s := w.alice(protocol.AuthAndWrites)
			tag := call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: s, otp: w.code("alice")}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			w.host.asked = func() {
				w.host.fail = tt.fail
				if tt.leaves {
					leave()
				}
			}
			if tt.fault != nil {
				st.Inject(*tt.fault)
			}
			told.take()
			j.take()
			a := w.doAs(ctx, tag)
			assert.Equal(t, http.StatusServiceUnavailable, a.Code, a.Body.String())
			assert.Empty(t, w.host.written())
			all := told.take()
			require.Len(t, all, 1)
			assert.Equal(t, tt.want, all[0].Outcome)
			log := j.take()
			if tt.want == audit.Failed {
				assert.Contains(t, log, "level=ERROR")
				return
			}
			assert.NotContains(t, log, "level=ERROR")
			assert.NotContains(t, log, "level=WARN")
			assert.Contains(t, log, `level=DEBUG msg="npmauth: the client has disconnected"`)
		})
	}
}

// AU-44: no endpoint takes a client that has disconnected for an outage.
func TestDisconnectEverywhere(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			var j journal
			var told observations
			w := u.world(t, watched(&j, &told))
			p := u.prepare(w)
			gone, leave := context.WithCancel(t.Context())
			leave()
			j.take()
			told.take()
			w.doAs(gone, p.call)
			assert.NotContains(t, j.take(), "level=ERROR")
			for _, o := range told.take() {
				assert.NotEqual(t, audit.Failed, o.Outcome)
			}
			if p.call.body == nil {
				return
			}
			// And none a body that ends before its end.
			w = u.world(t, watched(&j, &told))
			p = u.prepare(w)
			text := w.bytes(p.call.body)
			c := p.call
			c.body = io.MultiReader(bytes.NewReader(text[:len(text)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
			j.take()
			told.take()
			a := w.do(c)
			assert.GreaterOrEqual(t, a.Code, 400)
			if u.action != protocol.Publish && u.action != protocol.Stage { // which the host answers in its own words
				assert.Less(t, a.Code, 500, a.Body.String())
			}
			assert.False(t, p.done())
			log := j.take()
			assert.NotContains(t, log, "level=ERROR")
			assert.NotContains(t, log, "level=WARN")
			for _, o := range told.take() {
				assert.Contains(t, []audit.Outcome{audit.Canceled, audit.Rejected}, o.Outcome)
				assert.True(t, o.Outcome == audit.Canceled || u.refused != "", "%v", o.Outcome)
			}
		})
	}
}

// A deafHost says nothing of the package slow until its client has left.
type deafHost struct {
	*backend
	asked chan struct{}
}

func (h deafHost) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if pkg.Name != "slow" {
		return h.backend.Facts(ctx, pkg, user)
	}
	close(h.asked)
	<-ctx.Done()
	return policy.Facts{}, errors.New("the statement was interrupted")
}

// AU-44: over a network a client leaves with half of a body sent, or while the host is asked.
func TestDisconnectsOfConnections(t *testing.T) {
	var j journal
	var told observations
	slow := deafHost{newBackend(), make(chan struct{})}
	w := newWorld(t, watched(&j, &told), func(cfg *npmauth.Config) { cfg.Packages = slow })
	w.alice(protocol.AuthAndWrites)
	slow.packages = w.host.packages
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	begin := func(head, body string) net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, head+" HTTP/1.1\r\nHost: npm.acme.test\r\nContent-Type: application/json\r\nAuthorization: Bearer "+bearer+"\r\n"+body)
		require.NoError(t, err)
		return conn
	}
	observed := func() audit.Outcome {
		t.Helper()
		var all []npmauth.Observation
		require.Eventually(t, func() bool { all = told.take(); return len(all) > 0 }, time.Minute, time.Millisecond)
		return all[0].Outcome
	}
	text := string(w.bytes(publishOf("plain", "3.0.0").body))
	for name, body := range map[string]string{
		"before the publish is known": text[:10],
		"within the tarball":          text[:strings.Index(text, "_attachments")+40],
		"before the brace":            text[:len(text)-1],
	} {
		conn := begin("PUT /plain", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), body))
		require.NoError(t, conn.Close())
		assert.Equal(t, audit.Canceled, observed(), name)
	}
	conn := begin("GET /slow", "\r\n")
	<-slow.asked
	require.NoError(t, conn.Close())
	assert.Equal(t, audit.Canceled, observed(), "while the host is asked")
	srv.Close()
	assert.NotContains(t, j.take(), "level=ERROR")
	assert.Empty(t, w.host.written())
}
