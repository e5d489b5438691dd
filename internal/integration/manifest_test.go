package integration_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// forgedPackages is how many of them are forged, in some fifty ways each.
const forgedPackages = 100

func script(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", "manifest", name))
	require.NoError(t, err)
	return file
}

// requiresClients reports whether all clients are driven, which takes longer.
func requiresClients() bool {
	return !testing.Short() && slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "clients")
}

// What npm's own libraries make of a package is accepted, whatever they make of it, AU-37. What
// differs from that in one thing that an installation uses is refused.
func TestManifestsOfLibraries(t *testing.T) {
	t.Parallel()
	count := 200
	if requiresClients() {
		count = 400
	}
	for _, npm := range among("npm6", "npm7", "npm8", "npm9", "npm11", "npm12") {
		t.Run(npm, func(t *testing.T) { // one after the other: it is no waiting, but work
			home := integration.NewHome(t, "http://registry.example/")
			home.Use(npm)
			dir := filepath.Join(home.Dir, "packages")
			home.Generate(dir, count, "acme", "library")
			made := filepath.Join(home.Dir, "made")
			home.OK("", "node", script(t, "publish.js"), integration.ClientFolder(npm), dir, t.TempDir(), made)
			file, err := os.Open(made)
			require.NoError(t, err)
			defer file.Close()
			published, refused := 0, 0
			lines := bufio.NewScanner(file)
			lines.Buffer(nil, 16<<20)
			for lines.Scan() {
				var line struct{ Name, Body, Error string }
				require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
				if line.Error != "" { // the library's own
					continue
				}
				published++
				if err := accepts(line.Body); !assert.NoError(t, err, "package %s\n%s", line.Name, packageJSON(t, dir, line.Name)) {
					continue
				}
				if published <= forgedPackages {
					refused += forge(t, line.Name, line.Body)
				}
			}
			require.NoError(t, lines.Err())
			assert.Greater(t, published, count*3/4, "npm publishes most of them")
			assert.Greater(t, refused, 20*min(published, forgedPackages), "forgeries")
			t.Logf("%d of %d packages accepted, %d forgeries refused", published, count, refused)
		})
	}
}

// What a client publishes is accepted, whatever it makes of the package, AU-37.
func TestManifestsOfClients(t *testing.T) {
	t.Parallel()
	all := map[string]func(*scene){"manifests": (*scene).manifests}
	play(t, among("npm6", "npm7", "npm8", "npm9", "npm10", "npm11", "npm12"), all)
	play(t, among("yarn1", "yarn2", "yarn3", "yarn4"), all)
	play(t, among("pnpm9", "pnpm10", "pnpm11", "pnpm12"), all)
	play(t, []string{"bun"}, all)
	play(t, []string{"vlt"}, all)
}

func (s *scene) manifests() {
	count := 10
	if requiresClients() {
		count = 100
	}
	alice := s.person(s.name)
	ci := alice.token(bypass())
	for _, name := range ci.home.PublishGenerated(s.client, s.name, count) {
		_, d := alice.doc(name)
		assert.Len(s.t, d.Versions, 1, name)
	}
}

func packageJSON(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name, "package.json"))
	require.NoError(t, err)
	if len(data) > 3000 {
		data = data[:3000]
	}
	return string(data)
}

// forge tries all forgeries of a publish, on both sides, and returns how many were refused.
func forge(t *testing.T, name, body string) (refused int) {
	t.Helper()
	whole := takeApart(t, body)
	for what, f := range forgeries(whole) {
		for _, inManifest := range []bool{true, false} {
			p, side := whole.copied(inManifest)
			if f(p, side) == "" {
				continue
			}
			if assert.ErrorContains(t, accepts(p.body(t, !inManifest)), " in the tarball's package.json", "package %s: %s, in the manifest: %v", name, what, inManifest) {
				refused++
			}
		}
	}
	return refused
}
