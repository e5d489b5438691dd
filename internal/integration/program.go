package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program is a client that tests drive by name, beside the npm of the machine.
type program struct {
	command string   // as people type it
	path    []string // below node_modules
	binary  bool     // needs no Node
	local   bool     // not installed by CI
}

// programs are what .ci/clients installs in the folder NPMAUTH_CLIENTS, by the names that it
// gives them. The versions are there.
var programs = map[string]program{
	"npm6":  {command: "npm", path: []string{"npm6", "bin", "npm-cli.js"}, local: true},
	"npm7":  {command: "npm", path: []string{"npm7", "bin", "npm-cli.js"}, local: true},
	"npm8":  {command: "npm", path: []string{"npm8", "bin", "npm-cli.js"}, local: true},
	"npm9":  {command: "npm", path: []string{"npm9", "bin", "npm-cli.js"}, local: true},
	"npm10": {command: "npm", path: []string{"npm10", "bin", "npm-cli.js"}, local: true},
	"npm11": {command: "npm", path: []string{"npm11", "bin", "npm-cli.js"}},
	"npm12": {command: "npm", path: []string{"npm12", "bin", "npm-cli.js"}},

	"yarn1": {command: "yarn", path: []string{"yarn1", "bin", "yarn.js"}, local: true},
	"yarn2": {command: "yarn", path: []string{"yarn2", "bin", "yarn.js"}, local: true},
	"yarn3": {command: "yarn", path: []string{"yarn3", "bin", "yarn.js"}, local: true},
	"yarn4": {command: "yarn", path: []string{"yarn4", "bin", "yarn.js"}},

	"pnpm10": {command: "pnpm", path: []string{"pnpm10", "bin", "pnpm.cjs"}, local: true},
	"pnpm12": {command: "pnpm", path: []string{"pnpm12", "pnpm"}, binary: true},

	"bun": {command: "bun", path: []string{"bun", "bin", "bun"}, binary: true},

	"vlt": {command: "vlt", path: []string{"vlt", "vlt.js"}, local: true},

	"lerna":      {command: "lerna", path: []string{"lerna", "dist", "cli.js"}},
	"changesets": {command: "changeset", path: []string{"changesets", "bin.js"}, local: true},
}

// NPMs are the releases of npm that a test with npm goes through, if it goes through several.
var NPMs = []string{"npm11", "npm12"}

// Releases are the NPMs: with -short the newest of them, which is how they are driven once
// more under the race detector.
func Releases() []string {
	if testing.Short() {
		return NPMs[len(NPMs)-1:]
	}
	return NPMs
}

// RequireClients skips the test where a client that is named so in .ci/clients is not
// installed, or fails it, as Require does; with "all" only if CI installs it.
func RequireClients(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		p, ok := programs[name]
		require.True(t, ok, "no program %s", name)
		if _, err := os.Stat(clients(p.path...)); err != nil {
			missing(t, name, p.local)
		}
		if _, err := os.Stat(node()); err != nil {
			missing(t, "node for "+name, p.local)
		}
	}
}

func clients(path ...string) string {
	return filepath.Join(append([]string{os.Getenv("NPMAUTH_CLIENTS"), "node_modules"}, path...)...)
}

// node is what runs them: npm 12 wants a newer one than most machines have.
func node() string {
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return clients("node-"+runtime.GOOS+"-"+arch, "bin", "node")
}

// Use makes clients that are named so in .ci/clients those of the home, each under the
// command that people type. What they start themselves finds these, too.
func (h *Home) Use(names ...string) {
	h.t.Helper()
	RequireClients(h.t, names...)
	if h.commands == nil {
		h.commands = map[string]string{"node": fmt.Sprintf("%q", node())}
	}
	for _, name := range names {
		p := programs[name]
		line := fmt.Sprintf("%q", clients(p.path...))
		if !p.binary {
			line = fmt.Sprintf("%q %s", node(), line)
		}
		h.commands[p.command] = line
	}
	require.NoError(h.t, os.MkdirAll(h.bin(), 0o755))
	for command, line := range h.commands {
		require.NoError(h.t, writeProgram(filepath.Join(h.bin(), command), "#!/bin/sh\nexec "+line+" \"$@\"\n"))
	}
}

// writeProgram writes a script while no process is started: one would inherit the open file,
// and running the script would fail with "text file busy" until that process has ended.
func writeProgram(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}

func (h *Home) bin() string { return filepath.Join(h.Dir, ".bin") }

// has reports whether a command was made the home's own.
func (h *Home) has(command string) bool { return h.commands[command] != "" }
