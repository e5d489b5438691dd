package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
)

// npm logs in with the password of the table, publishes, and installs, all below the prefix.
func TestNPM(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		require.NotEqual(t, "all", os.Getenv("NPMAUTH_REQUIRE"), "npm must be installed")
		t.Skip("needs npm on the PATH: ", err)
	}
	srv := httptest.NewUnstartedServer(nil)
	site := "http://" + srv.Listener.Addr().String() + "/"
	handler, auth, err := newServer(site)
	require.NoError(t, err)
	srv.Config.Handler = handler
	srv.Start()
	t.Cleanup(srv.Close)

	// Publishing needs a second factor, which people turn on with npm profile enable-2fa.
	uri, err := auth.Factors().Enrol(t.Context(), audit.Actor{}, "ada", "ada", protocol.AuthOnly)
	require.NoError(t, err)
	key, err := url.Parse(uri.Reveal())
	require.NoError(t, err)
	code := func(at time.Time) string {
		code, err := totp.GenerateCode(key.Query().Get("secret"), at)
		require.NoError(t, err)
		return code
	}
	now := time.Now()
	_, err = auth.Factors().Confirm(t.Context(), audit.Actor{}, "ada", credential.NewSecret(code(now)))
	require.NoError(t, err)
	next := code(now.Add(30 * time.Second)) // the code of now is used up

	home := t.TempDir()
	npm := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "npm", args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "npm_config_registry=" + site + "npm/", "npm_config_update_notifier=false"}
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out := &terminal{in: in, answers: map[string]string{"Username: ": "ada\n", "Password: ": "correct horse battery\n"}}
		cmd.Stdout, cmd.Stderr = out, out
		require.NoError(t, cmd.Run(), "npm %v: %s", args, &out.text)
		return out.text.String()
	}
	npm(home, "login", "--auth-type=legacy", "--otp="+next)
	assert.Equal(t, "ada\n", npm(home, "whoami"))

	widget := filepath.Join(home, "widget")
	require.NoError(t, os.Mkdir(widget, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(widget, "package.json"), []byte(`{"name":"@acme/widget","version":"1.0.0"}`), 0o600))
	npm(widget, "publish", "--otp="+next)

	app := filepath.Join(home, "app")
	require.NoError(t, os.Mkdir(app, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(app, "package.json"), []byte(`{"name":"app","version":"1.0.0"}`), 0o600))
	npm(app, "install", "@acme/widget")
	assert.FileExists(t, filepath.Join(app, "node_modules/@acme/widget/package.json"))

	answer, err := http.Get(site + "npm/@acme%2fwidget")
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusNotFound, answer.StatusCode, "a stranger")
}

// A terminal is where npm writes, and answers each of its prompts once.
type terminal struct {
	text    bytes.Buffer
	in      io.Writer
	answers map[string]string // by prompt
}

func (t *terminal) Write(p []byte) (int, error) {
	n, err := t.text.Write(p)
	for prompt, answer := range t.answers {
		if bytes.Contains(t.text.Bytes(), []byte(prompt)) {
			delete(t.answers, prompt)
			io.WriteString(t.in, answer)
		}
	}
	return n, err
}
