package trust_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/trust"
)

func TestRunOf(t *testing.T) {
	// What a test of its own does not set.
	github, gitlab, circleci := issuertest.GitHub(), issuertest.GitLab(), issuertest.CircleCI(org)
	for name, want := range map[string]map[string]string{
		"github, all": {"repository": "acme/widget", "repository_id": "731", "workflow_ref": "acme/widget/.github/workflows/release.yml@refs/heads/main",
			"job_workflow_ref": "acme/ci/.github/workflows/publish.yaml@refs/tags/v3", "ref": "refs/heads/main", "sha": github["sha"].(string), "event_name": "push", "environment": "Production",
			"run_id": "9", "run_attempt": "1", "actor": "alice"},
		"gitlab, all": {"project_path": "acme/tools/widget", "project_id": "22", "ci_config_ref_uri": "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "ref": "main",
			"sha": gitlab["sha"].(string), "environment": "Production", "pipeline_id": "5", "job_id": "6", "user_login": "alice", "pipeline_source": "web"},
		"circleci, a context": {"oidc.circleci.com/org-id": org, "oidc.circleci.com/project-id": project, "oidc.circleci.com/pipeline-definition-id": pipeline,
			"oidc.circleci.com/vcs-origin": "github.com/acme/widget", "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/workflow-id": circleci["oidc.circleci.com/workflow-id"].(string)},
		"oidc":        {"sub": "organization:acme:pipeline:Widget"},
		"custom, all": {"sub": "x", "repository": "acme/widget", "workflow": "release.yml", "environment": "Production", "repository_id": "Ab12", "event_name": "push"},
	} {
		p := named(t, name)
		if job, ok := p.claims["oidc.circleci.com/job-id"]; ok { // another each time
			want["oidc.circleci.com/job-id"] = job.(string)
		}
		assert.Equal(t, want, trust.RunOf(p.token(t)), name)
	}
	assert.Empty(t, trust.RunOf(trust.IDToken{}))
}

// A value is a line of bounded length, or digits.
func TestRunOfValues(t *testing.T) {
	p := named(t, "github, all")
	run := func(value any) string { return trust.RunOf(p.with("ref", value).token(t))["ref"] }
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"a number":          {json.RawMessage("17"), "17"},
		"zero":              {json.RawMessage("0"), "0"},
		"a fraction":        {json.RawMessage("1.5"), ""},
		"a negative number": {json.RawMessage("-1"), ""},
		"an exponent":       {json.RawMessage("1e9"), ""},
		"a boolean":         {true, ""},
		"null":              {nil, ""},
		"a list":            {[]string{"main"}, ""},
		"an object":         {map[string]string{"a": "b"}, ""},
		"nothing":           {"", ""},
		"two lines":         {"main\nX: y", ""},
		"an escape":         {"\x1b[31m", ""},
		"turned around":     {"a\u202eb", ""},
		"invisible":         {"a\u200bb", ""},
		"the longest":       {strings.Repeat("x", 256), strings.Repeat("x", 256)},
		"longer":            {strings.Repeat("x", 257), strings.Repeat("x", 253) + "…"},
		"cut in a rune":     {strings.Repeat("x", 252) + "ääää", strings.Repeat("x", 252) + "…"},
	} {
		got := run(tt.value)
		assert.Equal(t, tt.want, got, name)
		assert.LessOrEqual(t, len(got), 256)
		assert.True(t, utf8.ValidString(got))
	}
}

// All of it is bounded, however many claims an operator names, and none is taken for what an event says of its own.
func TestRunOfIsBounded(t *testing.T) {
	issuer := trust.Issuer{Kind: trust.KindCustom, URL: "https://ci.acme.test", Claims: []trust.Claim{{Name: "sub"}, {Name: "expires", Optional: true}}}
	claims := map[string]any{"sub": "s", "expires": "never"}
	for n := range 60 {
		name := fmt.Sprintf("%s%02d", strings.Repeat("n", 100), n)
		issuer.Claims = append(issuer.Claims, trust.Claim{Name: name, Optional: true})
		claims[name] = strings.Repeat("v", 300)
	}
	require.NoError(t, issuer.Validate())
	run := trust.RunOf(pair{issuer: issuer, claims: claims}.token(t))
	size := 0
	for name, value := range run {
		size += len(name) + len(value)
	}
	assert.LessOrEqual(t, size, 3<<10)
	assert.Greater(t, size, 2<<10)
	assert.Equal(t, "s", run["sub"])
	assert.Equal(t, "never", run["claims.expires"])
	assert.NotContains(t, run, "expires")
}
