package npmauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A gateway may answer while something else still reads the body, as
// httputil.ReverseProxy does when the registry behind it answers early. Run it with
// the race detector.
func TestPublishAnsweredWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		read := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}()
		rw.WriteHeader(http.StatusConflict)
		assert.Error(t, <-read)
	}))
	a := w.send(h, call{method: "PUT", path: "/plain", bearer: bypass, body: `{"name":"` + strings.Repeat("x", 1<<16) + `"}`})
	assert.Contains(t, []int{http.StatusConflict, http.StatusBadRequest}, a.Code, "whoever was first")
}

// tarballOf returns the publish of plain 1.0.0 with another tarball in it.
func tarballOf(pkg, version string) []byte {
	plain := protocol.PackageName{Name: "plain"}
	text := func(pkg protocol.PackageName, version string) []byte {
		return []byte(base64.StdEncoding.EncodeToString(hosttest.Tarball(pkg, version)))
	}
	return bytes.Replace(hosttest.PublishBody(plain, "1.0.0"), text(plain, "1.0.0"), text(protocol.PackageName{Name: pkg}, version), 1)
}

// What package.json in the tarball says is held against the publish where the host asks.
//
// N-01, with TestPublishBodyNames.
func TestCheckTarball(t *testing.T) {
	for _, check := range []bool{false, true} {
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.CheckTarball = check })
		alice := w.person("alice")
		w.host.add("plain", false, alice)
		bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
		for _, tt := range []struct{ pkg, version, says string }{
			{"other", "1.0.0", "The registry refused the package: the tarball's package.json is about another package than the address."},
			{"plain", "2.0.0", "The registry refused the package: the tarball's package.json is about another version."},
			{"plain", "1.0.0", ""},
		} {
			body := tarballOf(tt.pkg, tt.version)
			for _, size := range []int{1, 100, 1 << 20} {
				var got []byte
				var end error
				a := w.send(w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					buf := make([]byte, size)
					for end == nil {
						var n int
						n, end = r.Body.Read(buf)
						got = append(got, buf[:n]...)
					}
				})), call{method: "PUT", path: "/plain", bearer: bypass, body: body})
				if !check || tt.says == "" {
					assert.Equal(t, 200, a.Code, a.Body.String())
					assert.Equal(t, io.EOF, end)
					assert.Equal(t, string(body), string(got))
					continue
				}
				assert.Equal(t, 400, a.Code)
				assert.Equal(t, tt.says, a.text("error"))
				assert.NotErrorIs(t, end, io.EOF)
				assert.Less(t, len(got), len(body))
			}
		}
	}
}

// The bytes of a tarball are those that the publish states, where the host asks.
func TestCheckTarballIntegrity(t *testing.T) {
	for _, check := range []bool{false, true} {
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.CheckTarball = check })
		alice := w.person("alice")
		w.host.add("plain", false, alice)
		bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
		right := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0")
		for field, value := range map[string]string{
			"integrity": "sha512-" + base64.StdEncoding.EncodeToString(make([]byte, 64)), "shasum": strings.Repeat("0", 40),
		} {
			body := regexp.MustCompile(`"`+field+`":"[^"]*"`).ReplaceAll(right, []byte(`"`+field+`":"`+value+`"`))
			require.NotEqual(t, right, body)
			a := w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: body})
			if !check {
				assert.Equal(t, 200, a.Code, a.Body.String())
				continue
			}
			assert.Equal(t, 400, a.Code)
			assert.Equal(t, "bad-publish", a.text("code"))
			assert.Equal(t, "The registry refused the package: the tarball is not the one that the manifest's integrity states.", a.text("error"))
		}
	}
}

// The check of a tarball ends with its request: a publish that nobody waits for does not wait for its
// turn, and is not published.
func TestCheckTarballDisconnected(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.CheckTarball = true })
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	body := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0")
	half := bytes.Index(body, []byte(`"data"`)) + 60
	ctx, disconnect := context.WithCancel(t.Context())
	defer disconnect()
	h := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, half))
		assert.NoError(t, err)
		disconnect()
		_, err = io.Copy(io.Discard, r.Body)
		assert.ErrorContains(t, err, "aborted")
	}))
	r := httptest.NewRequestWithContext(ctx, http.MethodPut, "/plain", io.MultiReader(bytes.NewReader(body[:half]), bytes.NewReader(body[half:])))
	r.Header.Set("Authorization", "Bearer "+bypass)
	h.ServeHTTP(httptest.NewRecorder(), r)
	assert.Error(t, ctx.Err())
}

