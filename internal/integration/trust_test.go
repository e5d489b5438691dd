package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/internal/issuertest"
)

// ciSystems are the CI systems whose jobs may be trusted publishers.
type ciSystems struct {
	github, gitlab, circleci *issuertest.Issuer
	own                      *issuertest.Issuer // any other: its tokens are compared by sub
}

func newCISystems(t *testing.T) *ciSystems {
	return &ciSystems{
		github: issuertest.New(t), gitlab: issuertest.New(t, issuertest.ES256), circleci: issuertest.New(t).Org(issuertest.CircleOrg), own: issuertest.New(t),
	}
}

// flags are those of a registry that accepts their tokens.
func (c *ciSystems) flags() (flags []string) {
	for kind, issuer := range map[string]*issuertest.Issuer{"github": c.github, "gitlab": c.gitlab, "circleci": c.circleci, "oidc": c.own} {
		flags = append(flags, "-trust-issuer", kind+"="+issuer.URL())
	}
	return flags
}

// The trusted publishers that match the jobs of the CI systems, as npm trust sends them.
var (
	githubJob   = `{"type":"github","claims":{"repository":"` + issuertest.Repository + `","workflow_ref":{"file":"` + issuertest.Workflow + `"}},"permissions":["createPackage"]}`
	gitlabJob   = `{"type":"gitlab","claims":{"project_path":"` + issuertest.Repository + `","ci_config_ref_uri":{"file":".gitlab-ci.yml"}},"permissions":["createPackage"]}`
	circleciJob = `{"type":"circleci","claims":{"oidc.circleci.com/org-id":"` + issuertest.CircleOrg + `","oidc.circleci.com/project-id":"` + issuertest.CircleProject +
		`","oidc.circleci.com/pipeline-definition-id":"` + issuertest.CirclePipeline + `","oidc.circleci.com/vcs-origin":"github.com/` + issuertest.Repository + `"},"permissions":["createPackage"]}`
	ownJob = `{"type":"oidc","claims":{"sub":"repo:` + issuertest.Repository + `:ref:refs/heads/main"},"permissions":["createPackage"]}`
)

// trusts makes jobs trusted publishers of a package.
func (a *actor) trusts(pkg string, jobs ...string) {
	a.t.Helper()
	for _, job := range jobs {
		answer := a.registry.As(a.home.Token()).Do("POST", "-/package/"+url.PathEscape(pkg)+"/trust", []json.RawMessage{json.RawMessage(job)}, "npm-otp", a.app.Fresh())
		require.Equal(a.t, http.StatusCreated, answer.Status, answer.Body)
	}
}

// trusted makes somebody who has published a package whose trusted publishers are jobs.
func (s *scene) trusted(jobs ...string) (alice *actor, pkg string) {
	s.t.Helper()
	alice, pkg = s.person(s.name), "@"+s.name+"/widget"
	alice.publishes(alice.app.Fresh(), pkg, "restricted", "1.0.0")
	alice.trusts(pkg, jobs...)
	return alice, pkg
}

// audience is what the client requests ID tokens for: Yarn names the port, too.
func (s *scene) audience() string {
	u, err := url.Parse(s.registry.URL)
	require.NoError(s.t, err)
	if strings.HasPrefix(s.client, "yarn") {
		return "npm:" + u.Host
	}
	return "npm:" + u.Hostname()
}

// job is a machine of a CI system, which is named by a variable. It has no token of the registry's, and other variables.
func (s *scene) job(system string, variables ...string) *actor {
	s.t.Helper()
	ci := s.machine("")
	for i := 0; i < len(variables); i += 2 {
		ci.home.Set(variables[i], variables[i+1])
	}
	ci.home.Set("CI", "true")
	ci.home.Set(system, "true")
	return ci
}

// tokensOf serves the ID tokens of a job as GitHub does, to who presents the token of its requests. It returns the variables.
func (c *ciSystems) tokensOf(s *scene, changes map[string]any) []string {
	const requestToken = "request-token-of-the-job"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+requestToken || r.URL.Query().Get("audience") != s.audience() {
			http.Error(w, "{}", http.StatusForbidden)
			return
		}
		assert.NoError(s.t, json.NewEncoder(w).Encode(map[string]any{"value": c.github.GitHub(r.URL.Query().Get("audience"), changes)}))
	}))
	s.t.Cleanup(server.Close)
	return []string{"ACTIONS_ID_TOKEN_REQUEST_URL", server.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", requestToken}
}

