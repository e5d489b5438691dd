package etcd_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const server = "go.etcd.io/etcd/server"

// An importer of this package does not get etcd's server: neither in the program nor among the
// modules that its versions are chosen from.
func TestNoServer(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		require.NotContains(t, strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "all", "go must be installed")
		t.Skip("go is not installed")
	}
	for _, args := range [][]string{
		{"list", "-deps", "-test", "./..."},
		{"list", "-m", "all"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Contains(t, string(out), "go.etcd.io/etcd/client/v3", "%s", args)
		for line := range strings.Lines(string(out)) {
			assert.False(t, strings.HasPrefix(line, server), "%s: %s", args, line)
		}
	}
}
