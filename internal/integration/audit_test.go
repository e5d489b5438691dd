package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AU-65: a registry without advisories does not say that there are no vulnerabilities. An
// installation goes on without an audit, and an audit says why there is none. Yarn 1 asks another
// registry than its user's.
func TestAuditWithoutAdvisories(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{among("npm6", "npm7", "npm8", "npm10", "npm11", "npm12"), among("yarn2", "yarn3", "yarn4"), among("pnpm10", "pnpm12"), {"bun"}} {
		play(t, clients, map[string]func(*scene){"audit": (*scene).audit})
	}
}

func (s *scene) audit() {
	alice := s.person(s.name)
	alice.publishes(alice.app.Fresh(), "@"+s.name+"/one", "public", "1.0.0")
	dir := alice.project([]string{"one"})
	command := strings.TrimRight(s.client, "0123456789")
	install, audit := []string{"install"}, []string{"audit"}
	switch command {
	case "npm":
		install, audit = append(install, "--audit"), append(audit, "--audit")
	case "yarn":
		audit = []string{"npm", "audit"}
		if s.client != "yarn4" { // the others refuse a setting that they do not know
			require.NoError(s.t, os.Remove(filepath.Join(dir, ".yarnrc.yml")))
		}
	}
	run := alice.home.Run(dir, command, install...)
	require.Zero(s.t, run.Code, run.Output())
	assert.NotContains(s.t, run.Output(), "vulnerabilities")
	run = alice.home.Run(dir, command, audit...)
	assert.Equal(s.t, 1, run.Code, run.Output())
	assert.NotRegexp(s.t, `(?i)found 0 vuln|no known vuln|no vuln|no audit sugg`, run.Output())
	assert.Regexp(s.t, `has no advisories|does not support audit requests|doesn't exist|404`, run.Output())
	if s.client != "yarn4" { // its own fault, with any refusal
		assert.NotRegexp(s.t, `TypeError|\n +at `, run.Output(), "it crashes")
	}
}
