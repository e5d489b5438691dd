package integration_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// AU-66: in a job that has an ID token, clients exchange it first. Where the registry does not
// offer that they go on with the token that they have, and npm says why if there is none.
func TestTokenExchangeNotOffered(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{{"npm11", "npm12"}, {"pnpm12"}, {"yarn4"}} {
		play(t, clients, map[string]func(*scene){"exchange": (*scene).exchange})
	}
}

func (s *scene) exchange() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	idToken := func(claims string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}(`{"aud":"npm:127.0.0.1","project_visibility":"private"}`)
	command := []string{"CI=true", "GITLAB_CI=true", "NPM_ID_TOKEN=" + idToken}
	var says string
	switch strings.TrimRight(s.client, "0123456789") {
	case "npm":
		command, says = append(command, "npm", "publish"), "does not offer trusted publishing"
	case "pnpm":
		command, says = append(command, "pnpm", "publish", "--no-git-checks"), "Skipped OIDC"
	default:
		command, says = append(command, "yarn", "npm", "publish"), "No authentication"
	}
	for _, m := range []*actor{s.machine(""), alice.token(bypass())} {
		published := m.home.Token() != ""
		dir := m.workspaceOf(pkg, "1.0.0")
		run := m.home.Run(dir, "env", command...)
		assert.Equal(s.t, published, run.Code == 0, run.Output())
		assert.Equal(s.t, published, alice.has(pkg, "1.0.0") != nil)
		if !published {
			assert.Contains(s.t, run.Output(), says)
		}
	}
}

// workspaceOf makes a package as every client publishes it.
func (a *actor) workspaceOf(name, version string) string {
	if strings.HasPrefix(a.client, "yarn") {
		return a.workspace(name, version)
	}
	return a.home.Package(name, version)
}
