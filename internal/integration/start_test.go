package integration_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
)

// Only the first start says what to type.
func TestSecondStart(t *testing.T) {
	registry := integration.Start(t)
	until(t, func() bool { return strings.Contains(registry.Greeting(), "npm login --registry="+registry.URL) })
	before := len(registry.Greeting())
	require.Zero(t, registry.Stop())
	registry.Restart()
	assert.NotContains(t, registry.Greeting()[before:], "npm login")
}

// Processes that start at the same moment on one new folder make one registry of it:
// one key, one account, one set of tables, one greeting.
func TestStartTogether(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		nodes := integration.StartNodes(t, 4, seed("alice")...)
		session := nodes[0].SignIn("alice", "")
		greetings := 0
		for _, node := range nodes {
			assert.Equal(t, http.StatusOK, node.As(session).Do("GET", "-/whoami", nil).Status)
			require.Zero(t, node.Stop())
			greetings += strings.Count(node.Greeting(), "This is the first start.")
		}
		assert.Equal(t, 1, greetings)
	}
}

// ST-22: whoever is half-way through a publish when the registry is told to stop gets
// to its end, and an answer.
func TestDrain(t *testing.T) {
	registry, home, app := member(t)
	token := createToken(t, home, "--name=ci", "--packages-all", "--bypass-2fa", "--packages-and-scopes-permission=read-write", "--otp="+app.Fresh())
	body := hosttest.PublishBody(protocol.PackageName{Name: "widget"}, "1.0.0")

	read, write := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, registry.URL+"widget", read)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	answered := make(chan *http.Response, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if assert.NoError(t, err) {
			res.Body.Close()
		}
		answered <- res
	}()
	_, err = write.Write(body[:len(body)/2])
	require.NoError(t, err)
	drafts := filepath.Join(registry.Data, "tarballs", "drafts")
	until(t, func() bool { entries, err := os.ReadDir(drafts); return err == nil && len(entries) == 1 }) // it has begun

	registry.Terminate()
	base, err := url.Parse(registry.URL)
	require.NoError(t, err)
	until(t, func() bool { // nobody new comes in
		conn, err := net.Dial("tcp", base.Host)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	_, err = io.Copy(write, bytes.NewReader(body[len(body)/2:]))
	require.NoError(t, err)
	require.NoError(t, write.Close())
	if res := <-answered; assert.NotNil(t, res) {
		assert.Equal(t, http.StatusCreated, res.StatusCode)
	}
	assert.Zero(t, registry.Wait())
	registry.Restart()
	assert.True(t, published(registry, home, "widget", "1.0.0"))
}

// until waits for what another process does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	require.Eventually(t, done, time.Minute, 10*time.Millisecond)
}

// A client is where the proxy says only if the proxy is one of ours.
func TestTrustProxy(t *testing.T) {
	for want, args := range map[string][]string{
		"addr=127.0.0.1": nil,
		"addr=192.0.2.7": {"-trust-proxy", "127.0.0.1"},
		"addr=192.0.2.8": {"-trust-proxy", "127.0.0.1", "-forwarded"},
	} {
		registry := integration.Start(t, args...)
		require.Equal(t, http.StatusNotFound, registry.As("").Do("GET", "@acme%2fwidget", nil, "X-Forwarded-For", "192.0.2.7", "Forwarded", "for=192.0.2.8").Status)
		until(t, func() bool { return strings.Contains(registry.Log(), "package=@acme/widget") })
		assert.Contains(t, registry.Log(), want)
	}
}

// A database that is not there ends the start with a sentence, and without the
// password.
func TestUnreachable(t *testing.T) {
	const password = "swordfish"
	for at, says := range map[string]string{
		"postgres://npm:" + password + "@127.0.0.1:1/npm?sslmode=disable": "the database that -store names cannot be used: postgres: open: ",
		"postgres://npm:" + password + "@127.0.0.1:port/npm":              "the database that -store names cannot be used: postgres: open: ",
		"etcd://127.0.0.1:1":            "the etcd that -store names cannot be used: etcd: open: ",
		"sqlite:no-such-folder/auth.db": "sqlite: open: ",
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			code, out := integration.Refused(t, "-addr", "127.0.0.1:0", "-store", at)
			assert.Equal(t, 1, code)
			assert.Contains(t, out, "registry: "+says)
			assert.NotContains(t, out, password)
			assert.LessOrEqual(t, strings.Count(out, "\n"), 2, out)
		})
	}
}

// What is not served is refused at start, in words, and never half-served.
func TestRefusedFlags(t *testing.T) {
	for says, args := range map[string][]string{
		"flag provided but not defined": {"-stage"},
		"-trust-issuer":                 {"-trust-issuer", "jenkins=https://issuer.example"},
	} {
		code, out := integration.Refused(t, args...)
		assert.Equal(t, 2, code, says)
		assert.Contains(t, out, says)
	}
	code, out := integration.Refused(t, "-addr", "127.0.0.1:0", "-seed", "Not A Name:x")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "-seed Not A Name")
}