// A host may stop reading anywhere; nothing of the check is left then, and the answer
// is the host's.
func TestCheckTarballAbandoned(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.CheckTarball = true })
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	body := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0")
	half := bytes.Index(body, []byte(`"data"`)) + 60
	cut := func() io.Reader { return io.MultiReader(bytes.NewReader(body[:half]), bytes.NewReader(body[half:])) }
	unpacking := func() bool {
		synctest.Wait()
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "internal/tarball")
	}
	for name, leave := range map[string]func(rw http.ResponseWriter, r *http.Request){
		"answered": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusConflict) },
		"closed": func(rw http.ResponseWriter, r *http.Request) {
			assert.NoError(t, r.Body.Close())
			assert.False(t, unpacking())
			_, err := r.Body.Read(make([]byte, 100))
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			rw.WriteHeader(http.StatusConflict)
		},
		"panicked": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w.t.Context().Done() // makes the channel, which would be the first bubble's
			synctest.Test(t, func(t *testing.T) {
				var kept io.Reader
				h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					_, err := io.ReadFull(r.Body, make([]byte, half))
					assert.NoError(t, err)
					assert.True(t, unpacking())
					kept = r.Body
					leave(rw, r)
				}))
				send := func() answer {
					return w.send(h, call{method: "PUT", path: "/plain", bearer: bypass, body: cut()})
				}
				if name == "panicked" {
					require.Panics(t, func() { send() })
				} else {
					assert.Equal(t, http.StatusConflict, send().Code)
				}
				assert.False(t, unpacking(), "a goroutine is left")
				_, err := io.Copy(io.Discard, kept)
				assert.Error(t, err, "nobody reads on")
				assert.False(t, unpacking())
			})
		})
	}
	t.Run("refused after its beginning", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w.person("bob")
			star, _ := w.token("bob", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
			began := false
			a := w.do(call{method: "PUT", path: "/plain", bearer: star, body: io.MultiReader(bytes.NewReader(body[:half]), readerFunc(func([]byte) (int, error) {
				began = true
				return 0, io.ErrUnexpectedEOF
			}))})
			assert.Equal(t, 403, a.Code)
			assert.False(t, began, "no more is read than it takes to know that it is a publish")
			assert.False(t, unpacking(), "a goroutine is left")
		})
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What a host said about its own answer is not true of the refusal in its place: a client
// would unpack it, keep it, or be somebody else.
func TestRefusedPublishDropsTheHostsHeaders(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	body := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0")
	for name, answer := range map[string]func(http.ResponseWriter){
		"with a status":    func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusCreated) },
		"without a status": func(rw http.ResponseWriter) { io.WriteString(rw, "the host's own words") },
		"without a word":   func(http.ResponseWriter) {},
	} {
		read := false
		inner := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			assert.Error(t, err)
			read = true
			h := rw.Header()
			for _, field := range []string{"Content-Encoding", "Etag", "Set-Cookie", "Location", "Last-Modified", "Content-Length", "Transfer-Encoding"} {
				h.Set(field, "7")
			}
			h.Set("Vary", "Accept-Encoding")
			answer(rw)
		}))
		a := w.send(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Vary", "Origin")
			inner.ServeHTTP(rw, r)
		}), call{method: "PUT", path: "/plain", bearer: bypass, body: body[:len(body)-1]})
		require.True(t, read, "the host read the body up to where it is wrong")
		assert.Equal(t, 400, a.Code, name)
		assert.NotContains(t, a.Body.String(), "own words", name)
		assert.Equal(t, http.Header{
			"Cache-Control": {"no-store"}, "Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"},
			"Content-Length": {strconv.Itoa(a.Body.Len())}, "Vary": {"Origin", "Authorization"},
		}, a.Result().Header, name)
	}
}

// A queue is a table of packages with one connection, which it waits for.
type queue struct {
	*backend
	connection chan struct{}
}

func (q queue) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	select {
	case q.connection <- struct{}{}:
		defer func() { <-q.connection }()
		return q.backend.Facts(ctx, pkg, user)
	case <-ctx.Done():
		return policy.Facts{}, ctx.Err()
	}
}

// A host that holds, while it reads a body, what its own answer waits for is refused after
// five seconds, and not left to hang.
func TestPublishOfAHostThatWaitsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{newBackend(), make(chan struct{}, 1)}
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Packages, cfg.Now = aliceAlone{}, q, time.Now })
		w.ids["alice"] = "alice"
		q.add("plain", false, "alice")
		tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		publish := func(begins func()) (answer, error) {
			var read error
			w.handler = w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				begins()
				_, read = io.ReadAll(r.Body)
			}))
			return w.publish("plain", "1.0.0", tok, ""), read
		}
		a, err := publish(func() {})
		require.NoError(t, err)
		require.Equal(t, 200, a.Code, a.Body.String())

		began := time.Now()
		a, err = publish(func() { q.connection <- struct{}{} })
		assert.Error(t, err)
		assert.Equal(t, 503, a.Code, a.Body.String())
		assert.Equal(t, 5*time.Second, time.Since(began))
		<-q.connection
	})
}

// A slowHost takes its time to say what it knows.
type slowHost struct {
	*backend
	takes time.Duration
}

func (h slowHost) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	select {
	case <-time.After(h.takes):
		return h.backend.Facts(ctx, pkg, user)
	case <-ctx.Done():
		return policy.Facts{}, ctx.Err()
	}
}

// The time that a host has to answer while it reads is its own: publishes that share a code
// take turns, and to wait for the others is no part of it.
func TestPublishesWithOneCodeTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := slowHost{newBackend(), time.Second}
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Packages, cfg.Now = aliceAlone{}, h, time.Now })
		w.host, w.clock.t, w.ids["alice"] = h.backend, time.Now(), "alice"
		w.handler = w.auth.Wrap(w.host)
		h.add("plain", false, "alice")
		w.enrol("alice", protocol.AuthAndWrites)
		time.Sleep(30 * time.Second)
		s := w.login("alice") // which moves the clock that codes are made by
		time.Sleep(30 * time.Second)
		code := w.code("alice")
		began := time.Now()
		var publishes sync.WaitGroup
		for n := range 8 { // npm may send one nine times
			publishes.Go(func() {
				a := w.publish("plain", fmt.Sprint("1.0.", n), s, code)
				assert.Equal(t, 200, a.Code, a.Body.String())
			})
		}
		publishes.Wait()
		assert.Greater(t, time.Since(began), 5*time.Second)
	})
}
