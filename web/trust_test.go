package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/web"
)

const (
	trustPage = "/registry/-/auth/trust"
	circleOrg = "0c1d2e3f-1111-4a1b-8c2d-aaaaaaaaaaaa"
	circleID  = "0c1d2e3f-2222-4a1b-8c2d-bbbbbbbbbbbb"
	customURL = "https://ci.acme.test/"
)

// trustIssuers has one of each kind, and two of GitHub.
var trustIssuers = []trust.Issuer{
	{Kind: trust.KindCustom, URL: customURL, Claims: []trust.Claim{
		{Name: "job <x>"}, {Name: "stage", Optional: true}, {Name: "project_id", Pin: true}, {Name: "trigger", OneOf: []string{"push"}},
	}},
	{Kind: trust.KindGitHub, URL: trust.GitHubURL}, {Kind: trust.KindGitHub, URL: trust.GitHubURL + "/acme"},
	{Kind: trust.KindGitLab, URL: trust.GitLabURL},
	{Kind: trust.KindCircleCI, URL: "https://oidc.circleci.com/org/" + circleOrg},
	{Kind: trust.KindOIDC, URL: "https://oidc.acme.test"},
}

// trusting is an API with the trusted publishers of a package. It resolves what it gets, as the registry
// does, and keeps it.
type trusting struct {
	t     *testing.T
	added []trust.Publisher
}

func (a *trusting) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	answer := func(status int, format string, args ...any) {
		rw.WriteHeader(status)
		_, _ = fmt.Fprintf(rw, format, args...)
	}
	body, err := io.ReadAll(r.Body)
	assert.NoError(a.t, err)
	switch r.Method + " " + r.URL.Path {
	case "GET /registry/-/auth/v1/factors":
		answer(200, `{"objects":[{"type":%q}],"recovery_codes":1}`, protocol.FactorApp)
	case "GET /registry/-/auth/v1/self":
		assert.Equal(a.t, url.Values{"action": {"read-trust"}, "package": {"@acme/widget"}}, r.URL.Query())
		answer(200, `{"explanation":{"effect":"challenge"}}`)
	case "GET /registry/-/user/bob/package":
		answer(200, `{"@acme/widget":"write","other":"read"}`)
	case "GET /registry/-/package/@acme/widget/trust":
		answer(200, "%s", a.list())
	case "POST /registry/-/package/@acme/widget/trust":
		p, err := trust.ParsePublisher(body)
		if err == nil {
			p, _, err = p.Resolve(trustIssuers)
		}
		if err != nil {
			answer(400, `{"error":%q,"code":"bad-trusted-publisher"}`, err.Error())
			return
		}
		p.ID = circleID
		a.added = append(a.added, p)
		answer(201, "%s", a.list())
	case "POST /registry/-/auth/v1/trust/@acme/widget/check":
		answer(200, `{"used":true,"problem":"oidc: invalid token: expired","publishers":[{"publisher":%s,"matches":true,"differences":[]},
			{"publisher":%s,"matches":false,"differences":[{"claim":"repository","reason":"different","expected":"acme/widget","presented":"acme/<b>"},
			{"claim":"environment","reason":"missing","expected":"prod"}]}]}`, a.last(), a.last())
	default:
		answer(404, `{"error":"%s %s"}`, r.Method, r.URL.Path)
	}
}

// list is the answer with the publishers.
func (a *trusting) list() string {
	data, err := json.Marshal(a.added)
	require.NoError(a.t, err)
	return strings.ReplaceAll(string(data), `"type"`, `"created_at":"2026-11-20T09:00:00.5Z","type"`)
}

func (a *trusting) last() string { return strings.Trim(a.list(), "[]") }

// trustForm returns a browser at the page, and the fields of its form for a decision.
func trustForm(t *testing.T, api http.Handler, path string) (*browser, func(fields ...string) url.Values) {
	t.Helper()
	w := newWorld(t, prefixed)
	w.withAPI(prefixed, api.ServeHTTP, func(cfg *web.Config) { cfg.Issuers = trustIssuers })
	b := w.signedIn()
	return b, func(fields ...string) url.Values {
		t.Helper()
		tokens := tokenField.FindAllStringSubmatch(b.get(trustPage+path).Body.String(), -1)
		require.Len(t, tokens, 4, "of signing out, listing, adding and checking")
		form := url.Values{"token": {tokens[1][1]}, "package": {"@acme/widget"}}
		for i := 0; i < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		return form
	}
}

