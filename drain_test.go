package npmauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AU-25: who is refused while the body is on its way sees the answer, and can go on: what is
// left is read. A client that finds the connection closed while it sends sees neither.
func TestRefusalReachesWhoIsStillSending(t *testing.T) {
	const size = 32 << 20 // more than any buffer in between
	long := strings.Repeat("x", size)
	w := newSlowWorld(t, time.Minute, uploads)
	w.person("bob")
	bob := w.login("bob")
	w.host.add("secret", true, w.ids["bob"])
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer backend.Close()
	at, err := url.Parse(backend.URL)
	require.NoError(t, err)
	gateway := httputil.NewSingleHostReverseProxy(at)
	gateway.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
	conflict := func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "{}", http.StatusConflict) }
	closing := func(rw http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.Body.Close())
		_, err := r.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		conflict(rw, r)
	}
	publish := w.publish[:len(w.publish)-1] + strings.Repeat(" ", size) + "}"
	other := strings.Replace(publish, `"version":"2.0.0"`, `"version":"2.0.1"`, 1)
	require.NotEqual(t, publish, other)
	for name, tt := range map[string]struct {
		h                    http.Handler
		method, path, bearer string
		body                 string
		code                 int
		more                 string
	}{
		"anonymous publish":      {method: "PUT", path: "/plain", body: publish, code: 401},
		"another's package":      {method: "PUT", path: "/secret", bearer: w.bypass, body: publish, code: 403},
		"a larger login":         {method: "PUT", path: "/-/user/org.couchdb.user:alice", body: long, code: 413},
		"a larger token":         {method: "POST", path: "/-/npm/v1/tokens", bearer: bob, body: long, code: 413},
		"access, by no login":    {method: "POST", path: "/-/package/plain/access", bearer: w.bypass, body: long, code: 403},
		"a larger tag":           {method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: w.bypass, body: `"` + long + `"`, code: 413},
		"a larger document":      {method: "PUT", path: "/plain", bearer: w.bypass, body: `{"readme":"` + long + `"}`, code: 413},
		"compressed":             {method: "PUT", path: "/plain", bearer: w.bypass, body: publish, code: 415, more: "Content-Encoding: gzip\r\n"},
		"malformed":              {method: "PUT", path: "/plain", bearer: w.bypass, body: "[" + long, code: 400},
		"another version":        {method: "PUT", path: "/plain", bearer: w.bypass, body: other, code: 400},
		"through a gateway":      {h: w.auth.Wrap(gateway), method: "PUT", path: "/plain", bearer: w.bypass, body: other, code: 400},
		"by the host":            {h: w.auth.Wrap(http.HandlerFunc(conflict)), method: "POST", path: "/upload", body: long, code: 409},
		"by the host, closing":   {h: w.auth.Wrap(http.HandlerFunc(closing)), method: "POST", path: "/upload", body: long, code: 409},
		"by the host, a publish": {h: w.auth.Wrap(http.HandlerFunc(conflict)), method: "PUT", path: "/plain", bearer: w.bypass, body: publish, code: 409},
		"nested":                 {h: w.auth.Wrap(w.auth.Wrap(http.HandlerFunc(closing))), method: "POST", path: "/upload", body: long, code: 409},
	} {
		t.Run(name, func(t *testing.T) {
			h := tt.h
			if h == nil {
				h = w.handler
			}
			c := dial(t, h)
			for range 2 { // on one connection
				c.begin(tt.method, tt.path, tt.bearer, len(tt.body), tt.more)
				c.send(tt.body)
				a, text := c.answer()
				assert.Equal(t, tt.code, a.StatusCode, text)
				assert.False(t, a.Close)
			}
		})
	}
}

// So does who was told to go on.
func TestRefusalAfterContinue(t *testing.T) {
	w := newSlowWorld(t, time.Minute)
	c := dial(t, w.handler)
	body := `{"readme":"` + strings.Repeat("x", 32<<20) + `"}`
	c.begin("PUT", "/plain", w.bypass, len(body), "Expect: 100-continue\r\n")
	a, _ := c.answer()
	require.Equal(t, http.StatusContinue, a.StatusCode)
	c.send(body)
	a, text := c.answer()
	assert.Equal(t, http.StatusRequestEntityTooLarge, a.StatusCode, text)
	assert.False(t, a.Close)
}

// What is read for nobody is bounded.
func TestDrainIsBounded(t *testing.T) {
	const bound = 256 << 20
	w := newSlowWorld(t, time.Minute)
	c := dial(t, w.handler)
	c.send("PUT /plain HTTP/1.1\r\nHost: npm.acme.test\r\nTransfer-Encoding: chunked\r\n\r\n")
	piece := []byte(fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)))
	sent, err := 0, error(nil)
	for err == nil && sent < 2*bound {
		_, err = c.conn.Write(piece)
		sent += 1 << 20
	}
	assert.Error(t, err)
	assert.GreaterOrEqual(t, sent, bound)
	assert.Less(t, sent, bound+bound/4)
}

// A host that answers while it reads ends its answer when it wants.
func TestFullDuplexIsNotDrained(t *testing.T) {
	w := newSlowWorld(t, time.Minute, uploads)
	c := dial(t, w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(rw).EnableFullDuplex())
		_, err := io.ReadFull(r.Body, make([]byte, 4))
		assert.NoError(t, err)
		_, err = io.WriteString(rw, "pong")
		assert.NoError(t, err)
	})))
	c.begin("POST", "/upload", "", 8)
	c.send("ping")
	a, text := c.answer() // though the body has not ended
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, "pong", text)
}

// Over HTTP/2 the answer goes out while the client is still sending.
func TestHTTP2IsNotDrained(t *testing.T) {
	w := newSlowWorld(t, time.Minute)
	srv := httptest.NewUnstartedServer(w.handler)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	src, to := io.Pipe()
	defer to.Close()
	go io.WriteString(to, w.publish[:100])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "PUT", srv.URL+"/plain", src)
	require.NoError(t, err)
	a, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer a.Body.Close()
	assert.Equal(t, 2, a.ProtoMajor)
	assert.Equal(t, 401, a.StatusCode)
}
