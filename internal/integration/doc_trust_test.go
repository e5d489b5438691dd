package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/trust"
)

// TestTrustDocument types the commands of docs/trusted-publishing.md as they stand there, from the first to the
// last, sends its requests, and runs the jobs of its CI systems.
func TestTrustDocument(t *testing.T) {
	t.Parallel()
	_, blocks := document(t, "docs/trusted-publishing.md")
	for _, npm := range among("npm11", "npm12") {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			c := newCISystems(t)
			registry := integration.Start(t, append(append(seed("alice"), "-org", "acme=alice"), c.flags()...)...)
			home := integration.NewHome(t, registry.URL)
			home.Use(npm)
			app, _ := registry.Enrol(registry.SignIn("alice", ""))
			d := &trustDocument{
				tokensDocument: &tokensDocument{t, registry, home, app, integration.NewBrowser(t), map[string]string{}, filepath.Join(home.Dir, "widget"), 0},
				systems:        c, npm: npm,
			}
			kinds := map[string]int{}
			for _, b := range blocks {
				kinds[b.language]++
				switch b.language {
				case "sh":
					for line := range strings.Lines(b.text) {
						d.typed(strings.TrimSpace(line))
					}
				case "ini":
					d.npmrc(b.text)
				case "yaml":
					d.job(b.text)
				case "json":
					d.request(b.text)
				}
			}
			assert.Equal(t, map[string]int{"sh": 3, "ini": 1, "json": 5, "yaml": 3, "go": 2}, kinds)
		})
	}
}

type trustDocument struct {
	*tokensDocument
	systems *ciSystems
	npm     string
	listed  string // by the last command of npm trust
	answer  string // to the last dry run
}

// typed types a command, and answers what npm asks.
func (d *trustDocument) typed(line string) {
	d.t.Helper()
	args := words(d.here(line))
	switch {
	case args[0] == "registry":
		integration.Start(d.t, args[1:]...)
	case line == "npm publish":
		d.project = d.home.Package("@acme/widget", "1.0.0")
		p := d.home.Terminal(d.project, "npm", "publish")
		d.confirm(p)
		p.OK()
	case args[1] == "trust":
		if args[2] == "revoke" { // its jobs have another one that matches, of the next block
			id := regexp.MustCompile(`type: gitlab\s+id: (\S+)`).FindStringSubmatch(d.listed)
			require.NotNil(d.t, id, d.listed)
			args[4] = "--id=" + id[1]
		}
		p := d.home.Terminal("", "npm", args[1:]...)
		d.confirm(p)
		d.listed = p.OK().Output()
	default:
		d.tokensDocument.typed(line)
	}
}

// ask sends a request about the package, with a code.
func (d *trustDocument) ask(method, path string, body any) integration.Answer {
	d.t.Helper()
	return d.registry.As(d.home.Token()).Do(method, path, body, "npm-otp", d.app.Fresh())
}

// request sends what a block has: a trusted publisher, or the claims of a dry run. A difference is one that the dry run has found.
func (d *trustDocument) request(text string) {
	d.t.Helper()
	text = strings.ReplaceAll(text, trust.GitHubURL, d.systems.github.URL())
	switch {
	case strings.Contains(text, `"repository_id": "731", "repository_owner_id"`): // of a name that has no package
		d.first(text)
	case strings.Contains(text, `"acme/monorepo"`): // of a scope
		d.scope(text)
	case strings.HasPrefix(text, "["):
		added := d.ask("POST", "-/package/@acme%2fwidget/trust", json.RawMessage(text))
		require.Equal(d.t, http.StatusCreated, added.Status, added.Body)
	case strings.Contains(text, `"claims"`):
		checked := d.ask("POST", "-/auth/v1/trust/@acme%2fwidget/check", json.RawMessage(text))
		require.Equal(d.t, http.StatusOK, checked.Status, checked.Body)
		d.answer = checked.Body
	default:
		var checked struct {
			Publishers []struct {
				Matches     bool
				Differences []map[string]any
			}
		}
		require.NoError(d.t, json.Unmarshal([]byte(d.answer), &checked), d.answer)
		var difference map[string]any
		require.NoError(d.t, json.Unmarshal([]byte(text), &difference))
		var all []map[string]any
		for _, p := range checked.Publishers {
			assert.False(d.t, p.Matches)
			all = append(all, p.Differences...)
		}
		assert.Contains(d.t, all, difference)
	}
}

// first adds a pending trusted publisher, and runs the job that creates the package.
func (d *trustDocument) first(text string) {
	d.t.Helper()
	added := d.ask("POST", "-/package/@acme%2fnew/trust", json.RawMessage(text))
	require.Equal(d.t, http.StatusCreated, added.Status, added.Body)
	p := d.home.Terminal("", "npm", "trust", "list", "@acme/new")
	d.confirm(p)
	p.OK()
	runner := d.github(nil)
	runner.OK(runner.Package("@acme/new", "1.0.0"), "npm", "publish")
	require.True(d.t, published(d.registry, d.home, "@acme/new", "1.0.0"))
	owned := d.registry.As(d.home.Token()).Do("GET", "@acme%2fnew", nil)
	assert.Contains(d.t, owned.Body, `"maintainers":[{"name":"alice"`)
	bound := d.ask("GET", "-/package/@acme%2fnew/trust", nil)
	assert.Contains(d.t, bound.Body, `"repository_id":"731"`)
	assert.NotContains(d.t, bound.Body, "pending")
}

