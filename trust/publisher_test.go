package trust_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/trust"
)

// A publisher that is made in Go is held to the same.
func TestPublisherValidate(t *testing.T) {
	for _, p := range pairs() {
		assert.NoError(t, p.publisher.Validate(), p.name)
	}
	for _, tt := range []struct {
		pair string
		to   func(*trust.Publisher)
	}{
		{"oidc", func(p *trust.Publisher) { p.ID = "a\n" }},
		{"oidc", func(p *trust.Publisher) { p.Kind = 9 }},
		{"oidc", func(p *trust.Publisher) { p.Claims = nil }},
		{"oidc", func(p *trust.Publisher) { p.GitHub = &trust.GitHub{Repository: "a/b", Workflow: "r.yml"} }},
		{"oidc", func(p *trust.Publisher) { p.Claims = map[string]string{"sub": strings.Repeat("a", 1025)} }},
		{"github, all", func(p *trust.Publisher) { p.Claims = map[string]string{} }},
		{"github, all", func(p *trust.Publisher) { p.GitLab = named(t, "gitlab, all").publisher.GitLab }},
		{"github, all", func(p *trust.Publisher) { p.GitHub = nil }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Repository = "acme/.." }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = "sub/release.yml" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = "release.yml@refs" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = "a@b.yml" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = ".yml" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = `sub\release.yml` }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Workflow = "release.YML" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Environment = "a\ufffd" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.Environment = "a\xff" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.RepositoryID = strings.Repeat("1", 21) }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "acme/ci/.github/workflows/publish.yml@" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "acme/ci/.github/workflows/publish.yml@v3" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "acme/ci/.github/workflows/x/publish.yml" }},
		{"github, all", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "ci/.github/workflows/publish.yml" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ProjectPath = "acme//widget" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ProjectPath = "acme/-/widget" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ProjectPath = "acme/widget/" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ProjectPath = strings.Repeat("a/", 22) + "a" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ConfigFile = "/ci.yml" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ConfigFile = "a//ci.yml" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ConfigFile = "ci.yml@acme/other" }},
		{"gitlab, all", func(p *trust.Publisher) { p.GitLab.ConfigFile = "ci.json" }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.OrgID = strings.ToUpper(org) }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.ProjectID = "x" }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.PipelineDefinitionID = org + "0" }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.VCSOrigin = "https://github.com/acme/widget" }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.VCSOrigin = "acme/widget" }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.ContextIDs = []string{} }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.ContextIDs = []string{"x"} }},
		{"circleci, a context", func(p *trust.Publisher) { p.CircleCI.ContextIDs = []string{context1, context1} }},
	} {
		p := named(t, tt.pair)
		tt.to(&p.publisher)
		assert.Error(t, p.publisher.Validate(), "%s: %+v", tt.pair, p.publisher)
		assert.Equal(t, "refused", reason(p.match(t), "type"), "what is not valid matches nothing")
		_, err := json.Marshal(p.publisher)
		assert.Error(t, err)
		_, _, err = p.publisher.Resolve([]trust.Issuer{p.issuer})
		assert.Error(t, err)
	}
}

// A publisher that is returned shares nothing with the one that it was made of.
func TestPublisherCopies(t *testing.T) {
	for _, p := range pairs() {
		before, err := json.Marshal(p.publisher)
		require.NoError(t, err)
		resolved, _, err := p.publisher.Resolve([]trust.Issuer{p.issuer})
		require.NoError(t, err)
		pinned, err := p.publisher.WithPins(nil)
		require.NoError(t, err)
		for _, c := range []trust.Publisher{resolved, pinned} {
			switch {
			case c.GitHub != nil:
				c.GitHub.Repository = "x"
				for i := range c.GitHub.AllowEvents {
					c.GitHub.AllowEvents[i] = "x"
				}
			case c.GitLab != nil:
				c.GitLab.ProjectPath = "x"
				for i := range c.GitLab.AllowEvents {
					c.GitLab.AllowEvents[i] = "x"
				}
			case c.CircleCI != nil:
				c.CircleCI.OrgID = "x"
				for i := range c.CircleCI.ContextIDs {
					c.CircleCI.ContextIDs[i] = "x"
				}
			default:
				clear(c.Claims)
			}
		}
		after, err := json.Marshal(p.publisher)
		require.NoError(t, err)
		assert.Equal(t, string(before), string(after), p.name)
	}
}

func TestResolve(t *testing.T) {
	acme := trust.Issuer{Kind: trust.KindGitHub, URL: trust.GitHubURL + "/acme"}
	own := trust.Issuer{Kind: trust.KindGitLab, URL: "https://gitlab.acme.test"}
	circle2 := trust.Issuer{Kind: trust.KindCircleCI, URL: "https://oidc.circleci.com/org/" + context2}
	one := []trust.Issuer{gitHubIssuer, gitLabIssuer, circleCIIssuer, circle2, oidcIssuer, forgejoIssuer}
	for _, p := range pairs() {
		for _, issuer := range []string{"", p.issuer.URL} {
			q := p.publisher
			q.Issuer = issuer
			got, in, err := q.Resolve(one)
			require.NoError(t, err, p.name)
			assert.Equal(t, p.publisher, got)
			assert.Equal(t, p.issuer, in)
			assert.Equal(t, issuer, q.Issuer)
		}
		_, _, err := p.publisher.Resolve(nil)
		assert.ErrorContains(t, err, "does not accept")
	}
	q := named(t, "github, all").publisher
	q.Issuer = ""
	_, _, err := q.Resolve([]trust.Issuer{acme, gitHubIssuer})
	assert.EqualError(t, err, "This registry has several issuers of type github. Send issuer with one of: https://token.actions.githubusercontent.com, https://token.actions.githubusercontent.com/acme.")
	q.Issuer = acme.URL
	got, in, err := q.Resolve([]trust.Issuer{gitHubIssuer, acme})
	require.NoError(t, err)
	assert.Equal(t, acme, in)
	assert.Equal(t, acme.URL, got.Issuer)
	_, _, err = q.Resolve([]trust.Issuer{gitHubIssuer})
	assert.EqualError(t, err, "This registry does not accept tokens of that issuer with type github.")
	q.Issuer = own.URL
	_, _, err = q.Resolve([]trust.Issuer{gitHubIssuer, own})
	assert.EqualError(t, err, "This registry does not accept tokens of that issuer with type github.")
	q.Issuer = ""
	_, _, err = q.Resolve([]trust.Issuer{own})
	assert.EqualError(t, err, "This registry does not accept tokens of type github.")
	_, _, err = named(t, "circleci, any context").publisher.Resolve([]trust.Issuer{circle2})
	assert.EqualError(t, err, "This registry does not accept tokens of that organization of CircleCI.")
	_, _, err = q.Resolve([]trust.Issuer{{Kind: trust.KindGitHub}})
	assert.Error(t, err, "an issuer that is not valid is none")

	c := named(t, "custom, all").publisher
	for claim, want := range map[string]string{"colour": "claims has a name that is not known here.", "event_name": "claims.event_name is what the registry's operator decides."} {
		bad := c
		bad.Claims = maps.Clone(c.Claims)
		bad.Claims[claim] = "push"
		_, _, err = bad.Resolve(one)
		assert.EqualError(t, err, want)
	}
	c.Claims = maps.Clone(c.Claims)
	delete(c.Claims, "workflow")
	_, _, err = c.Resolve(one)
	assert.EqualError(t, err, "claims.workflow is required.")
}