// release returns the command with which the client publishes a version of a package, and the folder to run it in.
func (a *actor) release(pkg, version string) (dir, command string, args []string) {
	a.t.Helper()
	switch {
	case strings.HasPrefix(a.client, "yarn"):
		return a.workspace(pkg, version), "yarn", []string{"npm", "publish"}
	case strings.HasPrefix(a.client, "pnpm"):
		return a.home.Package(pkg, version), "pnpm", []string{"publish", "--no-git-checks"}
	}
	return a.home.Package(pkg, version), "npm", []string{"publish"}
}

// releases publishes a version of a package and checks that it says of which CI system its publisher is.
func (a *actor) releases(owner *actor, pkg, version, kind string) {
	a.t.Helper()
	dir, command, args := a.release(pkg, version)
	a.home.OK(dir, command, args...)
	manifest := owner.has(pkg, version)
	require.NotNil(a.t, manifest)
	by, _ := manifest["_npmUser"].(map[string]any)
	evidence, _ := by["trustedPublisher"].(map[string]any)
	assert.Equal(a.t, kind, evidence["id"], "%v", by)
	assert.Regexp(a.t, `^oidc:[0-9a-f-]{36}$`, evidence["oidcConfigId"])
}

// Jobs of CI systems publish without a token of the registry's, as each client finds their ID tokens.
func TestTrustedPublishing(t *testing.T) {
	t.Parallel()
	c := newCISystems(t)
	for _, npm := range among("npm11", "npm12") { // a registry checks few passwords at a time
		play(t, []string{npm}, map[string]func(*scene){
			"github": c.githubToken, "request": c.githubRequest, "gitlab": c.gitlabToken, "circleci": c.circleciToken,
			"workspaces": c.npmWorkspaces, "tag": c.npmTag, "mismatch": c.mismatch,
		}, c.flags()...)
	}
	play(t, among("pnpm11", "pnpm12"), map[string]func(*scene){
		"github": c.githubToken, "request": c.githubRequest, "gitlab": c.gitlabToken, "circleci": c.circleciToken, "mismatch": c.mismatch,
	}, c.flags()...)
	play(t, []string{"yarn4"}, map[string]func(*scene){
		"request": c.githubRequest, "gitlab": c.gitlabToken, "circleci": c.circleciToken, "mismatch": c.mismatch,
	}, c.flags()...)
}

func (c *ciSystems) githubToken(s *scene) {
	alice, pkg := s.trusted(githubJob)
	ci := s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience()))
	ci.releases(alice, pkg, "1.1.0", "github")
	if strings.HasPrefix(s.client, "npm") {
		assert.Contains(s.t, alice.asks("view", pkg), "by GitHub Actions\n")
		assert.Equal(s.t, "github\n", alice.asks("view", pkg, "_npmUser.trustedPublisher.id"))
	}
}

// Of a public repository clients turn provenance on if the package is public. This one is not.
func (c *ciSystems) githubRequest(s *scene) {
	alice, pkg := s.trusted(githubJob)
	ci := s.job("GITHUB_ACTIONS", c.tokensOf(s, map[string]any{"repository_visibility": "public"})...)
	ci.releases(alice, pkg, "1.1.0", "github")
	ci.releases(alice, pkg, "1.2.0", "github")
}

func (c *ciSystems) gitlabToken(s *scene) {
	alice, pkg := s.trusted(gitlabJob)
	s.job("GITLAB_CI", "NPM_ID_TOKEN", c.gitlab.GitLab(s.audience())).releases(alice, pkg, "1.1.0", "gitlab")
}

func (c *ciSystems) circleciToken(s *scene) {
	alice, pkg := s.trusted(circleciJob)
	s.job("CIRCLECI", "NPM_ID_TOKEN", c.circleci.CircleCI(s.audience())).releases(alice, pkg, "1.1.0", "circleci")
}

