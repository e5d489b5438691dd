package trust_test

import (
	"encoding/json"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/trust"
)

const (
	org      = issuertest.CircleOrg
	project  = issuertest.CircleProject
	pipeline = issuertest.CirclePipeline
	context1 = issuertest.CircleContext
	context2 = "0c1d2e3f-5555-4a1b-8c2d-eeeeeeeeeeee"
)

// A pair is a publisher and a token of it that matches.
type pair struct {
	name      string
	publisher trust.Publisher
	issuer    trust.Issuer
	claims    map[string]any // a string is quoted, json.RawMessage is not
}

var (
	gitHubIssuer   = trust.Issuer{Kind: trust.KindGitHub, URL: trust.GitHubURL}
	gitLabIssuer   = trust.Issuer{Kind: trust.KindGitLab, URL: trust.GitLabURL}
	circleCIIssuer = trust.Issuer{Kind: trust.KindCircleCI, URL: "https://oidc.circleci.com/org/" + org}
	oidcIssuer     = trust.Issuer{Kind: trust.KindOIDC, URL: "https://agent.buildkite.test"}
	forgejoIssuer  = trust.Issuer{Kind: trust.KindCustom, URL: "https://forge.acme.test/api/actions", Claims: []trust.Claim{
		{Name: "repository", Fold: true},
		{Name: "workflow"},
		{Name: "environment", Optional: true},
		{Name: "repository_id", Pin: true},
		{Name: "event_name", OneOf: []string{"push", "release"}},
	}}
)

