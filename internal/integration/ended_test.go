package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AU-34: two hours after npm login, or when the session was ended elsewhere, packages that are
// public are installed as before, and those that are private are not there, as for nobody.
func TestInstallAfterTheLoginHasEnded(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{among("npm6", "npm8", "npm10", "npm11", "npm12"), among("yarn1", "yarn4"), among("pnpm10", "pnpm12"), {"bun"}} {
		play(t, clients, map[string]func(*scene){"ended": (*scene).installEnded})
	}
}

func (s *scene) installEnded() {
	alice := s.person(s.name)
	code := alice.app.Lasting()
	deps := []string{"one", "two", "three", "four", "five", "six"}
	for _, part := range deps {
		alice.publishes(code, "@"+s.name+"/"+part, "public", "1.0.0")
	}
	alice.publishes(code, "@"+s.name+"/secret", "restricted", "1.0.0")

	session := alice.home.Token()
	command := strings.TrimRight(s.client, "0123456789")
	install := func(token string, parts ...string) (installed bool, says string) {
		m := s.machine(token)
		dir := m.project(parts)
		args := []string{"install"}
		if command == "npm" && s.client != "npm6" { // which takes no audit but npmjs.com's
			args = append(args, "--audit") // as people do, whom it is not turned off
		}
		run := m.home.Run(dir, command, args...)
		installed = run.Code == 0
		for _, part := range parts {
			_, err := os.Stat(filepath.Join(dir, "node_modules", "@"+s.name, part, "package.json"))
			assert.Equal(s.t, installed, err == nil, "%s\n%s", part, run.Output())
		}
		return installed, run.Output()
	}
	installed, says := install(session, append(deps, "secret")...)
	require.True(s.t, installed, says)

	answer := s.registry.As(session).Do("DELETE", "-/user/token/"+session, nil)
	require.Equal(s.t, http.StatusOK, answer.Status)
	installed, says = install(session, deps...)
	require.True(s.t, installed, says)
	const notice = "Your login has expired or was ended. Run npm login."
	times := strings.Count(says, notice)
	// npm prints that of the audit, npm 6 that of the first read. No other prints one.
	assert.Equal(s.t, command == "npm", times > 0, says)
	assert.LessOrEqual(s.t, times, 2, "once, or twice where the first two reads come together\n%s", says)

	for _, token := range []string{session, ""} {
		installed, says = install(token, "secret")
		assert.False(s.t, installed, says)
		assert.Regexp(s.t, `404|Not Found|no such package`, says)
		assert.Equal(s.t, command == "npm" && token != "", strings.Contains(says, notice), says)
	}
	if command == "npm" {
		refused := s.machine(session).home.Run("", "npm", "whoami")
		assert.NotZero(s.t, refused.Code)
		assert.Contains(s.t, refused.Output(), notice)
		refused = s.machine(session).home.Run(alice.home.Package("@"+s.name+"/one", "2.0.0"), "npm", "publish")
		assert.NotZero(s.t, refused.Code)
		assert.Contains(s.t, refused.Output(), "E401")
		assert.Contains(s.t, refused.Output(), notice)
	}
}

// project makes the folder of a program that needs parts of the scene's scope.
func (a *actor) project(parts []string) string {
	a.t.Helper()
	deps := make([]string, len(parts))
	for i, part := range parts {
		deps[i] = `"@` + a.scene.name + "/" + part + `":"1.0.0"`
	}
	return a.home.Project("program", map[string]string{
		"package.json": `{"name":"program","version":"1.0.0","private":true,"dependencies":{` + strings.Join(deps, ",") + `}}`,
		".yarnrc.yml":  "npmAlwaysAuth: true\nnpmMinimalAgeGate: 0\n", // of Yarn 4
		"yarn.lock":    "",
	})
}
