package npmauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
)

// An upload is a request whose body comes in pieces.
type upload struct {
	to   *io.PipeWriter
	done chan struct{}
	rec  *httptest.ResponseRecorder
}

// begin sends the beginning of a request, and returns when that was read or the request answered.
func (w *world) begin(h http.Handler, c call, beginning string) *upload {
	src, to := io.Pipe()
	u := &upload{to, make(chan struct{}), httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(w.t.Context(), c.method, c.path, src)
	r.Header.Set("Content-Type", "application/json")
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	if c.addr != "" {
		r.RemoteAddr = c.addr
	}
	go func() {
		defer src.Close() // as a server does
		defer close(u.done)
		defer func() { _ = recover() }() // as it, too
		h.ServeHTTP(u.rec, r)
	}()
	_, _ = io.WriteString(to, beginning)
	return u
}

// open reports whether the request was not answered yet.
func (u *upload) open() bool {
	select {
	case <-u.done:
		return false
	default:
		return true
	}
}

// end has the client disconnect.
func (u *upload) end() {
	u.to.CloseWithError(io.ErrUnexpectedEOF)
	<-u.done
}

// isFull checks the answer to a request that there is no memory for.
func isFull(t *testing.T, a *httptest.ResponseRecorder) {
	t.Helper()
	assert.Equal(t, http.StatusServiceUnavailable, a.Code, a.Body)
	assert.NotEmpty(t, a.Header().Get("Retry-After"))
	var body struct{ Code string }
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &body), a.Body)
	assert.Equal(t, "busy-bodies", body.Code)
}

// AU-25: unfinished documents of one user hold half of the memory for bodies at most, and leave room
// for everybody else.
func TestUnfinishedDocuments(t *testing.T) {
	stars := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"_id":"plain","users":{`)
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, `"%06d":true,`, i)
		}
		return b.String()
	}
	for name, tt := range map[string]struct {
		n    int
		body string
	}{
		"100 of stars":     {100, stars(1<<20 - 1000)},
		"10 of 15 MiB":     {10, `{"_id":"plain","readme":"` + strings.Repeat("x", 15<<20)},
		"10 of versions":   {10, `{"_id":"plain","versions":{` + numbered(`"1.0.%06d":{},`, 80000)},
		"100 of a publish": {100, `{"_id":"plain","readme":"` + strings.Repeat("x", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			w, bypass := documented(t)
			held := w.auth.SetBodyMemory(48 << 20) // as it is
			w.person("carol")
			bob, carol := w.login("bob"), w.login("carol")
			before := alive()
			uploads := make([]*upload, tt.n)
			var all sync.WaitGroup
			for i := range uploads {
				all.Go(func() {
					uploads[i] = w.begin(w.handler, call{method: "PUT", path: "/plain", bearer: bypass, addr: fmt.Sprintf("192.0.%d.1:9", i)}, tt.body)
				})
			}
			all.Wait()
			bytes, senders := held()
			assert.LessOrEqual(t, bytes, 24<<20)
			assert.Greater(t, bytes, 8<<20)
			assert.Equal(t, 1, senders, "by user, and not by address")
			inUse := int(alive() - before)
			open := 0
			for _, u := range uploads {
				if u.open() {
					open++
				} else {
					isFull(t, u.rec)
				}
			}
			t.Logf("%d of %d are open, %d KiB are held, and %d KiB more are in use", open, tt.n, bytes>>10, inUse>>10)
			assert.Less(t, open, tt.n)
			assert.NotZero(t, open)
			assert.Less(t, inUse, 48<<20)

			// Others are not in the way of each other.
			for _, bearer := range []string{bob, carol} {
				a := w.do(call{method: "PUT", path: "/plain", bearer: bearer, body: stars(900<<10) + `"x":true}}`})
				assert.Equal(t, 200, a.Code, a.Body)
			}
			a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
			assert.Equal(t, 201, a.Code, a.Body)
			for _, u := range uploads {
				u.end()
			}
			bytes, senders = held()
			assert.Zero(t, bytes)
			assert.Zero(t, senders)
			assert.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: `{"_id":"plain","users":{}}`}).Code, "and alice goes on")
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// The memory for bodies is enough for the largest document, which somebody alone may send.
func TestLargestDocumentFits(t *testing.T) {
	w, bypass := documented(t)
	document := strings.Replace(fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), `"readme":"x"`, `"readme":"`+strings.Repeat("x", 16<<20-64<<10)+`"`, 1)
	document = strings.Replace(document, `"version":"1.0.0"`, `"version":"1.0.0","deprecated":"no"`, 1)
	a := w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: document})
	assert.Equal(t, 200, a.Code, a.Body)
}

// AU-25: strangers share by network.
func TestUnfinishedLogins(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	held := w.auth.SetBodyMemory(1 << 20)
	login := call{method: "PUT", path: "/-/user/org.couchdb.user:alice"}
	from := func(addr string) call {
		c := login
		c.addr = addr
		return c
	}
	var uploads []*upload
	full := 0
	for i := range 40 {
		u := w.begin(w.handler, from(fmt.Sprintf("192.0.2.%d:9", i)), `{"name":"`+strings.Repeat("x", 30<<10))
		if uploads = append(uploads, u); !u.open() {
			isFull(t, u.rec)
			full++
		}
	}
	assert.Greater(t, full, 20)
	bytes, senders := held()
	assert.Equal(t, 1, senders)
	assert.LessOrEqual(t, bytes, 1<<19)
	c := from("192.0.3.1:9")
	c.body = couch("alice", password)
	assert.Equal(t, 201, w.do(c).Code, "of another network")
	for _, u := range uploads {
		u.end()
	}
	bytes, _ = held()
	assert.Zero(t, bytes)
}

