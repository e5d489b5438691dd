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

// mutations are what is done to a claim, in the order of the columns of the table of TestMutations.
var mutations = []struct {
	name string
	to   func(value string) any // nil removes the claim
}{
	{"removed", nil},
	{"other", func(string) any { return "other" }},
	{"in upper case", onText(strings.ToUpper)},
	{"a number", func(s string) any { return number(s) }},
	{"null", func(string) any { return nil }},
	{"an array", func(s string) any { return []string{s} }},
	{"space before", onText(func(s string) string { return " " + s })},
	{"space behind", onText(func(s string) string { return s + " " })},
	{"longer", onText(func(s string) string { return s + "0" })},
	{"shorter", onText(func(s string) string { return s[:max(0, len(s)-1)] })},
	{"empty", func(string) any { return "" }},
}

func onText(f func(string) string) func(string) any { return func(s string) any { return f(s) } }

var letters = map[byte]string{'.': "", 'M': "missing", 'F': "malformed", 'D': "different", 'R': "refused"}

// Every claim of every kind of token is changed in every way, one at a time. OI-27 and O-05 are columns and rows of it.
func TestMutations(t *testing.T) {
	for name, rows := range map[string]string{
		// The columns are the mutations above. What is not a row is not compared.
		"github, only names": `
			repository          MD.FFFDDDDD
			repository_id       MF.FFFFF..F
			repository_owner_id MF.FFFFF..F
			workflow_ref        MDDFFFDD..D
			job_workflow_ref    MDDFFFDDDDD
			event_name          MRRFFFRRRRR`,
		"github, all": `
			repository          MD.FFFDDDDD
			repository_id       MD.FFFDDDDD
			repository_owner_id MD.FFFDDDDD
			workflow_ref        MDDFFFDD..D
			job_workflow_ref    MDDFFFDDDDD
			environment         MD.FFFDDDDD
			event_name          MRRFFFRRRRR
			ref_protected       MDDFFFDDDDD`,
		"gitlab, only names": `
			project_path        MD.FFFDDDDD
			project_id          MF.FFFFF..F
			namespace_id        MF.FFFFF..F
			ref_path            MDDFFFDD..D
			ci_config_ref_uri   MDDFFFDDDDD
			pipeline_source     MRRFFFRRRRR`,
		"gitlab, all": `
			project_path        MD.FFFDDDDD
			project_id          MD.FFFDDDDD
			namespace_id        MD.FFFDDDDD
			ref_path            MDDFFFDD..D
			ci_config_ref_uri   MDDFFFDDDDD
			environment         MDDFFFDDDDD
			pipeline_source     MRRFFFRRRRR
			ref_protected       MDDFFFDDDDD`,
		"circleci, any context": `
			oidc.circleci.com/org-id                  MDDFFFDDDDD
			oidc.circleci.com/project-id              MDDFFFDDDDD
			oidc.circleci.com/pipeline-definition-id  MDDFFFDDDDD
			oidc.circleci.com/vcs-origin              MDDFFFDDDDD
			oidc.circleci.com/ssh-rerun               MRRRRRRRRRR`,
		"circleci, a context": `
			oidc.circleci.com/org-id                  MDDFFFDDDDD
			oidc.circleci.com/project-id              MDDFFFDDDDD
			oidc.circleci.com/pipeline-definition-id  MDDFFFDDDDD
			oidc.circleci.com/vcs-origin              MDDFFFDDDDD
			oidc.circleci.com/context-ids             MFFFFDFFFFF
			oidc.circleci.com/ssh-rerun               MRRRRRRRRRR`,
		"oidc": `
			sub                 MDDFFFDDDDD`,
		"custom, only names": `
			repository          MD.FFFDDDDD
			workflow            MDDFFFDDDDD
			repository_id       M..FFFFF..F
			event_name          MRRFFFRRRRR`,
		"custom, all": `
			repository          MD.FFFDDDDD
			workflow            MDDFFFDDDDD
			environment         MDDFFFDDDDD
			repository_id       MDDFFFDDDDD
			event_name          MRRFFFRRRRR`,
	} {
		p := named(t, name)
		require.Empty(t, p.match(t), "%s: it matches as it is", name)
		table := map[string]string{}
		for line := range strings.Lines(strings.TrimSpace(rows)) {
			fields := strings.Fields(line)
			require.Len(t, fields, 2)
			require.Contains(t, p.claims, fields[0])
			table[fields[0]] = fields[1]
		}
		for claim, value := range p.claims {
			text, _ := value.(string)
			row, compared := table[claim]
			for n, mutation := range mutations {
				changed := p
				changed.claims = maps.Clone(p.claims)
				if mutation.to == nil {
					delete(changed.claims, claim)
				} else {
					changed.claims[claim] = mutation.to(text)
				}
				want := ""
				if compared {
					require.Len(t, row, len(mutations), claim)
					want = letters[row[n]]
				}
				got := changed.match(t)
				assert.Equal(t, want, reason(got, claim), "%s: %s, %s: %v", name, claim, mutation.name, got)
				also := 0 // the claims that must agree with it
				switch {
				case claim == "workflow_ref" && name == "github, only names", claim == "ref_path":
					also = 1
				}
				assert.LessOrEqual(t, len(got), 1+also, "%s: %s, %s: %v", name, claim, mutation.name, got)
				if want == "" && also == 0 {
					assert.Empty(t, got, "%s: %s, %s", name, claim, mutation.name)
				}
			}
		}
	}
}

