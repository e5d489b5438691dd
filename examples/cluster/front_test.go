package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake returns a node that is a handler of this test.
func fake(t *testing.T, name string, handler http.HandlerFunc) *node {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &node{name: name, addr: strings.TrimPrefix(server.URL, "http://")}
}

// gone returns a node that was there a moment ago.
func gone(t *testing.T, name string) *node {
	t.Helper()
	addr, err := freeAddr()
	require.NoError(t, err)
	return &node{name: name, addr: addr}
}

func front(nodes ...*node) http.Handler { return newFront(nodes, slog.New(slog.DiscardHandler)) }

func ask(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:1234"
	r.Header.Set("X-Forwarded-For", "198.51.100.1") // what a client says of itself
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Whatever npm puts into a path arrives as it was sent, and the client's address is
// the one that the front saw.
func TestFrontPassesOn(t *testing.T) {
	var mu sync.Mutex
	var uri, from, body string
	h := front(fake(t, "a", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		uri, from, body = r.RequestURI, strings.Join(r.Header["X-Forwarded-For"], ";"), string(b)
		w.WriteHeader(http.StatusCreated)
	}))
	for _, target := range []string{
		"/@acme%2fwidget", "/@acme%2Fwidget", "/@acme/widget", "/-/user/org.couchdb.user:alice", "/a%20b//c?write=true",
		"/-/package/@acme%2fwidget/dist-tags/latest",
	} {
		assert.Equal(t, http.StatusCreated, ask(h, "PUT", target, "the body").Code)
		mu.Lock()
		assert.Equal(t, target, uri)
		assert.Equal(t, "192.0.2.7", from)
		assert.Equal(t, "the body", body)
		mu.Unlock()
	}
}

func TestFrontTakesTurns(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	h := front(fake(t, "a", ok), fake(t, "b", ok), fake(t, "c", ok))
	var turns []string
	for range 6 {
		turns = append(turns, ask(h, "GET", "/", "").Header().Get(servedBy))
	}
	assert.Equal(t, []string{"a", "b", "c", "a", "b", "c"}, turns)
}

// A request that no process has seen goes on to the next node, with all of its body.
func TestFrontPassesOver(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	away := &node{name: "b"}
	h := front(gone(t, "a"), away, fake(t, "c", echo))
	body := strings.Repeat("tarball", 100_000)
	for range 3 {
		w := ask(h, "PUT", "/widget", body)
		assert.Equal(t, "c", w.Header().Get(servedBy))
		assert.Equal(t, body, w.Body.String())
	}

	w := ask(front(gone(t, "a"), away), "GET", "/", "")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), `"error":"No node`)
}

// A node that dies over a request may have done it. Another one must not do it again.
func TestFrontAsksOnce(t *testing.T) {
	asked := make(chan string, 2)
	dies := func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		panic(http.ErrAbortHandler)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		w := ask(front(fake(t, "a", dies), fake(t, "b", dies)), method, "/-/user/token/npms_secret", "")
		assert.Equal(t, http.StatusBadGateway, w.Code)
		assert.Contains(t, w.Body.String(), `"message":`)
		assert.Equal(t, method, <-asked)
		assert.Empty(t, asked)
	}
}

// To read twice changes nothing.
func TestFrontReadsElsewhere(t *testing.T) {
	dies := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	h := front(fake(t, "a", dies), fake(t, "b", func(http.ResponseWriter, *http.Request) {}))
	for range 2 {
		assert.Equal(t, "b", ask(h, "GET", "/widget", "").Header().Get(servedBy))
	}
	assert.Equal(t, http.StatusBadGateway, ask(front(fake(t, "a", dies)), "GET", "/widget", "").Code)
}

func TestFrontLogsNoToken(t *testing.T) {
	var log bytes.Buffer
	h := newFront(nil, slog.New(slog.NewTextHandler(&log, nil)))
	ask(h, "DELETE", "/-/user/token/npms_secret", "")
	assert.Contains(t, log.String(), "/-/user/token/[redacted]")
	assert.NotContains(t, log.String(), "npms_secret")
}

func TestPrefixer(t *testing.T) {
	var out bytes.Buffer
	p := &prefixer{w: &out, prefix: "a: "}
	for _, s := range []string{"one\ntwo\nth", "re", "e\n", "four"} {
		n, err := io.WriteString(p, s)
		require.NoError(t, err)
		assert.Equal(t, len(s), n)
	}
	assert.Equal(t, "a: one\na: two\na: three\n", out.String())
}

// AU-44: that a client has left is no warning about a node.
func TestFrontDisconnect(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for want, ctx := range map[string]context.Context{"level=INFO": gone, "level=WARN": t.Context()} {
		var out bytes.Buffer
		h := newFront(nil, slog.New(slog.NewTextHandler(&out, nil)))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/widget", nil))
		assert.Contains(t, out.String(), want)
	}
}
