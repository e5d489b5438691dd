package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// A process is what main runs, but for its flags and its end.
type process struct {
	t       *testing.T
	base    string
	out     output
	stop    context.CancelFunc
	stopped chan error
}

// An output is what a process prints and logs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var announced = regexp.MustCompile(`npm registry at (\S+)\n`)

// start runs the registry in the folder dir until it is stopped or the test ends.
func start(t *testing.T, dir string, more ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &process{t: t, stop: stop, stopped: make(chan error, 1)}
	o, err := parseOptions(append([]string{"-addr", "127.0.0.1:0", "-data", dir, "-seed", "alice:a-long-password"}, more...), io.Discard)
	require.NoError(t, err)
	go func() { p.stopped <- run(ctx, o, &p.out, &p.out) }()
	t.Cleanup(stop)
	require.Eventually(t, func() bool {
		at := announced.FindStringSubmatch(p.out.String())
		if at != nil {
			p.base = at[1]
		}
		return at != nil || len(p.stopped) > 0
	}, time.Minute, time.Millisecond)
	return p
}

// end stops the registry as a signal does.
func (p *process) end() {
	p.t.Helper()
	p.stop()
	require.NoError(p.t, <-p.stopped)
}

// says waits until the registry has logged text.
func (p *process) says(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.out.String(), text) }, time.Minute, time.Millisecond)
}

// login logs alice in, and returns the token of her session.
func (p *process) login() string {
	p.t.Helper()
	return p.sessionOf("a-long-password")
}

// whoami returns the status and the name that the registry answers with.
func (p *process) whoami(token string) (int, string) {
	p.t.Helper()
	var answer struct{ Username string }
	status := p.do(http.MethodGet, "-/whoami", token, "", &answer)
	return status, answer.Username
}

func (p *process) do(method, path, bearer, body string, answer any) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(answer))
	return resp.StatusCode
}

// The sealing key is changed as the package's comment says, and nobody is logged out.
func TestRotateTheKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := exec.LookPath("sh"); err != nil {
		require.NotContains(t, strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "all", "sh must be installed")
		t.Skip("the commands are for a shell: ", err)
	}
	const done = "the others can be taken away"
	shell := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	loggedIn := func(p *process, tokens ...string) {
		t.Helper()
		for _, token := range tokens {
			status, name := p.whoami(token)
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, "alice", name)
		}
	}

	p := start(t, dir)
	first := p.login()
	p.end()
	assert.NotContains(t, p.out.String(), "auth.key", "there is one key")
	old, err := os.ReadFile(filepath.Join(dir, "auth.key"))
	require.NoError(t, err)

	shell(documented(t, "/dev/urandom"))
	p = start(t, dir)
	loggedIn(p, first)
	second := p.login()
	p.says(done)
	loggedIn(p, first, second)
	p.end()

	shell(documented(t, "head -c 32 auth.key"))
	key, err := os.ReadFile(filepath.Join(dir, "auth.key"))
	require.NoError(t, err)
	require.Len(t, key, 32)
	assert.NotEqual(t, old, key)
	p = start(t, dir)
	loggedIn(p, first, second)
	loggedIn(p, p.login())
	p.end()
	assert.NotContains(t, p.out.String(), "auth.key")

	db, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	require.NoError(t, err)
	defer db.Close()
	items, err := db.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	require.NotEmpty(t, items)
	for _, it := range items {
		_, err := store.Seal(db, store.Key(old)).Get(t.Context(), it.Key)
		assert.ErrorIs(t, err, store.ErrSeal, "the old key opens nothing any more: %s", it.Key)
	}
}

// documented returns the command of the package's comment that has text in it.
func documented(t *testing.T, text string) string {
	t.Helper()
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	for line := range strings.Lines(string(source)) {
		if command, ok := strings.CutPrefix(line, "//\t"); ok && strings.Contains(command, text) {
			return command
		}
	}
	require.Fail(t, "no such command", text)
	return ""
}

// With the wrong key nothing starts, and with a value that no key opens the older
// keys are said to be needed.
func TestRotateTheKeyGoesWrong(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	p.login()
	p.end()
	path := filepath.Join(dir, "auth.key")
	old, err := os.ReadFile(path)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{1}, 32), 0o600))
	assert.ErrorIs(t, <-start(t, dir).stopped, store.ErrSeal)

	db, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	require.NoError(t, err)
	_, err = db.Commit(t.Context(), store.Op{Key: "zzz", Action: store.Put, Value: []byte("not sealed")})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, os.WriteFile(path, append(bytes.Repeat([]byte{1}, 32), old...), 0o600))
	p = start(t, dir)
	p.says("still needed")
	p.end()
	assert.NotContains(t, p.out.String(), "taken away")
}