// OI-14: the ID token of a job counts once for each package.
func (c *ciSystems) npmWorkspaces(s *scene) {
	alice := s.person(s.name)
	names, dir := alice.monorepo("1.1.0", nil)
	names = names[:2]
	code := alice.app.Fresh()
	for _, name := range names {
		alice.publishes(code, name, "restricted", "1.0.0")
	}
	for _, name := range names {
		alice.trusts(name, githubJob)
	}
	ci := s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience()))
	ci.home.OK(dir, "npm", "publish", "--workspace=packages/a", "--workspace=packages/b")
	for _, name := range names {
		assert.NotNil(s.t, alice.has(name, "1.1.0"), name)
	}
	again := ci.home.Run(ci.home.Package(names[0], "1.2.0"), "npm", "publish")
	assert.NotZero(s.t, again.Code)
	assert.Contains(s.t, again.Output(), "the ID token was exchanged for this package before")
	assert.Nil(s.t, alice.has(names[0], "1.2.0"))
}

// npm exchanges an ID token for a dist-tag as for a publish, and what publishes alone moves no tag.
func (c *ciSystems) npmTag(s *scene) {
	alice, pkg := s.trusted(strings.Replace(githubJob, `"createPackage"`, `"createPackage","setDistTag"`, 1))
	ci := s.job("GITHUB_ACTIONS", c.tokensOf(s, nil)...)
	ci.releases(alice, pkg, "1.1.0", "github")
	ci.home.OK("", "npm", "dist-tag", "add", pkg+"@1.0.0", "old")
	_, d := alice.doc(pkg)
	assert.Equal(s.t, map[string]string{"latest": "1.1.0", "old": "1.0.0"}, d.Tags)
	ci.home.OK("", "npm", "dist-tag", "rm", pkg, "old")
	_, d = alice.doc(pkg)
	assert.Equal(s.t, map[string]string{"latest": "1.1.0"}, d.Tags)
}

// Whose job differs publishes nothing, and npm and pnpm print why in the registry's words. Yarn prints nothing of it.
func (c *ciSystems) mismatch(s *scene) {
	alice, pkg := s.trusted(gitlabJob)
	ci := s.job("GITLAB_CI", "NPM_ID_TOKEN", c.gitlab.GitLab(s.audience(), map[string]any{"project_path": "acme/fork"}))
	dir, command, args := ci.release(pkg, "1.1.0")
	refused := ci.home.Run(dir, command, args...)
	assert.NotZero(s.t, refused.Code)
	says := "none of its trusted publishers matches this job"
	if strings.HasPrefix(s.client, "yarn") {
		says = "No authentication configured for request"
	}
	assert.Contains(s.t, strings.Join(strings.Fields(refused.Output()), " "), says)
	assert.Nil(s.t, alice.has(pkg, "1.1.0"))
}

// OI-14, O-04: of the exchanges of one ID token at two nodes one succeeds, and its token publishes at either.
func TestExchangeAcrossNodes(t *testing.T) {
	c := newCISystems(t)
	eachEngine(t, func(t *testing.T, at string) {
		nodes := integration.StartNodes(t, 2, slices.Concat(seed("alice"), c.flags(), []string{"-store", at})...)
		alice := &actor{scene: &scene{t: t, registry: nodes[0]}, home: integration.NewHome(t, nodes[0].URL)}
		alice.home.SetToken(nodes[0].SignIn("alice", ""))
		alice.app, _ = nodes[0].Enrol(alice.home.Token())
		alice.publishes(alice.app.Fresh(), "widget", "public", "1.0.0")
		alice.trusts("widget", githubJob)
		for round := range 3 {
			bearer := c.github.GitHub(alice.audience())
			var wg sync.WaitGroup
			answers := make([]exchanged, 6)
			for i := range answers {
				wg.Go(func() { answers[i] = exchange(nodes[i%2].URL, bearer) })
			}
			wg.Wait()
			slices.SortFunc(answers, func(a, b exchanged) int { return a.status - b.status })
			require.Equal(t, http.StatusCreated, answers[0].status, "%v", answers)
			for _, a := range answers[1:] {
				require.Equal(t, http.StatusUnauthorized, a.status, "%v", answers)
			}
			machine := &actor{scene: &scene{t: t, registry: nodes[round%2]}, home: integration.NewHome(t, nodes[round%2].URL)}
			machine.home.SetToken(answers[0].Token)
			machine.publish("widget", "public", fmt.Sprintf("1.%d.0", round+1))
		}
	})
}

// exchanged is the answer to an exchange.
type exchanged struct {
	status int // 0 if there is none
	Token  string
}

