package clients_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/internal/issuertest"
)

// Tools that make a release publish with npm: with a token for CI, and with a code or at a page where
// somebody sits before them.
func TestReleaseTools(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, tool string
		release    func(p *person)
	}{
		{"semantic-release, with a token for CI", "semantic-release", func(p *person) { p.bypass(); p.semanticRelease() }},
		{"release-it, with a token for CI", "release-it", func(p *person) { p.bypass(); p.releaseIt() }},
		{"release-it, with a code", "release-it", func(p *person) { p.releaseIt("--npm.otp=" + p.app.Fresh()) }},
		{"np, with a token for CI", "np", func(p *person) { p.bypass(); p.np() }},
		{"np, with a code", "np", (*person).np},
	} {
		t.Run(test.name, func(t *testing.T) {
			integration.Require(t, "git")
			integration.RequireClients(t, test.tool, "npm12")
			t.Parallel()
			c := w.cell(t, "npm12")
			c.you = c.member()
			c.you.home.Use(test.tool)
			test.release(c.you)
			assert.Zero(t, c.result.Code, c.printed+c.log())
			require.True(t, c.you.hasPublished("1.0.0"), c.printed+c.log())
		})
	}
}

// Jobs of GitHub Actions publish as trusted publishers with those tools that let npm do it. Release-it asks npm who it is unless
// it is told not to, and semantic-release wants a token for every registry but npmjs.com, which npm then does not use.
func TestTrustedReleaseTools(t *testing.T) {
	ci := issuertest.New(t)
	w := newWorld(t, "-trust-issuer", "github="+ci.URL())
	for tool, release := range map[string]func(p *person){
		"release-it": func(p *person) { p.releaseIt("--npm.skipChecks") },
		"semantic-release": func(p *person) {
			p.home.Set("NPM_TOKEN", "none")
			p.semanticRelease()
		},
	} {
		t.Run(tool, func(t *testing.T) {
			integration.Require(t, "git")
			integration.RequireClients(t, tool, "npm12")
			t.Parallel()
			c := w.cell(t, "npm12")
			p := c.member()
			c.you = p
			p.publishes("restricted", "0.9.0")
			p.must(p.app.Fresh(), "POST", "-/package/"+url.PathEscape(p.pkg())+"/trust", []any{map[string]any{
				"type": "github", "permissions": []string{"createPackage"},
				"claims": map[string]any{"repository": issuertest.Repository, "workflow_ref": map[string]string{"file": issuertest.Workflow}},
			}})
			p.logsOut()
			p.home.Use(tool)
			p.job(ci)
			release(p)
			assert.Zero(t, c.result.Code, c.printed+c.log())
			require.True(t, p.hasPublished("1.0.0"), c.printed+c.log())
		})
	}
}

// job makes the home a machine of GitHub's that runs a job.
func (p *person) job(ci *issuertest.Issuer) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(p.t, json.NewEncoder(w).Encode(map[string]string{"value": ci.GitHub(r.URL.Query().Get("audience"))}))
	}))
	p.t.Cleanup(tokens.Close)
	for name, value := range map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push",
		"ACTIONS_ID_TOKEN_REQUEST_URL": tokens.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
	} {
		p.home.Set(name, value)
	}
}

// repository makes one of the person's package under git, with a remote.
func (p *person) repository(version string, files map[string]string) (dir string) {
	p.t.Helper()
	dir = p.home.Package(p.pkg(), version)
	remote := filepath.Join(p.home.Dir, "remote.git")
	p.home.Project(filepath.Base(dir), map[string]string{
		"package.json": `{"name":"` + p.pkg() + `","version":"` + version + `","license":"MIT","files":["index.js"],"repository":{"type":"git","url":"file://` + remote + `"}}`,
	})
	p.home.Project(filepath.Base(dir), files)
	p.home.OK("", "git", "init", "-q", "--bare", "-b", "main", remote)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"config", "user.name", "Ada"}, {"config", "user.email", "ada@acme.test"}, {"remote", "add", "origin", remote},
		{"add", "."}, {"commit", "-q", "-m", "feat: the first"}, {"push", "-q", "-u", "origin", "main"},
	} {
		p.home.OK(dir, "git", args...)
	}
	return dir
}

func (p *person) semanticRelease() {
	p.t.Helper()
	dir := p.repository("0.0.0-development", map[string]string{
		".releaserc.json": `{"branches":["main"],"plugins":["@semantic-release/commit-analyzer","@semantic-release/npm"]}`,
	})
	p.command = "semantic-release"
	p.runs(dir, "--no-ci")
}

func (p *person) releaseIt(flags ...string) {
	p.t.Helper()
	dir := p.repository("0.9.0", nil)
	p.command = "release-it"
	p.runs(dir, append([]string{"1.0.0", "--ci", "--npm.timeout=100"}, flags...)...)
}

// np sets a rule of a new package, which a token for CI may not, and does so before the publish with
// a code is over: that takes --no-2fa.
func (p *person) np() {
	p.t.Helper()
	dir := p.repository("0.9.0", nil)
	client := p.home.Terminal(dir, "np", "1.0.0", "--yolo", "--no-release-draft", "--no-2fa")
	client.Expect(`Continue\?`)
	client.Type("y")
	if p.ci == "" {
		client.Expect(`Enter OTP:`)
		client.Type(p.app.Fresh())
	}
	p.result = client.Wait()
	p.printed = p.result.Output()
}