// The form for each CI system sends what npm trust would, and the list says it in words.
func TestPublishersOfEachSystem(t *testing.T) {
	const uuid = "0c1d2e3f-3333-4a1b-8c2d-cccccccccccc"
	for key, test := range map[string]struct {
		fields []string
		want   trust.Publisher
		words  []string // terms and texts
	}{
		"github": {
			[]string{
				"issuer", trust.GitHubURL + "/acme", "claims.repository", " acme/widget\u200b", "claims.workflow_ref.file", "release.yml", "claims.environment", "prod",
				"ref_protected", "yes", "allow_events", "push,merge_group", "reusable_workflow", "acme/ci/.github/workflows/npm.yml@refs/heads/main",
				"claims.repository_id", "12", "claims.repository_owner_id", "7",
			},
			trust.Publisher{Kind: trust.KindGitHub, Issuer: trust.GitHubURL + "/acme", GitHub: &trust.GitHub{
				Repository: "acme/widget", Workflow: "release.yml", Environment: "prod", RefProtected: true, AllowEvents: []string{"push", "merge_group"},
				ReusableWorkflow: "acme/ci/.github/workflows/npm.yml@refs/heads/main", RepositoryID: "12", RepositoryOwnerID: "7",
			}},
			[]string{
				"Repository", "acme/widget", "Workflow file", "release.yml", "Environment", "prod", "Branches and tags", "only protected ones", "Events", "push, merge_group",
				"Reusable workflow", "acme/ci/.github/workflows/npm.yml@refs/heads/main", "Repository ID", "12", "Owner ID", "7", "Issuer", trust.GitHubURL + "/acme",
			},
		},
		"gitlab": {
			[]string{"claims.project_path", "acme/widget", "claims.ci_config_ref_uri.file", ".gitlab-ci.yml", "claims.project_id", "3"},
			trust.Publisher{Kind: trust.KindGitLab, Issuer: trust.GitLabURL, GitLab: &trust.GitLab{ProjectPath: "acme/widget", ConfigFile: ".gitlab-ci.yml", ProjectID: "3"}},
			[]string{
				"Project", "acme/widget", "Pipeline file", ".gitlab-ci.yml", "Environment", "any, or none", "Branches and tags", "all",
				"Pipeline sources", "push, web, schedule, api, trigger", "Project ID", "3", "Namespace ID", "that of the first job that matches", "Issuer", trust.GitLabURL,
			},
		},
		"circleci": {
			[]string{
				"claims.oidc.circleci.com/org-id", circleOrg, "claims.oidc.circleci.com/project-id", strings.ToUpper(circleID), "claims.oidc.circleci.com/pipeline-definition-id", uuid,
				"claims.oidc.circleci.com/vcs-origin", "github.com/acme/widget", "claims.oidc.circleci.com/context-ids", uuid + "\n" + circleID,
			},
			trust.Publisher{Kind: trust.KindCircleCI, Issuer: "https://oidc.circleci.com/org/" + circleOrg, CircleCI: &trust.CircleCI{
				OrgID: circleOrg, ProjectID: circleID, PipelineDefinitionID: uuid, VCSOrigin: "github.com/acme/widget", ContextIDs: []string{uuid, circleID},
			}},
			[]string{
				"Organization", circleOrg, "Project ID", circleID, "Pipeline definition ID", uuid, "Repository", "github.com/acme/widget", "Context IDs", uuid + ", " + circleID,
				"Issuer", "https://oidc.circleci.com/org/" + circleOrg,
			},
		},
		"oidc": {
			[]string{"claims.sub", " repo：acme "},
			trust.Publisher{Kind: trust.KindOIDC, Issuer: "https://oidc.acme.test", Claims: map[string]string{"sub": "repo：acme"}},
			[]string{"Subject", "repo：acme", "Issuer", "https://oidc.acme.test"},
		},
		customURL: {
			[]string{"claims.job <x>", "release & more", "claims.stage", "", "claims.trigger", "push"},
			trust.Publisher{Kind: trust.KindCustom, Issuer: customURL, Claims: map[string]string{"job <x>": "release & more"}},
			[]string{
				"job &lt;x&gt;", "release &amp; more", "stage", "any, or none", "project_id", "that of the first job that matches", "Issuer", customURL,
			},
		},
	} {
		t.Run(key, func(t *testing.T) {
			api := &trusting{t: t}
			b, fill := trustForm(t, api, "?package=@acme/widget&system="+url.QueryEscape(key))
			page := b.get(trustPage + "?package=@acme/widget&system=" + url.QueryEscape(key)).Body.String()
			for i := 0; i < len(test.fields); i += 2 {
				if test.fields[i] != "claims.trigger" {
					assert.Contains(t, page, `name="`+strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(test.fields[i])+`"`)
				}
			}
			assert.NotContains(t, page, "claims.trigger", "the operator decides it")
			form := fill(append(test.fields, "decision", "add", "system", key, "permission.createPackage", "yes", "permission.createStagedPackage", "yes")...)
			res := b.do(http.MethodPost, trustPage, form.Encode())
			require.Equal(t, http.StatusSeeOther, res.Code, "%s", res.Body)
			test.want.ID, test.want.Permissions = circleID, trust.CreatePackage|trust.CreateStagedPackage
			require.Equal(t, []trust.Publisher{test.want}, api.added)

			res = b.do(http.MethodPost, trustPage, fill("decision", "list").Encode())
			require.Equal(t, http.StatusOK, res.Code)
			var facts strings.Builder
			for i, words := 0, append(test.words, "May", "publish versions, stage versions"); i < len(words); i += 2 {
				fmt.Fprintf(&facts, "<dt>%s</dt><dd><bdi>%s</bdi></dd>\n", words[i], words[i+1])
			}
			assert.Contains(t, res.Body.String(), "<dl>\n"+facts.String()+"<dt>Added</dt>")
		})
	}
}