func exchange(registry, bearer string) (a exchanged) {
	req, err := http.NewRequest(http.MethodPost, registry+"-/npm/v1/oidc/token/exchange/package/widget", nil)
	if err != nil {
		return exchanged{}
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return exchanged{}
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return exchanged{}
	}
	a.status = res.StatusCode
	return a
}

// OI-05: an issuer changes its keys between two publishes. Tokens of a key that it published before the registry fetched
// them are accepted at once, and those of a later one when the registry may fetch them anew.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	c := newCISystems(t)
	play(t, []string{"npm12"}, map[string]func(*scene){"rotation": c.rotation}, c.flags()...)
}

func (c *ciSystems) rotation(s *scene) {
	alice, pkg := s.trusted(ownJob)
	first := c.own.GitHub(s.audience())
	c.own.Rotate()
	s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", first).releases(alice, pkg, "1.1.0", "oidc")
	s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.own.GitHub(s.audience())).releases(alice, pkg, "1.2.0", "oidc")
	c.own.Rotate()
	c.own.Retire()
	require.Eventually(s.t, func() bool {
		return s.registry.As(c.own.GitHub(s.audience())).Do("POST", "-/npm/v1/oidc/token/exchange/package/"+url.PathEscape(pkg), nil).Status == http.StatusCreated
	}, 2*time.Minute, 2*time.Second)
	s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.own.GitHub(s.audience())).releases(alice, pkg, "1.3.0", "oidc")
}

// The commands of npm trust, with codes that are typed and at pages.
func TestNPMTrust(t *testing.T) {
	t.Parallel()
	c := newCISystems(t)
	play(t, among("npm11", "npm12"), map[string]func(*scene){
		"typed": c.trustTyped, "page": c.trustPage, "duplicate": c.trustDuplicate, "circleci": c.trustCircleCI,
	}, c.flags()...)
}

// trust runs npm trust at a terminal, answers its challenge with a code that is typed, and returns what it prints.
func (a *actor) trust(args ...string) *integration.Process {
	a.t.Helper()
	p := a.home.Terminal("", "npm", append([]string{"trust"}, args...)...)
	p.Expect(`Enter OTP:`)
	p.Type(a.app.Fresh())
	return p
}

var ofGitHub = []string{"--repo=" + issuertest.Repository, "--file=" + issuertest.Workflow, "--allow-publish", "--yes", "--auth-type=legacy"}

func (c *ciSystems) trustTyped(s *scene) {
	alice, pkg := s.person(s.name), "@"+s.name+"/widget"
	alice.publishes(alice.app.Lasting(), pkg, "restricted", "1.0.0")
	added := alice.trust(slices.Concat([]string{"github", pkg}, ofGitHub)...)
	id := added.Expect(`created successfully[\s\S]*id: ([0-9a-f-]{36})`)[1]
	added.OK()
	s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience())).releases(alice, pkg, "1.1.0", "github")
	alice.trust("revoke", pkg, "--id="+id, "--auth-type=legacy").OK()
	refused := s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience()))
	dir, command, args := refused.release(pkg, "1.2.0")
	assert.NotZero(s.t, refused.home.Run(dir, command, args...).Code)
}

// The pages say which job is trusted with what.
func (c *ciSystems) trustPage(s *scene) {
	alice, pkg := s.person(s.name), "@"+s.name+"/widget"
	alice.publishes(alice.app.Lasting(), pkg, "restricted", "1.0.0")
	p := alice.home.Terminal("", "npm", "trust", "gitlab", pkg, "--project="+issuertest.Repository, "--file=.gitlab-ci.yml", "--allow-publish", "--yes", "--auth-type=web")
	page := alice.atPage(p)
	for _, said := range []string{pkg, issuertest.Repository, ".gitlab-ci.yml"} {
		assert.Contains(s.t, page, said)
	}
	assert.Contains(s.t, p.OK().Output(), "created successfully")
	p = alice.home.Terminal("", "npm", "trust", "list", pkg, "--auth-type=web")
	alice.atPage(p)
	listed := p.OK().Output()
	for _, said := range []string{"type: gitlab", "file: .gitlab-ci.yml", "project: " + issuertest.Repository, "permissions: publish"} {
		assert.Contains(s.t, listed, said)
	}
	s.job("GITLAB_CI", "NPM_ID_TOKEN", c.gitlab.GitLab(s.audience())).releases(alice, pkg, "1.1.0", "gitlab")
}

