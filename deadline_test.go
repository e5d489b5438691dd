package npmauth_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A slowWorld is one whose handlers stand on a port, with a package and a token for it.
type slowWorld struct {
	*world
	bypass  string
	publish string
}

// uploads lets POST /upload through to the host, with a body that only the host reads.
func uploads(cfg *npmauth.Config) {
	cfg.Public = func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/upload" }
}

func newSlowWorld(t *testing.T, timeout time.Duration, change ...func(*npmauth.Config)) slowWorld {
	w := newWorld(t, change...)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	w.auth.SetBodyTimeout(timeout)
	return slowWorld{w, bypass, string(body(t, "PUBLISH plain"))}
}

// A client sends its requests in pieces.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial connects to h behind a server.
func dial(t *testing.T, h http.Handler, configure ...func(*http.Server)) *client {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	for _, f := range configure {
		f(srv.Config)
	}
	srv.Start()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { conn.Close(); srv.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
}

// begin sends the header of a request with a body of that size.
func (c *client) begin(method, path, bearer string, size int, more ...string) {
	c.t.Helper()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: npm.acme.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, size)
	if bearer != "" {
		head += "Authorization: Bearer " + bearer + "\r\n"
	}
	c.send(head + strings.Join(more, "") + "\r\n")
}

func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	a, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	data, err := io.ReadAll(a.Body)
	require.NoError(c.t, err)
	return a, string(data)
}

func (c *client) closed() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	assert.Equal(c.t, io.EOF, err, "the connection ends")
}

// isBodyTimeout checks the answer to a body that stalled.
func isBodyTimeout(t *testing.T, a *http.Response, text string) {
	t.Helper()
	assert.Equal(t, http.StatusRequestTimeout, a.StatusCode, text)
	assert.Equal(t, "application/json", a.Header.Get("Content-Type"))
	var body struct{ Error, Message, Code string }
	require.NoError(t, json.Unmarshal([]byte(text), &body), text)
	assert.Equal(t, "body-timeout", body.Code)
	assert.Equal(t, "The upload stalled or was too slow. Run the command again.", body.Error)
	assert.Equal(t, body.Error, body.Message)
	assert.True(t, a.Close)
}

// Whoever sends half a body is answered, whoever reads it, and the connection ends.
func TestStalledBody(t *testing.T) {
	w := newSlowWorld(t, 200*time.Millisecond, uploads)
	s := w.login("alice")
	failing := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		rw.Header().Set("X-Host", "words")
		http.Error(rw, "the host's own words", http.StatusInternalServerError)
	})
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	closing := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Body.Close() })
	post := `{"password":"`
	for name, tt := range map[string]struct {
		h                          http.Handler
		method, path, bearer, half string
	}{
		"login":                 {w.handler, "POST", "/-/v1/login", "", `{"hostname":`},
		"legacy login":          {w.handler, "PUT", "/-/user/org.couchdb.user:alice", "", post},
		"token":                 {w.auth.Handler(), "POST", "/-/npm/v1/tokens", s, post},
		"publish":               {w.handler, "PUT", "/plain", w.bypass, w.publish[:len(w.publish)-1]},
		"publish, at the start": {w.handler, "PUT", "/plain", w.bypass, ""},
		"publish, behind":       {w.auth.Guard(w.host), "PUT", "/plain", w.bypass, w.publish},
		"publish, twice":        {w.auth.Wrap(w.handler), "PUT", "/plain", w.bypass, w.publish[:100]},
		"document":              {w.handler, "PUT", "/plain", w.bypass, `{"_id":"plain",`},
		"dist-tag":              {w.handler, "PUT", "/-/package/plain/dist-tags/next", w.bypass, `"1.0`},
		"the host's":            {w.auth.Wrap(failing), "POST", "/upload", "", `x`},
		"the host's, silent":    {w.auth.Guard(silent), "POST", "/upload", "", `x`},
		"the host's, closing":   {w.auth.Guard(closing), "POST", "/upload", "", `x`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, tt.h)
			start := time.Now()
			c.begin(tt.method, tt.path, tt.bearer, len(tt.half)+10)
			c.send(tt.half)
			a, text := c.answer()
			assert.GreaterOrEqual(t, time.Since(start), 200*time.Millisecond)
			isBodyTimeout(t, a, text)
			assert.Empty(t, a.Header.Get("X-Host"))
			c.closed()
		})
	}
	t.Cleanup(func() { assert.Empty(t, w.host.written()) })
}