// What the page says of events that are not named is what matches.
func TestUsualEvents(t *testing.T) {
	b, _ := trustForm(t, &trusting{t: t}, "?package=@acme/widget")
	for _, p := range []trust.Publisher{
		{Kind: trust.KindGitHub, Issuer: trust.GitHubURL, GitHub: &trust.GitHub{Repository: "a/b", Workflow: "c.yml"}, Permissions: trust.CreatePackage},
		{Kind: trust.KindGitLab, Issuer: trust.GitLabURL, GitLab: &trust.GitLab{ProjectPath: "a/b", ConfigFile: "c.yml"}, Permissions: trust.CreatePackage},
	} {
		page := b.get(trustPage + "?package=@acme/widget&system=" + p.Kind.String()).Body.String()
		found := false
		for _, d := range trust.Match(p, trust.IDToken{Issuer: trust.Issuer{Kind: p.Kind, URL: p.Issuer}, Claims: trust.Claims{}}) {
			if d.Claim == "event_name" || d.Claim == "pipeline_source" {
				found = true
				assert.Contains(t, page, "Empty means "+d.Expected+".")
			}
		}
		assert.True(t, found)
	}
}

// A publisher of an issuer, or of a kind, that is there no more is shown with its claims.
func TestPublisherOfNoSystem(t *testing.T) {
	api := &trusting{t: t, added: []trust.Publisher{
		{ID: circleID, Kind: trust.KindCustom, Issuer: "https://gone.test", Claims: map[string]string{"b": "2", "a": "1"}, Permissions: trust.SetDistTag},
	}}
	b, fill := trustForm(t, api, "?package=@acme/widget")
	page := b.do(http.MethodPost, trustPage, fill("decision", "list").Encode()).Body.String()
	assert.Contains(t, page, "<bdi>custom: "+circleID+"</bdi>")
	assert.Contains(t, page, "<dt>a</dt><dd><bdi>1</bdi></dd>\n<dt>b</dt><dd><bdi>2</bdi></dd>\n<dt>Issuer</dt><dd><bdi>https://gone.test</bdi></dd>\n<dt>May</dt><dd><bdi>set dist-tags</bdi></dd>")
}

// TestGoldenTrust compares the page of a package's trusted publishers with testdata.
func TestGoldenTrust(t *testing.T) {
	api := &trusting{t: t}
	b, fill := trustForm(t, api, "?package=@acme/widget")
	golden(t, "trust", b.get(trustPage+"?package=@acme/widget"))
	add := fill("decision", "add", "system", "github", "issuer", trust.GitHubURL, "claims.repository", "acme/widget", "claims.workflow_ref.file", "x", "permission.createStagedPackage", "yes")
	golden(t, "trust-refused", b.do(http.MethodPost, trustPage, add.Encode()))
	add.Set("claims.workflow_ref.file", "release.yml")
	golden(t, "trust-sent", b.do(http.MethodPost, trustPage, add.Encode()))
	golden(t, "trust-added", b.get(trustPage))
	golden(t, "trust-listed", b.do(http.MethodPost, trustPage, fill("decision", "list").Encode()))
	golden(t, "trust-checked", b.do(http.MethodPost, trustPage, fill("decision", "check", "presented", "an ID token").Encode()))
}

// An issuer that is not valid is an error of New.
func TestIssuersOfPages(t *testing.T) {
	w := newWorld(t, prefixed)
	base, err := url.Parse(prefixed)
	require.NoError(t, err)
	cfg := w.config(base)
	cfg.Issuers = []trust.Issuer{{Kind: trust.KindGitHub, URL: "http://ci.acme.test"}}
	_, err = web.New(cfg)
	assert.ErrorContains(t, err, "Config.Issuers")
}
