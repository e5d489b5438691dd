package integration_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// servedBy is the header with the node that answered.
const servedBy = "X-Served-By"

// What a person does with npm works whichever node each request goes to: they take
// turns, so that no two requests in a row are the same node's.
func TestCluster(t *testing.T) {
	integration.Require(t, "npm")
	eachEngine(t, func(t *testing.T, at string) {
		t.Parallel()
		cluster := integration.StartCluster(t, at, seed("alice")...)
		home := integration.NewHome(t, cluster.URL)
		turns := map[string]bool{}
		for range 3 {
			turns[cluster.As("").Do("GET", "-/ping", nil).Header.Get(servedBy)] = true
		}
		require.Len(t, turns, 3)

		login := home.Start("", "npm", "login")
		address := login.Expect(`Login at:\s+(http://\S+)`)[1]
		integration.NewBrowser(t).Approve(address, map[string]string{"name": "alice", "password": integration.Password})
		login.OK()
		app, _ := cluster.Enrol(home.Token())
		settle(t, cluster, home.Token(), func(a integration.Answer) bool { return strings.Contains(a.Body, `"auth-and-writes"`) })

		if !testing.Short() { // one code more is half a minute more
			home.OK(home.Package("gizmo", "1.0.0"), "npm", "publish", "--otp="+app.Fresh())
		}
		token := createToken(t, home, "--name=ci", "--packages-all", "--bypass-2fa", "--packages-and-scopes-permission=read-write", "--otp="+app.Fresh())
		ci := machine(t, cluster.Registry, token)
		ci.OK(ci.Package("@alice/widget", "1.0.0"), "npm", "publish")
		project := ci.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
		ci.OK(project, "npm", "install", "@alice/widget")
		assert.FileExists(t, filepath.Join(project, "node_modules", "@alice", "widget", "index.js"))
		list := home.OK("", "npm", "token", "list").Stdout
		id := regexp.MustCompile(`with id (\S+) name ci`).FindStringSubmatch(list)
		require.NotNil(t, id, list)
		home.OK("", "npm", "token", "revoke", id[1], "--otp="+app.Fresh())
		everywhere(t, cluster, token, http.StatusUnauthorized)

		home.OK("", "npm", "logout")
	})
}

// settle waits until every node says the same of an account: what was changed on
// one node another sees within npmauth.Config.Fresh.
func settle(t *testing.T, c integration.Cluster, token string, done func(integration.Answer) bool) {
	t.Helper()
	until(t, func() bool {
		for range c.Nodes() {
			if !done(c.As(token).Do("GET", "-/npm/v1/user", nil)) {
				return false
			}
		}
		return true
	})
}

// everywhere waits until every node answers a token with that status.
func everywhere(t *testing.T, c integration.Cluster, token string, status int) {
	t.Helper()
	until(t, func() bool {
		for range c.Nodes() {
			if c.As(token).Do("GET", "-/whoami", nil).Status != status {
				return false
			}
		}
		return true
	})
}

// A node that is killed is not missed, and comes back.
func TestClusterLosesANode(t *testing.T) {
	eachEngine(t, func(t *testing.T, at string) {
		t.Parallel()
		cluster := integration.StartCluster(t, at, seed("alice")...)
		session := cluster.SignIn("alice", "")
		cluster.KillNode("b")
		seen := map[string]bool{}
		until(t, func() bool { // until it is there again
			a := cluster.As(session).Do("GET", "-/whoami", nil)
			assert.Equal(t, http.StatusOK, a.Status, a.Body)
			seen[a.Header.Get(servedBy)] = true
			return seen["b"]
		})
		assert.Len(t, seen, 3)
		require.Zero(t, cluster.Stop(), cluster.Log())
		for name, address := range cluster.Nodes() {
			_, err := http.Get(address + "-/ping")
			assert.Error(t, err, "%s is still there", name)
		}
	})
}

// Where a node cannot run there is no cluster, and what the node said is shown.
func TestClusterDoesNotStart(t *testing.T) {
	code, out := integration.ClusterRefused(t, "-addr", "127.0.0.1:0", "-store", "sqlite:no-such-folder/auth.db")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "does not start")
	assert.Contains(t, out, ": registry: sqlite: open:")
}
