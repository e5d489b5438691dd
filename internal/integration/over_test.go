package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// AU-69: a login that was refused on its page ends, in every client that polls and ends at all.
// pnpm 11 and 12 wait for five minutes, whatever the answer.
func TestLoginIsOver(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{among("npm8", "npm10", "npm11", "npm12"), {"yarn4"}, among("vlt")} {
		play(t, clients, map[string]func(*scene){"over": (*scene).loginOver})
	}
}

func (s *scene) loginOver() {
	a := s.machine("")
	dir := a.vltProject("login")
	var p *integration.Process
	says := "Invalid response from web login endpoint"
	switch strings.TrimRight(s.client, "0123456789") {
	case "npm":
		p = a.home.Terminal("", "npm", "login", "--auth-type=web") // its Enter must not matter
	case "yarn":
		p = a.home.Terminal(dir, "yarn", "npm", "login", "--web-login")
		p.Expect(`browser now`)
		p.Type("n")
		says = "410"
	default:
		p = a.home.Terminal(dir, "vlt", "login")
	}
	refuse(s.t, p.Expect(`(http://\S+/-/auth/login/\S+)`)[1])
	run := p.Wait()
	assert.NotZero(s.t, run.Code, run.Output())
	assert.Contains(s.t, run.Output(), says)
	assert.NotContains(s.t, run.Output(), "Successfully")
}

// refuse opens the page at an address that a client has printed, and refuses what it asks for.
func refuse(t *testing.T, address string) {
	browser := integration.NewBrowser(t)
	browser.Submit(browser.Open(address), "deny", nil)
}

// So does a publish whose challenge was refused.
func TestChallengeIsOver(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{among("npm8", "npm10", "npm11", "npm12"), among("pnpm10"), {"bun"}, among("vlt")} {
		play(t, clients, map[string]func(*scene){"over": (*scene).challengeOver})
	}
}

func (s *scene) challengeOver() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	dir := alice.home.Package(pkg, "1.0.0")
	var p *integration.Process
	switch command := strings.TrimRight(s.client, "0123456789"); command {
	case "npm":
		p = alice.home.Terminal(dir, "npm", "publish", "--auth-type=web")
	case "pnpm":
		p = alice.home.Terminal(dir, "pnpm", "publish", "--no-git-checks")
	case "bun":
		p = alice.home.Start(dir, "bun", "publish")
	default:
		dir = alice.vltProject("publish")
		alice.vltLogin(dir)
		p = alice.home.Terminal(dir, "vlt", "publish")
	}
	refuse(s.t, p.Expect(`(http://\S+/-/auth/challenge/[A-Z0-9]+)`)[1])
	run := p.Wait()
	assert.NotZero(s.t, run.Code, run.Output())
	if s.client != "vlt" { // which writes that to a file
		assert.Contains(s.t, run.Output(), "This request for a one-time password is over")
	}
	assert.Nil(s.t, alice.has(pkg, "1.0.0"))
}

// AU-64: vlt logout ends its session and no other.
func TestVltLogout(t *testing.T) {
	t.Parallel()
	play(t, among("vlt"), map[string]func(*scene){"logout": (*scene).vltLogout})
}

func (s *scene) vltLogout() {
	alice := s.person(s.name)
	dir := alice.vltProject("program")
	session := alice.vltLogin(dir)
	assert.Contains(s.t, alice.home.OK(dir, "vlt", "whoami").Stdout, alice.name)
	alice.home.OK(dir, "vlt", "logout")
	assert.Equal(s.t, 401, s.registry.As(session).Do("GET", "-/whoami", nil).Status, "the session of vlt")
	assert.Equal(s.t, 200, s.registry.As(alice.home.Token()).Do("GET", "-/whoami", nil).Status, "another one")
}

// vltProject makes the folder of a package that knows the registry as vlt does, and Yarn's
// lock file.
func (a *actor) vltProject(name string) string {
	a.t.Helper()
	return a.home.Project(name, map[string]string{
		"package.json": `{"name":"@` + a.scene.name + `/widget","version":"1.0.0","license":"MIT"}`,
		"vlt.json":     `{"config":{"registry":"` + a.registry.URL + `","registries":{"npm":"` + a.registry.URL + `"}}}`,
		"yarn.lock":    "",
	})
}

// vltLogin logs the person in with vlt, and returns the session that it has stored.
func (a *actor) vltLogin(dir string) string {
	a.t.Helper()
	p := a.home.Terminal(dir, "vlt", "login")
	integration.NewBrowser(a.t).Approve(p.Expect(`(http://\S+/-/auth/login/\S+)`)[1],
		map[string]string{"name": a.name, "password": integration.Password, "code": a.app.Fresh()})
	p.OK()
	data, err := os.ReadFile(filepath.Join(a.home.Dir, ".xdata", "vlt", "auth", "keychain.json"))
	require.NoError(a.t, err)
	session := regexp.MustCompile(`npms_\w+`).FindString(string(data))
	require.NotEmpty(a.t, session)
	return session
}