// Nothing of a publisher may be lost on the way: each of its fields decides about a token.
func TestPublisherFields(t *testing.T) {
	for _, tt := range []struct {
		pair  string
		claim string
		to    func(*trust.Publisher)
	}{
		{"github, all", "repository", func(p *trust.Publisher) { p.GitHub.Repository = "acme/gadget" }},
		{"github, all", "workflow_ref", func(p *trust.Publisher) { p.GitHub.Workflow = "publish.yml" }},
		{"github, all", "environment", func(p *trust.Publisher) { p.GitHub.Environment = "staging" }},
		{"github, all", "repository_id", func(p *trust.Publisher) { p.GitHub.RepositoryID = "732" }},
		{"github, all", "repository_owner_id", func(p *trust.Publisher) { p.GitHub.RepositoryOwnerID = "43" }},
		{"github, all", "event_name", func(p *trust.Publisher) { p.GitHub.AllowEvents = []string{"release"} }},
		{"github, all", "job_workflow_ref", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "" }},
		{"github, only names", "job_workflow_ref", func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = "acme/ci/.github/workflows/publish.yaml" }},
		{"gitlab, all", "project_path", func(p *trust.Publisher) { p.GitLab.ProjectPath = "acme/widget" }},
		{"gitlab, all", "ci_config_ref_uri", func(p *trust.Publisher) { p.GitLab.ConfigFile = "ci/release.yml" }},
		{"gitlab, all", "environment", func(p *trust.Publisher) { p.GitLab.Environment = "production" }},
		{"gitlab, all", "project_id", func(p *trust.Publisher) { p.GitLab.ProjectID = "23" }},
		{"gitlab, all", "namespace_id", func(p *trust.Publisher) { p.GitLab.NamespaceID = "73" }},
		{"gitlab, all", "pipeline_source", func(p *trust.Publisher) { p.GitLab.AllowEvents = []string{"schedule"} }},
		{"circleci, a context", "oidc.circleci.com/org-id", func(p *trust.Publisher) { p.CircleCI.OrgID = context2 }},
		{"circleci, a context", "oidc.circleci.com/project-id", func(p *trust.Publisher) { p.CircleCI.ProjectID = context2 }},
		{"circleci, a context", "oidc.circleci.com/pipeline-definition-id", func(p *trust.Publisher) { p.CircleCI.PipelineDefinitionID = context2 }},
		{"circleci, a context", "oidc.circleci.com/vcs-origin", func(p *trust.Publisher) { p.CircleCI.VCSOrigin = "github.com/acme/gadget" }},
		{"circleci, a context", "oidc.circleci.com/context-ids", func(p *trust.Publisher) { p.CircleCI.ContextIDs = []string{context1, pipeline} }},
		{"oidc", "sub", func(p *trust.Publisher) { p.Claims["sub"] = "organization:acme:pipeline:widget" }},
		{"custom, all", "repository", func(p *trust.Publisher) { p.Claims["repository"] = "acme/gadget" }},
		{"custom, all", "repository_id", func(p *trust.Publisher) { p.Claims["repository_id"] = "ab12" }},
		{"custom, all", "type", func(p *trust.Publisher) { p.Claims["colour"] = "red" }},
		{"custom, all", "type", func(p *trust.Publisher) { delete(p.Claims, "workflow") }},
		{"oidc", "iss", func(p *trust.Publisher) { p.Issuer = "" }},
		{"oidc", "iss", func(p *trust.Publisher) { p.Kind = trust.KindCustom }},
		{"oidc", "type", func(p *trust.Publisher) { p.Permissions = 0 }},
		{"oidc", "type", func(p *trust.Publisher) { p.Kind = trust.KindGitHub }},
		{"oidc", "type", func(p *trust.Publisher) { *p = trust.Publisher{} }},
	} {
		p := named(t, tt.pair)
		require.Empty(t, p.match(t))
		tt.to(&p.publisher)
		assert.NotEmpty(t, reason(p.match(t), tt.claim), "%s: %s", tt.pair, tt.claim)
	}
}

