package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// A registry at localhost, which its pages are at, serves a client that is configured with
// 127.0.0.1 as well: login, publish and confirmation on a page, private packages for all, and what
// sends a whole document back.
func TestLocalhostByAddress(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t, append(seed("alice"), "-addr", "localhost:0")...)
	at, err := url.Parse(registry.URL)
	require.NoError(t, err)
	require.Equal(t, "localhost", at.Hostname())
	session := registry.SignIn("alice", "")
	app, recovery := registry.Enrol(session)
	ci := createToken(t, machine(t, registry, session), "--name=ci", "--packages-all", "--packages-and-scopes-permission=read-write", "--bypass-2fa", "--otp="+app.Fresh())
	for i, host := range []string{"localhost", "127.0.0.1"} {
		t.Run(host, func(t *testing.T) {
			configured := "http://" + host + ":" + at.Port() + "/"
			home := integration.NewHome(t, configured)
			// Who opens the page of a sign-up there stays there.
			up := integration.NewBrowser(t).Approve(configured+"-/auth/signup", map[string]string{
				"name": fmt.Sprint("bob", i), "email": "bob@acme.test", "password": integration.Password,
			})
			assert.Equal(t, host, up.URL.Hostname())
			login := home.Start("", "npm", "login")
			page := login.Expect(`Login at:\s+(http://\S+)`)[1]
			assert.True(t, strings.HasPrefix(page, registry.URL), page)
			integration.NewBrowser(t).Approve(page, map[string]string{"name": "alice", "password": integration.Password, "code": recovery[i]})
			login.OK()
			assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))

			pkg := "@alice/by-" + strings.ReplaceAll(host, ".", "-")
			publish := home.Terminal(home.Package(pkg, "1.0.0"), "npm", "publish", "--access=restricted")
			page = publish.Expect(`Authenticate your account at:\s+(http://\S+)`)[1]
			assert.True(t, strings.HasPrefix(page, registry.URL), page)
			integration.NewBrowser(t).Approve(page, map[string]string{"password": integration.Password, "code": app.Fresh()})
			publish.OK()
			home.SetToken(ci) // codes take time
			home.OK("", "npm", "deprecate", pkg+"@1.0.0", "old")
			home.OK("", "npm", "dist-tag", "add", pkg+"@1.0.0", "next")
			assert.Contains(t, home.OK("", "npm", "view", pkg, "deprecated").Stdout, "old")

			for client, command := range map[string][]string{
				"npm8": {"npm", "install"}, "npm11": {"npm", "install"}, "npm12": {"npm", "install"}, "yarn1": {"yarn", "add"}, "yarn4": {"yarn", "add"},
				"pnpm12": {"pnpm", "add"}, "bun": {"bun", "add"},
			} {
				t.Run(client, func(t *testing.T) {
					integration.RequireClients(t, client)
					machine := integration.NewHome(t, configured)
					machine.Use(client)
					machine.Set("YARN_NPM_MINIMAL_AGE_GATE", "0") // what is a minute old is no risk here
					machine.SetToken(ci)
					files := map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`}
					if strings.HasPrefix(client, "yarn") {
						files["yarn.lock"] = "" // the project's root
					}
					dir := machine.Project("app", files)
					machine.OK(dir, command[0], command[1], pkg+"@1.0.0")
					assert.FileExists(t, filepath.Join(dir, "node_modules", filepath.FromSlash(pkg), "index.js"))
				})
			}
			home.OK("", "npm", "unpublish", pkg+"@1.0.0", "--force")
			assert.Equal(t, http.StatusNotFound, registry.As(ci).Do("GET", url.PathEscape(pkg), nil).Status)
		})
	}
}
