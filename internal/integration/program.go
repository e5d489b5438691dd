package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program is a client that tests drive by name, beside the npm of the machine.
type program struct {
	command string   // as people type it
	path    []string // below node_modules
	node    string   // what runs it, by the name that .ci/install-clients gives it; "" is node24
	binary  bool     // needs no Node
	local   bool     // not installed by CI
}

// newestNode runs all that want no older one. Scripts find it under the name node.
const newestNode = "node24"

// programs are what .ci/install-clients installs in the folder NPMAUTH_CLIENTS, by the names that
// it gives them. The versions are there.
var programs = map[string]program{
	"npm6":  {command: "npm", path: []string{"npm6", "bin", "npm-cli.js"}, node: "node14", local: true},
	"npm7":  {command: "npm", path: []string{"npm7", "bin", "npm-cli.js"}, node: "node14", local: true},
	"npm8":  {command: "npm", path: []string{"npm8", "bin", "npm-cli.js"}},
	"npm9":  {command: "npm", path: []string{"npm9", "bin", "npm-cli.js"}, local: true},
	"npm10": {command: "npm", path: []string{"npm10", "bin", "npm-cli.js"}, local: true},
	"npm11": {command: "npm", path: []string{"npm11", "bin", "npm-cli.js"}},
	"npm12": {command: "npm", path: []string{"npm12", "bin", "npm-cli.js"}},

	"yarn1": {command: "yarn", path: []string{"yarn1", "bin", "yarn.js"}},
	"yarn2": {command: "yarn", path: []string{"yarn2", "bin", "yarn.js"}, node: "node14", local: true},
	"yarn3": {command: "yarn", path: []string{"yarn3", "bin", "yarn.js"}, local: true},
	"yarn4": {command: "yarn", path: []string{"yarn4", "bin", "yarn.js"}},

	"pnpm9":  {command: "pnpm", path: []string{"pnpm9", "bin", "pnpm.cjs"}, local: true},
	"pnpm10": {command: "pnpm", path: []string{"pnpm10", "bin", "pnpm.cjs"}, local: true},
	"pnpm11": {command: "pnpm", path: []string{"pnpm11", "bin", "pnpm.mjs"}, local: true},
	"pnpm12": {command: "pnpm", path: []string{"pnpm12", "pnpm"}, binary: true},

	"bun": {command: "bun", path: []string{"bun", "bin", "bun"}, binary: true},
	"vlt": {command: "vlt", path: []string{"vlt", "vlt.js"}, local: true},

	"lerna":            {command: "lerna", path: []string{"lerna", "dist", "cli.js"}},
	"changesets":       {command: "changeset", path: []string{"changesets", "bin.js"}, local: true},
	"np":               {command: "np", path: []string{"np", "source", "cli.js"}, local: true},
	"release-it":       {command: "release-it", path: []string{"release-it", "bin", "release-it.js"}, local: true},
	"semantic-release": {command: "semantic-release", path: []string{"semantic-release", "bin", "semantic-release.js"}, local: true},
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

// RequireClients skips the test where a client that is named so in .ci/install-clients is not
// installed, or fails it, as Require does; with "all" only if CI installs it.
func RequireClients(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		p, ok := programs[name]
		require.True(t, ok, "no program %s", name)
		if _, err := os.Stat(clients(p.path...)); err != nil {
			missing(t, name, p.local)
		}
		if _, err := os.Stat(node(p.node)); err != nil {
			missing(t, "node for "+name, p.local)
		}
	}
}

func clients(path ...string) string {
	return filepath.Join(append([]string{os.Getenv("NPMAUTH_CLIENTS"), "node_modules"}, path...)...)
}

// Version returns that of a client that is named so in .ci/install-clients.
func Version(t testing.TB, name string) string {
	t.Helper()
	RequireClients(t, name)
	data, err := os.ReadFile(clients(programs[name].path[0], "package.json"))
	require.NoError(t, err)
	var manifest struct{ Version string }
	require.NoError(t, json.Unmarshal(data, &manifest))
	return manifest.Version
}

// node is a Node by its name, "" being the newest.
func node(name string) string { return clients(cmp.Or(name, newestNode), "bin", "node") }

// Use makes clients that are named so in .ci/install-clients those of the home, each under the
// command that people type. What they start themselves finds these, too, and as node that of the
// first of them.
func (h *Home) Use(names ...string) {
	h.t.Helper()
	RequireClients(h.t, names...)
	if h.commands == nil {
		h.commands = map[string]string{"node": fmt.Sprintf("%q", node(programs[names[0]].node))}
	}
	for _, name := range names {
		p := programs[name]
		line := fmt.Sprintf("%q", clients(p.path...))
		if !p.binary {
			line = fmt.Sprintf("%q %s", node(p.node), line)
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