// Two instances never share an identity, whatever their tokens say: OI-09, O-03.
func TestIssuers(t *testing.T) {
	for _, tt := range []struct{ name, url string }{
		{"github, only names", "https://token.actions.githubusercontent.com/acme"},
		{"github, only names", "https://token.actions.githubusercontent.com.evil.test"},
		{"github, only names", "https://ghes.acme.test/_services/token"},
		{"gitlab, only names", "https://gitlab.acme.test"},
		{"gitlab, only names", "https://gitlab.com/gitlab"},
		{"gitlab, only names", "https://gitlab.com:8443"},
		{"circleci, any context", "https://oidc.circleci.com/org/" + context1},
		{"oidc", "https://agent.buildkite.test/"},
		{"custom, all", "https://forge.acme.test"},
	} {
		p := named(t, tt.name)
		p.issuer.URL = tt.url
		require.NoError(t, p.issuer.Validate(), tt.url)
		got := p.match(t)
		require.Len(t, got, 1, tt.url)
		assert.Equal(t, "iss", got[0].Claim)
		assert.Equal(t, trust.Different, got[0].Reason)
	}
	for _, p := range pairs() {
		for _, other := range pairs() {
			if p.issuer.URL != other.issuer.URL {
				assert.Equal(t, "different", reason(trust.Match(p.publisher, other.token(t)), "iss"), "%s of %s", other.name, p.name)
			}
		}
		p.issuer.Kind = trust.KindUnknown
		assert.NotEmpty(t, p.match(t), p.name)
		assert.NotEmpty(t, trust.Match(p.publisher, trust.IDToken{}), p.name)
		assert.NotEmpty(t, trust.Match(trust.Publisher{}, p.token(t)), p.name)
	}
	assert.NotEmpty(t, trust.Match(trust.Publisher{}, trust.IDToken{}))

	p := named(t, "oidc") // an issuer that is not valid is not compared with
	p.publisher.Kind, p.issuer.Kind = trust.KindCustom, trust.KindCustom
	p.issuer.Claims = []trust.Claim{{Name: "sub"}}
	require.Empty(t, p.match(t))
	p.issuer.Claims[0].Optional = true
	assert.Equal(t, "different", reason(p.match(t), "iss"))

	p = named(t, "circleci, any context")
	p.publisher.Issuer = "https://oidc.circleci.com/org/" + context1
	p.issuer.URL = p.publisher.Issuer
	assert.Equal(t, "different", reason(p.match(t), "iss"), "an organization's tokens come of its own issuer")
}

