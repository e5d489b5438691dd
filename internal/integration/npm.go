package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// NPMs are the releases of npm that tests drive by name, beside the npm of the machine.
// What .ci/run installs in the folder NPMAUTH_CLIENTS must have their names.
var NPMs = []string{"npm11", "npm12"}

// Releases are the NPMs that a test with npm goes through: with -short the newest of them,
// which is how they are driven once more under the race detector.
func Releases() []string {
	if testing.Short() {
		return NPMs[len(NPMs)-1:]
	}
	return NPMs
}

// RequireNPM skips the test where one of NPMs is not installed, or fails it, as Require
// does.
func RequireNPM(t testing.TB, name string) {
	t.Helper()
	if _, err := os.Stat(npmCLI(name)); err != nil {
		missing(t, name)
	}
	if _, err := os.Stat(node()); err != nil {
		missing(t, "node for "+name)
	}
}

func clients(path ...string) string {
	return filepath.Join(append([]string{os.Getenv("NPMAUTH_CLIENTS"), "node_modules"}, path...)...)
}

func npmCLI(name string) string { return clients(name, "bin", "npm-cli.js") }

// node is what runs them: npm 12 wants a newer one than most machines have.
func node() string {
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return clients("node-"+runtime.GOOS+"-"+arch, "bin", "node")
}

// UseNPM makes one of NPMs the home's npm.
func (h *Home) UseNPM(name string) {
	h.t.Helper()
	RequireNPM(h.t, name)
	bin := filepath.Join(h.Dir, ".bin")
	require.NoError(h.t, os.MkdirAll(bin, 0o755))
	for program, line := range map[string]string{
		"npm": fmt.Sprintf("exec %q %q", node(), npmCLI(name)), "node": fmt.Sprintf("exec %q", node()),
	} {
		require.NoError(h.t, os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+line+" \"$@\"\n"), 0o755))
	}
	h.bin = bin
}