// What nobody reads is read by net/http before the answer goes out, and does not stall
// there. A client that waits for 100 Continue is answered at once.
func TestStalledBodyOfARefusal(t *testing.T) {
	t.Parallel() // it waits
	w := newSlowWorld(t, 300*time.Millisecond, uploads)
	for name, more := range map[string]string{"": "", "chunked": "Transfer-Encoding: chunked\r\n"} {
		t.Run("refused "+name, func(t *testing.T) {
			c := dial(t, w.handler)
			head := "PUT /plain HTTP/1.1\r\nHost: npm.acme.test\r\n" + more
			if more == "" {
				head += "Content-Length: 10\r\n"
			}
			c.send(head + "\r\n5\r\n{")
			a, text := c.answer()
			assert.Equal(t, http.StatusUnauthorized, a.StatusCode, text)
			assert.True(t, a.Close)
			c.closed()
		})
	}
	t.Run("answered in between", func(t *testing.T) {
		c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusConflict)
			assert.NoError(t, http.NewResponseController(rw).Flush())
		})))
		c.begin("POST", "/upload", "", 10)
		a, _ := c.answer()
		assert.Equal(t, http.StatusConflict, a.StatusCode)
		c.closed()
	})
	t.Run("100-continue", func(t *testing.T) {
		w.auth.SetBodyTimeout(time.Minute)
		c := dial(t, w.handler)
		c.begin("PUT", "/plain", "", len(w.publish), "Expect: 100-continue\r\n")
		a, _ := c.answer()
		assert.Equal(t, http.StatusUnauthorized, a.StatusCode)
	})
}

// A slow line is no stalled one, and a deadline that passes once the body is there ends
// neither the request nor the connection.
func TestTricklingBody(t *testing.T) {
	t.Parallel() // it waits
	const timeout = 500 * time.Millisecond
	w := newSlowWorld(t, timeout)
	w.auth.SetBodyRate(5, timeout) // four times as much comes
	var late atomic.Bool
	c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		if late.Load() {
			time.Sleep(timeout + 200*time.Millisecond)
		}
		assert.NoError(t, r.Context().Err())
		fmt.Fprint(rw, "{}")
	})))
	for range 2 {
		c.begin("PUT", "/plain", w.bypass, len(w.publish))
		rest := len(w.publish) - 20
		c.send(w.publish[:rest])
		start := time.Now()
		for _, b := range w.publish[rest:] {
			time.Sleep(timeout / 10)
			c.send(string(b))
		}
		assert.Greater(t, time.Since(start), timeout)
		a, text := c.answer()
		assert.Equal(t, 200, a.StatusCode, text)
		assert.False(t, a.Close)
		late.Store(true)
	}
	for _, chunked := range []bool{false, true} {
		if chunked {
			c.send("PUT /plain HTTP/1.1\r\nHost: npm.acme.test\r\nAuthorization: Bearer " + w.bypass + "\r\nTransfer-Encoding: chunked\r\n\r\n")
			c.send(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(w.publish), w.publish))
		} else {
			c.begin("PUT", "/plain", w.bypass, len(w.publish))
			c.send(w.publish)
		}
		a, text := c.answer()
		assert.Equal(t, 200, a.StatusCode, text)
		time.Sleep(timeout + 200*time.Millisecond) // and then the connection is idle
	}
	c.send("GET /plain HTTP/1.1\r\nHost: npm.acme.test\r\n\r\n")
	a, _ := c.answer()
	assert.Equal(t, 200, a.StatusCode)
}

// Something in front may have read the body already. net/http then reads ahead, and would
// take a deadline that passes for a client that left.
func TestBodyReadInFront(t *testing.T) {
	const timeout = 200 * time.Millisecond
	w := newSlowWorld(t, timeout)
	h := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		time.Sleep(timeout + 200*time.Millisecond)
		assert.NoError(t, r.Context().Err())
	}))
	c := dial(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(bytes.NewReader(data))
		h.ServeHTTP(rw, r)
	}))
	for range 2 {
		c.begin("PUT", "/plain", w.bypass, len(w.publish))
		c.send(w.publish)
		a, text := c.answer()
		assert.Equal(t, 200, a.StatusCode, text)
	}
}

// A client may send on after a handler that took long, and did not read.
func TestBodyAfterALongHandler(t *testing.T) {
	t.Parallel() // it waits
	const timeout = 400 * time.Millisecond
	w := newSlowWorld(t, timeout, uploads)
	c := dial(t, w.auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(timeout * 3 / 2) })))
	for range 2 {
		c.begin("POST", "/upload", "", 7)
		time.Sleep(timeout * 2)
		c.send(`"1.0.0"`)
		a, text := c.answer()
		assert.Equal(t, 200, a.StatusCode, text)
		assert.False(t, a.Close)
	}
}

