package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Client talks to a registry without npm, for what npm does not show: the
// status of an answer, or a request that no well-behaved client sends.
type Client struct {
	t     testing.TB
	base  string
	token string
	http  *http.Client
}

// As returns a client that presents token, or nothing if it is "".
func (r *Registry) As(token string) Client {
	return Client{t: r.t, base: r.URL, token: token, http: http.DefaultClient}
}

// FromElsewhere returns c with an address of its own, in a network that no other client has: the
// registry bounds what one network may do that costs it something, as sign-ups.
func (c Client) FromElsewhere() Client {
	n := elsewhere.Add(1)
	addr := &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>8), byte(n), 1)}
	c.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: addr}).DialContext}}
	return c
}

var elsewhere atomic.Uint32

// An Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON decodes the body into v.
func (a Answer) JSON(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.Body), v), a.Body)
}

// Do sends body, as JSON unless it is nil, to path, which has no slash in front.
// header lists names and values in turns.
func (c Client) Do(method, path string, body any, header ...string) Answer {
	c.t.Helper()
	var data []byte
	if body != nil {
		var err error
		data, err = json.Marshal(body)
		require.NoError(c.t, err)
	}
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(data))
	require.NoError(c.t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return Answer{res.StatusCode, res.Header, string(text)}
}

// SignIn logs name in as older clients do, with a code if the account asks for
// one, and returns the session.
func (r *Registry) SignIn(name, code string) string {
	r.t.Helper()
	var header []string
	if code != "" {
		header = []string{"npm-otp", code}
	}
	a := r.As("").Do("PUT", "-/user/org.couchdb.user:"+name, map[string]any{
		"_id": "org.couchdb.user:" + name, "name": name, "password": Password, "type": "user", "roles": []string{}, "date": "2026-01-01T00:00:00.000Z",
	}, header...)
	require.Equal(r.t, http.StatusCreated, a.Status, a.Body)
	var out struct{ Token string }
	a.JSON(r.t, &out)
	require.True(r.t, strings.HasPrefix(out.Token, "npms_"), a.Body)
	return out.Token
}

// Enrol turns on the second factor of the account that a session belongs to, in
// npm's mode auth-and-writes, and returns the app that has it and the recovery
// codes.
func (r *Registry) Enrol(session string) (*Authenticator, []string) {
	r.t.Helper()
	c := r.As(session)
	a := c.Do("POST", "-/npm/v1/user", map[string]any{"tfa": map[string]string{"mode": "auth-and-writes", "password": Password}})
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var pending struct{ TFA string }
	a.JSON(r.t, &pending)
	_, secret, ok := strings.Cut(pending.TFA, "secret=")
	require.True(r.t, ok, a.Body)
	secret, _, _ = strings.Cut(secret, "&")
	app := NewAuthenticator(r.t, secret)
	a = c.Do("POST", "-/npm/v1/user", map[string]any{"tfa": []string{app.Fresh()}})
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var done struct{ TFA []string }
	a.JSON(r.t, &done)
	require.NotEmpty(r.t, done.TFA, a.Body)
	return app, done.TFA
}
