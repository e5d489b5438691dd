package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/integration"
)

// What npm was told has happened, has happened, whenever the power goes.
func TestKill(t *testing.T) {
	registry, home, app := member(t)
	token := createToken(t, home, "--name=ci", "--packages-all", "--bypass-2fa",
		"--packages-and-scopes-permission=read-write", "--otp="+app.Fresh())
	registry.Kill()
	registry.Restart()
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout), "the login")

	code := app.Fresh()
	home.OK(home.Package("widget", "1.0.0"), "npm", "publish", "--otp="+code)
	registry.Kill()
	registry.Restart()
	project := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	home.OK(project, "npm", "install", "widget")

	other := integration.NewHome(t, registry.URL)
	other.SetToken(registry.SignIn("alice", app.Fresh()))
	result := other.Run(other.Package("gadget", "1.0.0"), "npm", "publish", "--otp="+code)
	assert.Contains(t, result.Output(), "EOTP", "a code that was spent stays spent")

	ci := machine(t, registry, token)
	ci.OK(ci.Package("gadget", "1.0.0"), "npm", "publish")
}
