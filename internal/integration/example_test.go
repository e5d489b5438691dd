package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// withNPM runs fn with npm as the machine has it, and with the newest release.
func withNPM(t *testing.T, fn func(t *testing.T, use func(*integration.Home))) {
	t.Run("npm", func(t *testing.T) {
		integration.Require(t, "npm")
		t.Parallel()
		fn(t, func(*integration.Home) {})
	})
	t.Run("npm12", func(t *testing.T) {
		integration.RequireClients(t, "npm12")
		t.Parallel()
		fn(t, func(home *integration.Home) { home.Use("npm12") })
	})
}

// enable2FA turns the second factor on at a terminal.
func enable2FA(t *testing.T, home *integration.Home) *integration.Authenticator {
	t.Helper()
	enable := home.Terminal("", "npm", "profile", "enable-2fa", "auth-and-writes")
	enable.Expect(`password:`)
	enable.Type(integration.Password)
	app := integration.NewAuthenticator(t, enable.Expect(`Or enter code:\s+(\S+)`)[1])
	enable.Expect(`authenticator:`)
	enable.Type(app.Fresh())
	enable.Expect(`2FA successfully enabled`)
	enable.Expect(`\b[0-9a-f]{64}\b`)
	enable.OK()
	return app
}

// installs installs a package as somebody who is not logged in.
func installs(t *testing.T, registry *integration.Registry, use func(*integration.Home), name, version string) {
	t.Helper()
	home := integration.NewHome(t, registry.URL)
	use(home)
	dir := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0","private":true}`})
	home.OK(dir, "npm", "install", name+"@"+version)
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", filepath.FromSlash(name), "index.js"))
	require.NoError(t, err)
	assert.Contains(t, string(text), name+"@"+version)
}

// AU-76: a registry that is composed of the parts, with what people do first.
func TestCompose(t *testing.T) {
	t.Parallel()
	withNPM(t, func(t *testing.T, use func(*integration.Home)) {
		registry := integration.StartExample(t, "compose", "-seed", "alice:"+integration.Password+",bob:"+integration.Password)
		home := integration.NewHome(t, registry.URL)
		use(home)
		login := home.Terminal("", "npm", "login", "--auth-type=legacy")
		login.Expect(`Username:`)
		login.Type("alice")
		login.Expect(`Password:`)
		login.Type(integration.Password)
		login.Expect(`Logged in`)
		login.OK()
		assert.Equal(t, "alice\n", home.OK("", "npm", "whoami").Stdout)

		dir := home.Package("@alice/widget", "1.0.0")
		assert.Contains(t, home.Run(dir, "npm", "publish").Output(), "npm profile enable-2fa auth-and-writes")
		app := enable2FA(t, home)
		assert.Contains(t, home.Run(dir, "npm", "publish").Output(), "EOTP")
		home.OK(dir, "npm", "publish", "--otp="+app.Fresh())
		installs(t, registry, use, "@alice/widget", "1.0.0")

		ci := machine(t, registry, createToken(t, home, "--name=ci", "--packages-all", "--packages-and-scopes-permission=read-write", "--bypass-2fa", "--otp="+app.Fresh()))
		use(ci)
		ci.OK(ci.Package("@alice/widget", "1.0.1"), "npm", "publish")
		installs(t, registry, use, "@alice/widget", "1.0.1")
		refused := ci.Run("", "npm", "owner", "add", "bob", "@alice/widget")
		assert.NotZero(t, refused.Code)
		assert.Contains(t, refused.Output(), "A token that bypasses the second factor may not manage access")
		home.OK("", "npm", "owner", "add", "bob", "@alice/widget", "--otp="+app.Fresh())
		assert.Contains(t, home.OK("", "npm", "owner", "ls", "@alice/widget").Stdout, "bob")

		require.Contains(t, list(t, home), "ci")
		home.OK("", "npm", "token", "revoke", ci.Token(), "--otp="+app.Fresh())
		assert.Empty(t, list(t, home))
		assert.Contains(t, ci.Run("", "npm", "whoami").Output(), "E401")
	})
}

// Whoever has nothing yet gets an account, and what they publish can be installed.
func TestHello(t *testing.T) {
	t.Parallel()
	withNPM(t, func(t *testing.T, use func(*integration.Home)) {
		registry := integration.StartExample(t, "hello")
		home := integration.NewHome(t, registry.URL)
		use(home)
		integration.NewBrowser(t).Approve(registry.URL+"-/auth/signup", map[string]string{"name": "alice", "email": "alice@acme.test", "password": integration.Password})
		home.SetToken(registry.SignIn("alice", ""))
		assert.Equal(t, "alice\n", home.OK("", "npm", "whoami").Stdout)
		dir := home.Package("widget", "1.0.0")
		app := enable2FA(t, home)
		home.OK(dir, "npm", "publish", "--otp="+app.Fresh())
		installs(t, registry, use, "widget", "1.0.0")

		login := home.Terminal("", "npm", "login", "--auth-type=legacy")
		login.Expect(`Username:`)
		login.Type("alice")
		login.Expect(`Password:`)
		login.Type(integration.Password)
		login.Expect(`(?i)one-time password`)
		login.Type(app.Fresh())
		login.OK()
		assert.Equal(t, "alice\n", home.OK("", "npm", "whoami").Stdout)
	})
}

// A registry below a path of another server, with people of a table of its own.
func TestPrefixExample(t *testing.T) {
	t.Parallel()
	withNPM(t, func(t *testing.T, use func(*integration.Home)) {
		registry := integration.StartExample(t, "prefix")
		home := integration.NewHome(t, registry.URL)
		use(home)
		login := home.Terminal("", "npm", "login", "--auth-type=legacy")
		login.Expect(`Username:`)
		login.Type("ada")
		login.Expect(`Password:`)
		login.Type(integration.Password)
		login.Expect(`Logged in`)
		login.OK()
		assert.Equal(t, "ada\n", home.OK("", "npm", "whoami").Stdout)
		app := enable2FA(t, home)
		home.OK(home.Package("@acme/widget", "1.0.0"), "npm", "publish", "--otp="+app.Fresh())

		project := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
		home.OK(project, "npm", "install", "@acme/widget")
		assert.FileExists(t, filepath.Join(project, "node_modules", "@acme", "widget", "index.js"))
		assert.Equal(t, http.StatusNotFound, registry.As("").Do("GET", "@acme%2fwidget", nil).Status, "a stranger")
	})
}
