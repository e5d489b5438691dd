package trust_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/trust"
)

func TestFields(t *testing.T) {
	const all = "createPackage, createStagedPackage, setDistTag, deprecate"
	want := map[string]map[string]string{
		"github, only names": {"type": "github", "issuer": trust.GitHubURL, "repository": "acme/widget", "workflow": "release.yml", "permissions": "createPackage"},
		"github, all": {"type": "github", "issuer": trust.GitHubURL, "repository": "acme/widget", "workflow": "release.yml", "environment": "Production",
			"repository_id": "731", "repository_owner_id": "42", "allow_events": "release, push", "reusable_workflow": "acme/ci/.github/workflows/publish.yaml@refs/tags/v3",
			"ref_protected": "true", "permissions": all},
		"gitlab, only names": {"type": "gitlab", "issuer": trust.GitLabURL, "project_path": "acme/tools/widget", "ci_config": ".gitlab-ci.yml", "permissions": "createStagedPackage"},
		"gitlab, all": {"type": "gitlab", "issuer": trust.GitLabURL, "project_path": "acme/tools/widget", "ci_config": ".gitlab-ci.yml", "environment": "Production",
			"project_id": "22", "namespace_id": "72", "allow_events": "web, pipeline", "ref_protected": "true", "permissions": all},
		"circleci, any context": {"type": "circleci", "issuer": circleCIIssuer.URL, "oidc.circleci.com/org-id": org, "oidc.circleci.com/project-id": project,
			"oidc.circleci.com/pipeline-definition-id": pipeline, "oidc.circleci.com/vcs-origin": "github.com/acme/widget", "permissions": "setDistTag"},
		"circleci, a context": {"type": "circleci", "issuer": circleCIIssuer.URL, "oidc.circleci.com/org-id": org, "oidc.circleci.com/project-id": project,
			"oidc.circleci.com/pipeline-definition-id": pipeline, "oidc.circleci.com/vcs-origin": "github.com/acme/widget", "oidc.circleci.com/context-ids": context1, "permissions": all},
		"oidc":               {"type": "oidc", "issuer": oidcIssuer.URL, "sub": "organization:acme:pipeline:Widget", "permissions": all},
		"custom, only names": {"type": "custom", "issuer": forgejoIssuer.URL, "repository": "acme/widget", "workflow": "release.yml", "permissions": all},
		"custom, all": {"type": "custom", "issuer": forgejoIssuer.URL, "repository": "acme/widget", "workflow": "release.yml", "environment": "Production",
			"repository_id": "Ab12", "permissions": all},
	}
	for _, p := range pairs() {
		assert.Equal(t, want[p.name], p.publisher.Fields(), p.name)
		delete(want, p.name)
	}
	assert.Empty(t, want)
}

// A claim of an operator's choice cannot be taken for something else.
func TestFieldsOfReservedNames(t *testing.T) {
	p := trust.Publisher{Kind: trust.KindCustom, Issuer: "https://ci.acme.test", Permissions: trust.SetDistTag, Claims: map[string]string{
		"type": "1", "issuer": "2", "permissions": "3", "publisher": "4", "package_id": "5", "expires": "6", "claims.type": "7", "Type": "8", "repository": "9", "scope": "10", "pending": "11",
	}}
	assert.Equal(t, map[string]string{
		"type": "custom", "issuer": "https://ci.acme.test", "permissions": "setDistTag",
		"claims.type": "1", "claims.issuer": "2", "claims.permissions": "3", "claims.publisher": "4", "claims.package_id": "5", "claims.expires": "6",
		"claims.claims.type": "7", "Type": "8", "repository": "9", "claims.scope": "10", "claims.pending": "11",
	}, p.Fields())
}

// What is not there is not there, also of what is no publisher.
func TestFieldsAreNotEmpty(t *testing.T) {
	assert.Equal(t, map[string]string{"type": "unknown"}, trust.Publisher{}.Fields())
	assert.Equal(t, map[string]string{"type": "github"}, trust.Publisher{Kind: trust.KindGitHub, GitHub: &trust.GitHub{}}.Fields())
}