// pairs returns a new copy of a pair of each kind, without and with what is optional.
func pairs() []pair {
	gitHub := issuertest.GitHub(map[string]any{"sub": "repo:acme/widget:environment:Production", "environment": "Production"})
	reusable := maps.Clone(gitHub)
	reusable["job_workflow_ref"] = "acme/ci/.github/workflows/publish.yaml@refs/tags/v3"
	gitLab := issuertest.GitLab(map[string]any{
		"sub": "project_path:acme/tools/widget:ref_type:branch:ref:main", "project_path": "acme/tools/widget", "namespace_path": "acme/tools",
		"ci_config_ref_uri": "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "pipeline_source": "web",
		"environment": "Production", "environment_protected": "true",
	})
	circleCI := issuertest.CircleCI(org, map[string]any{"oidc.circleci.com/context-ids": json.RawMessage(`["` + context2 + `","` + context1 + `"]`)})
	all := trust.CreatePackage | trust.CreateStagedPackage | trust.SetDistTag | trust.Deprecate
	return []pair{
		{
			"github, only names", trust.Publisher{Kind: trust.KindGitHub, Issuer: trust.GitHubURL, Permissions: trust.CreatePackage,
				GitHub: &trust.GitHub{Repository: "acme/widget", Workflow: "release.yml"}}, gitHubIssuer, gitHub,
		}, {
			"github, all", trust.Publisher{ID: "b", Kind: trust.KindGitHub, Issuer: trust.GitHubURL, Permissions: all,
				GitHub: &trust.GitHub{Repository: "acme/widget", Workflow: "release.yml", Environment: "Production", RepositoryID: "731", RepositoryOwnerID: "42",
					AllowEvents: []string{"release", "push"}, ReusableWorkflow: "acme/ci/.github/workflows/publish.yaml@refs/tags/v3", RefProtected: true}}, gitHubIssuer, reusable,
		}, {
			"gitlab, only names", trust.Publisher{Kind: trust.KindGitLab, Issuer: trust.GitLabURL, Permissions: trust.CreateStagedPackage,
				GitLab: &trust.GitLab{ProjectPath: "acme/tools/widget", ConfigFile: ".gitlab-ci.yml"}}, gitLabIssuer, gitLab,
		}, {
			"gitlab, all", trust.Publisher{ID: "d", Kind: trust.KindGitLab, Issuer: trust.GitLabURL, Permissions: all,
				GitLab: &trust.GitLab{ProjectPath: "acme/tools/widget", ConfigFile: ".gitlab-ci.yml", Environment: "Production", ProjectID: "22", NamespaceID: "72",
					AllowEvents: []string{"web", "pipeline"}, RefProtected: true}}, gitLabIssuer, maps.Clone(gitLab),
		}, {
			"circleci, any context", trust.Publisher{Kind: trust.KindCircleCI, Issuer: circleCIIssuer.URL, Permissions: trust.SetDistTag,
				CircleCI: &trust.CircleCI{OrgID: org, ProjectID: project, PipelineDefinitionID: pipeline, VCSOrigin: "github.com/acme/widget"}}, circleCIIssuer, circleCI,
		}, {
			"circleci, a context", trust.Publisher{ID: "f", Kind: trust.KindCircleCI, Issuer: circleCIIssuer.URL, Permissions: all,
				CircleCI: &trust.CircleCI{OrgID: org, ProjectID: project, PipelineDefinitionID: pipeline, VCSOrigin: "github.com/acme/widget",
					ContextIDs: []string{context1}}}, circleCIIssuer, maps.Clone(circleCI),
		}, {
			"oidc", trust.Publisher{ID: "g", Kind: trust.KindOIDC, Issuer: oidcIssuer.URL, Permissions: all,
				Claims: map[string]string{"sub": "organization:acme:pipeline:Widget"}}, oidcIssuer,
			map[string]any{"jti": "9", "sub": "organization:acme:pipeline:Widget", "iss": oidcIssuer.URL},
		}, {
			"custom, only names", trust.Publisher{Kind: trust.KindCustom, Issuer: forgejoIssuer.URL, Permissions: all,
				Claims: map[string]string{"repository": "acme/widget", "workflow": "release.yml"}}, forgejoIssuer,
			map[string]any{"jti": "9", "sub": "x", "repository": "acme/widget", "workflow": "release.yml", "environment": "Production", "repository_id": "Ab12", "event_name": "push"},
		}, {
			"custom, all", trust.Publisher{ID: "h", Kind: trust.KindCustom, Issuer: forgejoIssuer.URL, Permissions: all,
				Claims: map[string]string{"repository": "acme/widget", "workflow": "release.yml", "environment": "Production", "repository_id": "Ab12"}}, forgejoIssuer,
			map[string]any{"jti": "9", "sub": "x", "repository": "acme/widget", "workflow": "release.yml", "environment": "Production", "repository_id": "Ab12", "event_name": "push"},
		},
	}
}

// named returns the pair of that name.
func named(t testing.TB, name string) pair {
	t.Helper()
	for _, p := range pairs() {
		if p.name == name {
			return p
		}
	}
	require.Fail(t, "no such pair", name)
	return pair{}
}

// token returns the pair's token as a verifier does.
func (p pair) token(t testing.TB) trust.IDToken {
	t.Helper()
	payload, err := json.Marshal(p.claims)
	require.NoError(t, err)
	claims, err := trust.ParseClaims(payload)
	require.NoError(t, err)
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	return trust.IDToken{Issuer: p.issuer, ID: "a1b2", Issued: now, NotBefore: now, Expires: now.Add(5 * time.Minute), Until: now.Add(6 * time.Minute), Claims: claims}
}

// match compares the pair.
func (p pair) match(t testing.TB) []trust.Difference {
	t.Helper()
	return trust.Match(p.publisher, p.token(t))
}

// with returns the pair with another claim.
func (p pair) with(claim string, value any) pair {
	p.claims = maps.Clone(p.claims)
	p.claims[claim] = value
	return p
}

// reason returns what is wrong with a claim, or "" for nothing.
func reason(list []trust.Difference, claim string) string {
	for _, d := range list {
		if d.Claim == claim {
			return d.Reason.String()
		}
	}
	return ""
}

func number(s string) json.RawMessage {
	if _, err := strconv.Atoi(s); err == nil {
		return json.RawMessage(s)
	}
	return json.RawMessage("42")
}