// A host that sets a read deadline has the last word: shorter, longer, or none.
func TestReadDeadlineOfTheHost(t *testing.T) {
	t.Parallel() // it waits
	for name, tt := range map[string]struct{ method, path, body string }{
		"publish": {"PUT", "/plain", ""},
		"upload":  {"POST", "/upload", "a tarball"},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(t *testing.T, timeout time.Duration, deadline func() time.Time, want error) (*client, string) {
				w := newSlowWorld(t, timeout, uploads)
				c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					assert.NoError(t, http.NewResponseController(rw).SetReadDeadline(deadline()))
					_, err := io.Copy(io.Discard, r.Body)
					if assert.ErrorIs(t, err, want); err != nil {
						http.Error(rw, "the host's own words", http.StatusTeapot)
					}
				})))
				if tt.body == "" {
					tt.body = w.publish
				}
				c.begin(tt.method, tt.path, w.bypass, len(tt.body))
				c.send(tt.body[:len(tt.body)-1])
				return c, tt.body[len(tt.body)-1:]
			}
			t.Run("shorter", func(t *testing.T) {
				c, _ := set(t, time.Minute, func() time.Time { return time.Now().Add(100 * time.Millisecond) }, os.ErrDeadlineExceeded)
				a, text := c.answer()
				assert.Equal(t, http.StatusTeapot, a.StatusCode)
				assert.Equal(t, "the host's own words\n", text)
			})
			for name, deadline := range map[string]func() time.Time{
				"longer": func() time.Time { return time.Now().Add(time.Minute) },
				"none":   func() time.Time { return time.Time{} },
			} {
				t.Run(name, func(t *testing.T) {
					c, last := set(t, 200*time.Millisecond, deadline, nil)
					time.Sleep(500 * time.Millisecond)
					c.send(last)
					a, text := c.answer()
					assert.Equal(t, 200, a.StatusCode, text)
				})
			}
		})
	}
}

// What the server has for the request as a whole is not lifted by ours.
func TestReadTimeoutOfTheServer(t *testing.T) {
	w := newSlowWorld(t, time.Minute)
	c := dial(t, w.handler, func(srv *http.Server) { srv.ReadTimeout = 500 * time.Millisecond })
	c.begin("PUT", "/plain", w.bypass, len(w.publish))
	go func() {
		for _, b := range w.publish {
			if _, err := io.WriteString(c.conn, string(b)); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	a, text := c.answer()
	isBodyTimeout(t, a, text)
}

// Who reads on after the request was answered does not set a deadline for the next one.
func TestBodyAfterItsRequest(t *testing.T) {
	w := newSlowWorld(t, 100*time.Millisecond, uploads)
	var kept io.ReadCloser
	c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			kept = r.Body
			return
		}
		_, err := kept.Read(make([]byte, 1))
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		assert.NoError(t, kept.Close())
		time.Sleep(300 * time.Millisecond)
		assert.NoError(t, r.Context().Err())
	})))
	c.begin("POST", "/upload", "", 7)
	c.send(`"1.0.0"`)
	a, _ := c.answer()
	require.Equal(t, 200, a.StatusCode)
	c.send("GET /plain HTTP/1.1\r\nHost: npm.acme.test\r\n\r\n")
	a, _ = c.answer()
	assert.Equal(t, 200, a.StatusCode)
}

// A connection that a host takes over is its own.
func TestHijackedBody(t *testing.T) {
	w := newSlowWorld(t, 100*time.Millisecond, func(cfg *npmauth.Config) { cfg.Public = func(*http.Request) bool { return true } })
	c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn, in, err := http.NewResponseController(rw).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		go func() {
			defer conn.Close()
			line, err := in.ReadString('\n')
			assert.NoError(t, err)
			_, err = io.WriteString(conn, line)
			assert.NoError(t, err)
		}()
	})))
	c.begin("POST", "/upgrade", "", 10)
	time.Sleep(300 * time.Millisecond)
	c.send("hello\n")
	line, err := c.in.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hello\n", line)
}

// HTTP/2 has deadlines for its streams, too.
func TestStalledBodyOverHTTP2(t *testing.T) {
	w := newSlowWorld(t, 300*time.Millisecond)
	srv := httptest.NewUnstartedServer(w.handler)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	send := func(body io.Reader) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", srv.URL+"/plain", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+w.bypass)
		a, err := srv.Client().Do(r)
		require.NoError(t, err)
		defer a.Body.Close()
		require.Equal(t, 2, a.ProtoMajor)
		text, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return a, string(text)
	}
	src, to := io.Pipe()
	defer to.Close()
	go io.WriteString(to, w.publish[:len(w.publish)-1])
	a, text := send(src)
	a.Close = true // which HTTP/2 says in another way
	isBodyTimeout(t, a, text)
	a, text = send(strings.NewReader(w.publish))
	assert.Equal(t, 200, a.StatusCode, text)
}

// A host may take longer between two reads than the client may between two bytes: it is not
// the upload that stalls. The body is larger than what is on its way while nobody reads.
func TestPauseOfTheHost(t *testing.T) {
	const timeout = 500 * time.Millisecond
	size := 4 << 20
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2: ", http2), func(t *testing.T) {
			t.Parallel()
			w := newSlowWorld(t, timeout, uploads)
			srv := httptest.NewUnstartedServer(w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, err := io.CopyN(io.Discard, r.Body, 1<<10)
				assert.NoError(t, err)
				time.Sleep(3 * timeout)
				n, err := io.Copy(io.Discard, r.Body)
				assert.NoError(t, err)
				assert.EqualValues(t, size-1<<10, n)
			})))
			srv.EnableHTTP2 = http2
			srv.StartTLS()
			defer srv.Close()
			r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/upload", bytes.NewReader(make([]byte, size)))
			require.NoError(t, err)
			a, err := srv.Client().Do(r)
			require.NoError(t, err)
			defer a.Body.Close()
			assert.Equal(t, http2, a.ProtoMajor == 2)
			assert.Equal(t, 200, a.StatusCode)
		})
	}
}