// OI-19, OI-24, O-06: what the provider does not tell apart by case matches in any, and nothing else does.
func TestCase(t *testing.T) {
	for _, tt := range []struct {
		pair, claim, value, want string
	}{
		{"github, all", "repository", "ACME/Widget", ""},
		{"github, all", "repository", "acme/wid\u212Aet", "different"},
		{"github, all", "workflow_ref", "Acme/WIDGET/.github/workflows/release.yml@refs/heads/main", ""},
		{"github, all", "workflow_ref", "acme/widget/.github/workflows/Release.yml@refs/heads/main", "different"},
		{"github, all", "workflow_ref", "acme/widget/.GitHub/workflows/release.yml@refs/heads/main", "different"},
		{"github, all", "environment", "production", ""},
		{"github, all", "environment", "PRODUCTION", ""},
		{"github, all", "environment", "Productio\u0274", "different"},
		{"gitlab, all", "project_path", "Acme/Tools/WIDGET", ""},
		{"gitlab, all", "ci_config_ref_uri", "gitlab.com/Acme/tools/WIDGET//.gitlab-ci.yml@refs/heads/main", ""},
		{"gitlab, all", "ci_config_ref_uri", "GitLab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "different"},
		{"gitlab, all", "ci_config_ref_uri", "gitlab.com/acme/tools/widget//.GitLab-ci.yml@refs/heads/main", "different"},
		{"gitlab, all", "ci_config_ref_uri", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/Main", "different"},
		{"gitlab, all", "environment", "production", "different"},
		{"circleci, any context", "oidc.circleci.com/vcs-origin", "github.com/Acme/widget", "different"},
	} {
		p := named(t, tt.pair).with(tt.claim, tt.value)
		assert.Equal(t, tt.want, reason(p.match(t), tt.claim), "%s: %s", tt.pair, tt.value)
	}
	p := named(t, "github, all").with("repository", "kay/k")
	p.publisher.GitHub.Repository = "Kay/K"
	assert.Empty(t, reason(p.match(t), "repository"))
	p = p.with("repository", "kay/\u212A")
	assert.Equal(t, "different", reason(p.match(t), "repository"), "the Kelvin sign is no K")
}

// OI-24, OI-25, O-10: an environment that a publisher names must be the job's; one that it does not name may be.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"github", "gitlab"} {
		with, without := named(t, name+", all"), named(t, name+", only names")
		delete(with.claims, "environment")
		assert.Equal(t, "missing", reason(with.match(t), "environment"), name)
		assert.Equal(t, "different", reason(with.with("environment", "").match(t), "environment"), name)
		assert.Equal(t, "different", reason(with.with("environment", "staging").match(t), "environment"), name)
		assert.Empty(t, without.with("environment", "staging").match(t), name)
	}
}

// OI-26: whatever a template makes of sub, it is not parsed. GitHub's immutable one is no exception.
func TestSubject(t *testing.T) {
	for _, p := range pairs() {
		if p.publisher.Kind == trust.KindOIDC {
			continue
		}
		for _, sub := range []any{"repo:acme@42/widget@731:ref:refs/heads/main", "repo:evil/other:pull_request", "", 42, nil} {
			assert.Empty(t, p.with("sub", sub).match(t), "%s: %v", p.name, sub)
		}
	}
}

// OI-27: a claim is a string. Another type is never its text.
func TestClaimTypes(t *testing.T) {
	p := named(t, "github, all")
	for _, raw := range []string{`42`, `42.0`, `["42"]`, `{"id":"42"}`, `null`, `true`, `[]`} {
		got := p.with("repository_owner_id", json.RawMessage(raw)).match(t)
		require.Len(t, got, 1, raw)
		assert.Equal(t, trust.Difference{Claim: "repository_owner_id", Reason: trust.Malformed, Expected: "42", Presented: raw}, got[0])
	}
	assert.Empty(t, p.with("repository_owner_id", json.RawMessage(`"\u0034\u0032"`)).match(t), "an escape is the character")
}

// OI-29, O-09: a GitLab's claims of protection are strings, and "false" is not true.
func TestRefProtected(t *testing.T) {
	for _, name := range []string{"github, all", "gitlab, all"} {
		for _, value := range []any{"false", "", "TRUE", "1", "yes", true, false, 1} {
			p := named(t, name).with("ref_protected", value)
			assert.NotEmpty(t, reason(p.match(t), "ref_protected"), "%s: %v", name, value)
			if p.publisher.GitHub != nil {
				p.publisher.GitHub.RefProtected = false
			} else {
				p.publisher.GitLab.RefProtected = false
			}
			assert.Empty(t, p.match(t), "%s: %v: nothing demands it", name, value)
		}
	}
}

func TestDifference(t *testing.T) {
	long := "e" + strings.Repeat("é", 300)
	got := named(t, "github, only names").with("repository", "evil\nrepository").with("event_name", long).match(t)
	require.Len(t, got, 2)
	assert.Equal(t, `repository is different: "evil\nrepository", expected "acme/widget"`, got[0].String())
	assert.Equal(t, "e"+strings.Repeat("é", 127), got[1].Presented, "at most 256 bytes, and whole characters")
	assert.Equal(t, `environment is missing, expected "prod"`, trust.Difference{Claim: "environment", Reason: trust.Missing, Expected: "prod"}.String())
	text, err := json.Marshal(got[0])
	require.NoError(t, err)
	assert.Equal(t, `{"claim":"repository","reason":"different","expected":"acme/widget","presented":"evil\nrepository"}`, string(text))
	_, err = trust.Reason(9).MarshalText()
	assert.Error(t, err)
}