// A countedReads says how often it was read.
type countedReads struct {
	io.Reader
	reads int
}

func (c *countedReads) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// AU-25: what there is no memory for is refused before its body is read, whoever reads it.
func TestFullBeforeTheBody(t *testing.T) {
	outcomes := map[audit.Outcome]int{}
	w := newScene(t, func(cfg *npmauth.Config) {
		cfg.Metrics = observed(func(o npmauth.Observation) { outcomes[o.Outcome]++ })
	})
	s := w.session
	bypass := w.keys["t1 text"]
	w.auth.SetBodyMemory(0)
	for name, c := range map[string]call{
		"legacy login":  {method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)},
		"login":         {method: "POST", path: "/-/v1/login", body: `{}`},
		"token":         {method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: `{"password":"x"}`},
		"profile":       {method: "POST", path: "/-/npm/v1/user", bearer: s, body: `{"email":"a@acme.test"}`},
		"access":        {method: "POST", path: "/-/package/plain/access", bearer: s, body: `{"access":"public"}`},
		"dist-tag":      {method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: bypass, body: `"1.0.0"`},
		"publish":       {method: "PUT", path: "/plain", bearer: bypass, body: body(t, "PUBLISH plain")},
		"document":      {method: "PUT", path: "/plain", bearer: bypass, body: `{"_id":"plain","users":{}}`},
		"the page":      {method: "POST", path: "/-/auth/signup", body: "name=x", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://npm.acme.test", "Sec-Fetch-Site": "same-origin"}},
		"organizations": {method: "PUT", path: "/-/org/acme/user", bearer: s, body: `{"user":"bob"}`},
	} {
		t.Run(name, func(t *testing.T) {
			src := &countedReads{Reader: strings.NewReader(string(w.bytes(c.body)))}
			r := httptest.NewRequest(c.method, c.path, src)
			r.Header.Set("Content-Type", "application/json")
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			if c.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+c.bearer)
			}
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			isFull(t, rec)
			assert.Zero(t, src.reads)
		})
	}
	// It is no outage, but takes a flood. npmauth's own endpoints read a body before they decide.
	assert.Equal(t, map[audit.Outcome]int{audit.Denied: 5}, outcomes)

	// What takes no memory goes on.
	assert.Equal(t, 200, whoami(w.world, s))
}

// AU-25: memory is given back whatever becomes of the request, and what is claimed takes none.
func TestMemoryIsGivenBack(t *testing.T) {
	var fail func(http.ResponseWriter)
	w := newSlowWorld(t, time.Minute, uploads)
	held := w.auth.SetBodyMemory(48 << 20)
	during := 0
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		during, _ = held()
		if fail != nil {
			fail(rw)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	document := `{"_id":"plain","users":{` + numbered(`"%06d":true,`, 60000) + `"x":true}}`
	for name, tt := range map[string]struct {
		fail func(http.ResponseWriter)
		cut  int // bytes that are not sent
		code int
	}{
		"allowed":     {code: 200},
		"malformed":   {cut: 1, code: 400},
		"client gone": {cut: len(document) / 2, code: 400},
		"panic":       {fail: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, code: 200},
		"host's 500":  {fail: func(rw http.ResponseWriter) { rw.WriteHeader(500) }, code: 500},
	} {
		t.Run(name, func(t *testing.T) {
			during, fail = 0, tt.fail
			u := w.begin(h, call{method: "PUT", path: "/plain", bearer: w.bypass}, document[:len(document)-tt.cut])
			bytes, _ := held()
			if tt.cut > 1 {
				assert.Greater(t, bytes, len(document)/2-4<<10)
			}
			if tt.cut == 1 {
				u.to.Close()
				<-u.done
			} else {
				u.to.CloseWithError(map[bool]error{true: io.ErrUnexpectedEOF}[tt.cut > 0])
				<-u.done
			}
			assert.Equal(t, tt.code, u.rec.Code, u.rec.Body)
			if tt.cut == 0 {
				assert.Greater(t, during, len(document), "a host may read it from memory")
			}
			bytes, senders := held()
			assert.Zero(t, bytes)
			assert.Zero(t, senders)
		})
	}

	t.Run("claimed", func(t *testing.T) {
		c := dial(t, h)
		c.begin("PUT", "/plain", w.bypass, 16<<20)
		c.send(`{"_id":"plain",`)
		require.Eventually(t, func() bool { bytes, _ := held(); return bytes > 0 }, 10*time.Second, time.Millisecond)
		bytes, _ := held()
		assert.LessOrEqual(t, bytes, 8<<10)
	})

	readme := `"readme":"` + strings.Repeat("x", 15<<20) + `",`
	for name, tt := range map[string]struct {
		body string
		code int
	}{
		"refused, and still coming":         {`{"_id":"plain",` + readme + readme, 413},
		"refused by the host, still coming": {`{` + readme + w.publish[1:len(w.publish)-1], 409},
	} {
		t.Run(name, func(t *testing.T) {
			before := alive()
			c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(409) })))
			c.begin("PUT", "/plain", w.bypass, len(tt.body)+1<<20)
			c.send(tt.body)
			assert.Eventually(t, func() bool { return alive() < before+4<<20 }, 10*time.Second, time.Millisecond, "what is drained is not held")
			bytes, _ := held()
			assert.Zero(t, bytes)
			c.send(strings.Repeat(" ", 1<<20))
			a, text := c.answer()
			assert.Equal(t, tt.code, a.StatusCode, text)
		})
	}
}
