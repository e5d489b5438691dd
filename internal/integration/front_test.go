package integration_test

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// What the front page says points each client at the registry, and a public package installs.
func TestFrontPagePointsClients(t *testing.T) {
	for client, label := range map[string]string{"npm12": "npm", "npm8": "npm", "pnpm10": "pnpm", "pnpm12": "pnpm", "yarn1": "Yarn 1", "yarn2": "Yarn 2 and later", "yarn4": "Yarn 2 and later", "bun": "Bun"} {
		t.Run(client, func(t *testing.T) {
			integration.RequireClients(t, client)
			registry, home, app := member(t) // runs in parallel
			home.OK(home.Package("widget", "1.0.0"), "npm", "publish", "--otp="+app.Fresh())
			page := integration.NewBrowser(t).Open(registry.URL)
			assert.Contains(t, page.Text(), "widget 1.0.0")
			about := regexp.MustCompile(`(?s)<dt>` + label + `</dt><dd>(.*?)</dd>`).FindStringSubmatch(page.HTML)
			require.NotNil(t, about, page.HTML)
			var lines []string
			for _, m := range regexp.MustCompile(`<code>([^<]*)</code>`).FindAllStringSubmatch(about[1], -1) {
				lines = append(lines, html.UnescapeString(m[1]))
			}

			own := integration.NewHome(t, "http://127.0.0.1:1/")
			own.Use(client)
			require.NoError(t, os.Remove(filepath.Join(own.Dir, ".npmrc"))) // Yarn 1 would rather believe that one
			age := ""
			if client == "yarn4" {
				age = "npmMinimalAgeGate: 0\n" // as the page says, it takes no version that is younger than a day
				assert.Contains(t, page.Text(), "npmMinimalAgeGate")
			}
			require.NoError(t, os.WriteFile(filepath.Join(own.Dir, ".yarnrc.yml"), []byte(age+"enableTelemetry: false\nnodeLinker: node-modules\nenableGlobalCache: false\n"), 0o600))
			dir := own.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0","dependencies":{"widget":"1.0.0"}}`, "yarn.lock": ""})
			program := strings.TrimRight(client, "0123456789")
			if label == "Bun" {
				require.Equal(t, []string{"bunfig.toml", "[install]", `registry = "` + registry.URL + `"`}, lines)
				require.NoError(t, os.WriteFile(filepath.Join(dir, lines[0]), []byte(lines[1]+"\n"+lines[2]+"\n"), 0o600))
			} else {
				require.NotEmpty(t, lines)
				for _, line := range lines {
					own.OK(dir, "sh", "-c", line)
				}
			}
			own.OK(dir, program, "install")
			assert.FileExists(t, filepath.Join(dir, "node_modules", "widget", "package.json"))
		})
	}
}