func (c *ciSystems) trustDuplicate(s *scene) {
	alice, pkg := s.trusted(githubJob)
	refused := alice.trust(slices.Concat([]string{"github", pkg}, ofGitHub)...).Wait()
	assert.NotZero(s.t, refused.Code)
	assert.Contains(s.t, refused.Output(), "409 Conflict")
	assert.Regexp(s.t, `already exists.*delete and re-create`, refused.Output())
}

func (c *ciSystems) trustCircleCI(s *scene) {
	alice, pkg := s.person(s.name), "@"+s.name+"/widget"
	alice.publishes(alice.app.Lasting(), pkg, "restricted", "1.0.0")
	added := alice.trust("circleci", pkg, "--org-id="+issuertest.CircleOrg, "--project-id="+issuertest.CircleProject,
		"--pipeline-definition-id="+issuertest.CirclePipeline, "--vcs-origin=github.com/"+issuertest.Repository, "--allow-publish", "--yes", "--auth-type=legacy").OK()
	assert.Contains(s.t, added.Output(), "created successfully")
	s.job("CIRCLECI", "NPM_ID_TOKEN", c.circleci.CircleCI(s.audience())).releases(alice, pkg, "1.1.0", "circleci")
}

// One trusted publisher of an organization's scope publishes all packages of a monorepo, with one ID token.
func TestScopeTrust(t *testing.T) {
	t.Parallel()
	c := newCISystems(t)
	clients, flags := among("npm11", "npm12"), c.flags()
	for _, npm := range clients {
		flags = append(flags, "-org", "mono-"+npm+"=scope-"+npm)
	}
	play(t, clients, map[string]func(*scene){"scope": c.scopeWorkspaces}, flags...)
}

func (c *ciSystems) scopeWorkspaces(s *scene) {
	alice, org := s.person(s.name), "mono-"+s.client
	names, dir := alice.monorepoOf(org, "1.1.0", nil)
	code := alice.app.Lasting()
	for _, name := range names {
		alice.publishes(code, name, "restricted", "1.0.0")
	}
	path := "-/auth/v1/orgs/" + org + "/trust"
	added := s.registry.As(alice.home.Token()).Do("POST", path, []json.RawMessage{json.RawMessage(githubJob)}, "npm-otp", alice.app.Fresh())
	require.Equal(s.t, http.StatusCreated, added.Status, added.Body)
	var publishers []struct{ ID, Scope string }
	require.NoError(s.t, json.Unmarshal([]byte(added.Body), &publishers))
	require.Len(s.t, publishers, 1)
	assert.Equal(s.t, org, publishers[0].Scope)

	ci := s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience()))
	ci.home.OK(dir, "npm", "publish", "--workspaces")
	for _, name := range names {
		manifest := alice.has(name, "1.1.0")
		require.NotNil(s.t, manifest, name)
		by, _ := manifest["_npmUser"].(map[string]any)
		assert.Equal(s.t, map[string]any{"id": "github", "oidcConfigId": "oidc:" + publishers[0].ID}, by["trustedPublisher"])
	}
	fresh := func() *actor { return s.job("GITHUB_ACTIONS", "NPM_ID_TOKEN", c.github.GitHub(s.audience())) }
	absent := fresh()
	refused := absent.home.Run(absent.home.Package("@"+org+"/absent", "1.0.0"), "npm", "publish")
	assert.NotZero(s.t, refused.Code)
	assert.Contains(s.t, refused.Output(), "package not found")

	// npm trust shows it to maintainers of a package, and does not remove it.
	listed := alice.trust("list", names[0], "--auth-type=legacy").OK().Output()
	assert.Contains(s.t, listed, "id: "+publishers[0].ID)
	revoked := alice.trust("revoke", names[0], "--id="+publishers[0].ID, "--auth-type=legacy").Wait()
	assert.NotZero(s.t, revoked.Code)
	assert.Contains(s.t, revoked.Output(), "is of all packages in the scope @"+org)

	removed := s.registry.As(alice.home.Token()).Do("DELETE", path+"/"+publishers[0].ID, nil, "npm-otp", alice.app.Fresh())
	require.Equal(s.t, http.StatusNoContent, removed.Status, removed.Body)
	late := fresh()
	assert.NotZero(s.t, late.home.Run(late.home.Package(names[1], "1.2.0"), "npm", "publish").Code)
	assert.Nil(s.t, alice.has(names[1], "1.2.0"))
}
