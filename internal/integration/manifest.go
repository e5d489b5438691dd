package integration

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// ManifestSeed is that of the packages that tests generate. Another one makes others.
const ManifestSeed = 20261130

//go:embed testdata/manifest/generate.js
var generator []byte

// ClientFolder returns the folder of a client that is named so in .ci/clients.
func ClientFolder(name string) string { return clients(name) }

// Generate makes packages with odd and legal package.json in the folders 0, 1 and so on of dir, see
// testdata/manifest/generate.js. Their names are @<scope>/pkg-0 and so on, or have no scope. kind is
// a client, or "library" for all that npm's own libraries take.
func (h *Home) Generate(dir string, count int, scope, kind string) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "generate.js")
	require.NoError(h.t, os.WriteFile(file, generator, 0o600))
	h.OK("", "node", file, dir, strconv.Itoa(ManifestSeed), strconv.Itoa(count), scope, kind)
}

// batch is how many packages PublishGenerated has in a project: a client has to end in time.
const batch = 20

// PublishGenerated generates packages, of which the scope must not have any, and publishes them with
// a client of the home, which must have a token that needs no second factor. It fails the test
// unless the client succeeds with each, and returns their names.
func (h *Home) PublishGenerated(client, scope string, count int) (names []string) {
	h.t.Helper()
	all := filepath.Join(h.Dir, "generated")
	h.Generate(all, count, scope, client)
	for first := 0; first < count; first += batch {
		root := h.Project(fmt.Sprintf("project-%d", first), map[string]string{
			"package.json":        `{"name":"generated","version":"1.0.0","private":true,"license":"MIT","workspaces":["packages/*"]}`,
			"pnpm-workspace.yaml": "packages:\n  - packages/*\n",
			"yarn.lock":           "",
		})
		var dirs []string
		require.NoError(h.t, os.Mkdir(filepath.Join(root, "packages"), 0o755))
		for i := first; i < min(first+batch, count); i++ {
			dir := filepath.Join(root, "packages", strconv.Itoa(i))
			require.NoError(h.t, os.Rename(filepath.Join(all, strconv.Itoa(i)), dir))
			dirs, names = append(dirs, dir), append(names, fmt.Sprintf("@%s/pkg-%d", scope, i))
		}
		h.publishProject(client, root, dirs)
	}
	return names
}

// publishProject publishes the packages in dirs, which are workspaces of the project in root.
func (h *Home) publishProject(client, root string, dirs []string) {
	h.t.Helper()
	each := func(command ...string) {
		h.t.Helper()
		for _, dir := range dirs {
			h.OK(dir, command[0], command[1:]...)
		}
	}
	switch {
	case client == "npm6":
		each("npm", "publish", "--ignore-scripts")
	case strings.HasPrefix(client, "npm"):
		h.OK(root, "npm", "publish", "--workspaces", "--ignore-scripts")
	case client == "yarn1":
		each("yarn", "publish", "--non-interactive", "--ignore-scripts", "--no-git-tag-version")
	case client == "yarn2":
		h.OK(root, "yarn", "install", "--skip-builds")
		each("yarn", "npm", "publish")
	case client == "yarn3":
		h.OK(root, "yarn", "install", "--mode=skip-build")
		each("yarn", "npm", "publish")
	case strings.HasPrefix(client, "yarn"):
		h.OK(root, "yarn", "install", "--mode=skip-build")
		h.OK(root, "yarn", "workspaces", "foreach", "--all", "--no-private", "npm", "publish")
	case strings.HasPrefix(client, "pnpm"):
		h.OK(root, "pnpm", "--recursive", "publish", "--no-git-checks", "--ignore-scripts")
	case client == "bun":
		each("bun", "publish", "--ignore-scripts")
	case client == "vlt":
		config := fmt.Sprintf(`{"config":{"registry":%q,"registries":{"npm":%q}}}`, h.Registry, h.Registry)
		for _, dir := range dirs {
			require.NoError(h.t, os.WriteFile(filepath.Join(dir, "vlt.json"), []byte(config), 0o600))
		}
		each("env", "VLT_TOKEN="+h.Token(), "vlt", "publish")
	default:
		require.Fail(h.t, "no client "+client)
	}
}
