package integration

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// prefixes has the paths of registries that are not at their server's root.
var prefixes = map[string]string{"prefix": "npm/"}

// StartExample runs one of the smaller examples, compose, embed, hello or prefix, on a free port, until
// the test ends. It keeps nothing, and is killed then. args are its other flags.
func StartExample(t testing.TB, name string, args ...string) *Registry {
	t.Helper()
	require.NotEmpty(t, programsDir, "TestMain must call Build")
	addr := FreeAddr(t)
	r := &Registry{t: t, URL: "http://" + addr + "/" + prefixes[name], program: filepath.Join(programsDir, name)}
	r.cmd = exec.Command(r.program, slices.Concat([]string{"-addr", addr}, args)...)
	r.cmd.Dir, r.cmd.Env = t.TempDir(), []string{"HOME=" + t.TempDir()}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.log
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, r.log.String())
		}
		assert.NotRegexp(t, secretInLog, r.log.String(), "a secret is in the log")
	})
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(r.URL + "-/whoami")
		if err == nil {
			res.Body.Close()
			require.Equal(t, http.StatusUnauthorized, res.StatusCode)
			return r
		}
		require.Less(t, time.Since(start), patience, "%s does not answer: %v", name, err)
	}
}