// github returns the home of a job of GitHub Actions, whose ID tokens have these claims besides.
func (d *trustDocument) github(changes map[string]any) *integration.Home {
	d.t.Helper()
	runner := integration.NewHome(d.t, d.registry.URL)
	runner.Use(d.npm)
	for name, value := range map[string]string{"CI": "true", "GITHUB_ACTIONS": "true"} {
		runner.Set(name, value)
	}
	variables := d.systems.tokensOf(&scene{t: d.t, registry: d.registry, client: d.npm}, changes)
	for i := 0; i < len(variables); i += 2 {
		runner.Set(variables[i], variables[i+1])
	}
	return runner
}

// scope adds a trusted publisher of the scope, runs its job for two packages, and removes it.
func (d *trustDocument) scope(text string) {
	d.t.Helper()
	const path = "-/auth/v1/orgs/acme/trust"
	added := d.ask("POST", path, json.RawMessage(text))
	require.Equal(d.t, http.StatusCreated, added.Status, added.Body)
	workflow := "acme/monorepo/.github/workflows/release.yml@refs/heads/main"
	runner := d.github(map[string]any{"repository": "acme/monorepo", "repository_id": "732", "workflow_ref": workflow, "job_workflow_ref": workflow})
	for _, name := range []string{"@acme/new", "@acme/widget"} {
		runner.OK(runner.Package(name, "1.0.1"), "npm", "publish")
		require.True(d.t, published(d.registry, d.home, name, "1.0.1"))
	}
	p := d.home.Terminal("", "npm", "trust", "list", "@acme/new")
	d.confirm(p)
	assert.Contains(d.t, p.OK().Output(), "acme/monorepo")
	var list []struct{ ID, Scope string }
	require.NoError(d.t, json.Unmarshal([]byte(added.Body), &list))
	require.Len(d.t, list, 1)
	assert.Equal(d.t, "acme", list[0].Scope)
	assert.Equal(d.t, http.StatusNoContent, d.ask("DELETE", path+"/"+list[0].ID, nil).Status)
}

// job runs the commands of a job, in a home that has nothing but what its CI system gives it, for a release of its own.
func (d *trustDocument) job(text string) {
	d.t.Helper()
	require.FileExists(d.t, filepath.Join(d.project, ".npmrc"))
	version := d.next()
	runner := integration.NewHome(d.t, "http://127.0.0.1:1/") // the project's file names the registry
	runner.Use(d.npm)
	runner.Set("CI", "true")
	s := &scene{t: d.t, registry: d.registry, client: d.npm}
	setUp := ""
	switch {
	case strings.Contains(text, "id-token: write"):
		runner.Set("GITHUB_ACTIONS", "true")
		variables := d.systems.tokensOf(s, nil)
		for i := 0; i < len(variables); i += 2 {
			runner.Set(variables[i], variables[i+1])
		}
	case strings.Contains(text, "id_tokens:"):
		runner.Set("GITLAB_CI", "true")
		runner.Set("CI_COMMIT_TAG", "v"+version)
		environment := regexp.MustCompile(`environment: (\S+)`).FindStringSubmatch(text)
		require.NotNil(d.t, environment, text)
		for _, m := range regexp.MustCompile(`(?m)^\s+(\w+):\n\s+aud: (\S+)$`).FindAllStringSubmatch(d.local(text), -1) {
			runner.Set(m[1], d.systems.gitlab.GitLab(m[2], map[string]any{"environment": environment[1]}))
		}
	case strings.Contains(text, "circleci run oidc get"):
		runner.Set("CIRCLECI", "true")
		setUp = d.circleci()
	default:
		require.Fail(d.t, "no CI system", text)
	}
	commands := regexp.MustCompile(`(?m)^\s*(?:- |- run: )((?:npm|NPM_ID_TOKEN=\$\S+) .*)$`).FindAllStringSubmatch(d.local(text), -1)
	require.GreaterOrEqual(d.t, len(commands), 2, text)
	for _, c := range commands {
		runner.OK(d.project, "sh", "-c", setUp+c[1])
	}
	require.True(d.t, published(d.registry, d.home, "@acme/widget", version), text)
	if strings.Contains(text, "dist-tag add") {
		tags := d.registry.As(d.home.Token()).Do("GET", "-/package/@acme%2fwidget/dist-tags", nil)
		assert.JSONEq(d.t, `{"latest":"`+version+`","stable":"`+version+`"}`, tags.Body)
	}
}

// local makes an audience of the document that of the registry.
func (d *trustDocument) local(text string) string {
	return strings.ReplaceAll(text, "npm:registry.example", "npm:127.0.0.1")
}

// circleci makes the command with which a job gets an ID token, and returns what finds it.
func (d *trustDocument) circleci() string {
	dir := d.t.TempDir()
	script := "#!/bin/sh\n[ \"$*\" = 'run oidc get --claims {\"aud\":\"npm:127.0.0.1\"}' ] && echo " + d.systems.circleci.CircleCI("npm:127.0.0.1") + "\n"
	require.NoError(d.t, os.WriteFile(filepath.Join(dir, "circleci"), []byte(script), 0o755))
	return "PATH=" + dir + ":$PATH; "
}
