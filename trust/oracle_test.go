package trust_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/jsontest"
	"github.com/npmauth/npmauth/trust"
)

// A second reading of what matches. It takes a token apart and compares the parts with a publisher's, where package
// trust puts together what it expects; it is changed by the rules and not after the first.

const refPattern = `((?:refs/heads|refs/tags)/[^\x00-\x20\x7f]+|[0-9a-f]{40}|[0-9a-f]{64})`

var (
	oracleWorkflow = regexp.MustCompile(`\A([\w-]+/[\w.-]+)/\.github/workflows/([^/@]+)@` + refPattern + `\z`)
	oracleNumber   = regexp.MustCompile(`\A[1-9][0-9]{0,19}\z`)
	oraclePinned   = regexp.MustCompile(`\A[^\pC\pZ\x{FFFD}]([^\pC\x{FFFD}]*[^\pC\pZ\x{FFFD}])?\z`)
)

type oracle struct {
	claims map[string]any
	ok     bool
}

func (o *oracle) require(fact bool) { o.ok = o.ok && fact }

// text returns a claim which must be a string.
func (o *oracle) text(name string) string {
	s, ok := o.claims[name].(string)
	o.require(ok)
	return s
}

func lower(s string) string {
	return strings.NewReplacer(strings.Split("A a B b C c D d E e F f G g H h I i J j K k L l M m N n O o P p Q q R r S s T t U u V v W w X x Y y Z z", " ")...).Replace(s)
}

func (o *oracle) id(name, want string) {
	got := o.text(name)
	o.require(oracleNumber.MatchString(got))
	o.require(want == "" || want == got)
}

func (o *oracle) event(name string, own []string, normal, never string) {
	if own == nil {
		own = strings.Fields(normal)
	}
	got, found := o.text(name), false
	for _, e := range own {
		found = found || e == got
	}
	for e := range strings.FieldsSeq(never) {
		o.require(e != got)
	}
	o.require(found)
}

func oracleMatches(p trust.Publisher, issuer trust.Issuer, claims map[string]any) bool {
	o := &oracle{claims, p.Kind == issuer.Kind && p.Issuer == issuer.URL}
	if g := p.GitHub; g != nil {
		o.require(lower(o.text("repository")) == lower(g.Repository))
		o.id("repository_id", g.RepositoryID)
		o.id("repository_owner_id", g.RepositoryOwnerID)
		started := oracleWorkflow.FindStringSubmatch(o.text("workflow_ref"))
		o.require(started != nil && lower(started[1]) == lower(g.Repository) && started[2] == g.Workflow)
		if g.ReusableWorkflow == "" {
			o.require(o.text("job_workflow_ref") == o.text("workflow_ref"))
		} else {
			job := oracleWorkflow.FindStringSubmatch(o.text("job_workflow_ref"))
			want := oracleWorkflow.FindStringSubmatch(g.ReusableWorkflow)
			o.require(job != nil && want != nil && lower(job[1]) == lower(want[1]) && job[2] == want[2] && job[3] == want[3])
		}
		if g.Environment != "" {
			o.require(lower(o.text("environment")) == lower(g.Environment))
		}
		if g.RefProtected {
			o.require(o.text("ref_protected") == "true")
		}
		o.event("event_name", g.AllowEvents, "push release workflow_dispatch schedule repository_dispatch", "pull_request pull_request_target workflow_run issue_comment")
	}
	if g := p.GitLab; g != nil {
		o.require(lower(o.text("project_path")) == lower(g.ProjectPath))
		o.id("project_id", g.ProjectID)
		o.id("namespace_id", g.NamespaceID)
		config, ref := o.text("ci_config_ref_uri"), o.text("ref_path")
		o.require(regexp.MustCompile(`\Arefs/(heads|tags)/[^\x00-\x20\x7f]+\z`).MatchString(ref))
		o.require(strings.HasSuffix(config, "@"+ref))
		server, rest, _ := strings.Cut(strings.TrimSuffix(config, "@"+ref), "/")
		project, file, found := strings.Cut(rest, "//")
		o.require(found && "https://"+server == issuer.URL && lower(project) == lower(g.ProjectPath) && file == g.ConfigFile)
		if g.Environment != "" {
			o.require(o.text("environment") == g.Environment)
		}
		if g.RefProtected {
			o.require(o.text("ref_protected") == "true")
		}
		o.event("pipeline_source", g.AllowEvents, "push web schedule api trigger", "merge_request_event external_pull_request_event")
	}
	if c := p.CircleCI; c != nil {
		o.require(strings.HasSuffix(issuer.URL, "/org/"+c.OrgID))
		for name, want := range map[string]string{"org-id": c.OrgID, "project-id": c.ProjectID, "pipeline-definition-id": c.PipelineDefinitionID, "vcs-origin": c.VCSOrigin} {
			o.require(o.text("oidc.circleci.com/"+name) == want)
		}
		o.require(claims["oidc.circleci.com/ssh-rerun"] == false)
		if c.ContextIDs != nil {
			list, _ := claims["oidc.circleci.com/context-ids"].([]any)
			has := map[string]bool{}
			for _, v := range list {
				s, ok := v.(string)
				o.require(ok)
				has[s] = true
			}
			for _, id := range c.ContextIDs {
				o.require(has[id])
			}
		}
	}
	switch p.Kind {
	case trust.KindOIDC:
		o.require(o.text("sub") == p.Claims["sub"])
	case trust.KindCustom: // those of forgejoIssuer
		o.require(lower(o.text("repository")) == lower(p.Claims["repository"]))
		o.require(o.text("workflow") == p.Claims["workflow"])
		if want, ok := p.Claims["environment"]; ok {
			o.require(o.text("environment") == want)
		}
		id := o.text("repository_id")
		if want, ok := p.Claims["repository_id"]; ok {
			o.require(id == want)
		} else {
			o.require(len(id) <= 1024 && oraclePinned.MatchString(id))
		}
		event := o.text("event_name")
		o.require(event == "push" || event == "release")
	}
	return o.ok
}

func FuzzMatch(f *testing.F) {
	pairs := pairs()
	for n, p := range pairs {
		for claim, value := range p.claims {
			raw, err := json.Marshal(value)
			require.NoError(f, err)
			f.Add(uint8(n), claim, raw)
			for _, mutation := range mutations {
				if text, ok := value.(string); ok && mutation.to != nil {
					raw, err := json.Marshal(mutation.to(text))
					require.NoError(f, err)
					f.Add(uint8(n), claim, raw)
				}
			}
		}
	}
	for _, s := range []string{
		"acme/widget/.github/workflows/release.yml@refs/tags/v1", "acme/widget/.github/workflows/release.yml@0000000000000000000000000000000000000000",
		"Acme/Widget/.github/workflows/release.yml@refs/heads/x@y", "acme/widget/.github/workflows/release.yml@x.yml@refs/heads/main", "acme/ci/.github/workflows/publish.yaml@refs/tags/v3",
	} {
		raw, err := json.Marshal(s)
		require.NoError(f, err)
		f.Add(uint8(0), "workflow_ref", raw)
		f.Add(uint8(1), "workflow_ref", raw)
		f.Add(uint8(1), "job_workflow_ref", raw)
	}
	f.Add(uint8(3), "ci_config_ref_uri", []byte(`"gitlab.com/Acme/tools/widget//.gitlab-ci.yml@refs/heads/main"`))
	f.Add(uint8(5), "oidc.circleci.com/context-ids", []byte(`["`+context1+`"]`))
	f.Add(uint8(4), "oidc.circleci.com/ssh-rerun", []byte(`true`))
	f.Add(uint8(0), "ref_type", []byte(`-4e457`))
	f.Fuzz(func(t *testing.T, n uint8, claim string, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		p := pairs[int(n)%len(pairs)].with(claim, json.RawMessage(raw))
		payload, err := json.Marshal(p.claims)
		require.NoError(t, err)
		claims, err := trust.ParseClaims(payload)
		if err != nil {
			return
		}
		token := trust.IDToken{Issuer: p.issuer, Claims: claims}
		got := trust.Match(p.publisher, token)
		values := jsontest.Value[map[string]any](t, payload)
		require.Equal(t, oracleMatches(p.publisher, p.issuer, values), len(got) == 0, "%s, %s: %s: %v", p.name, claim, raw, got)
		for _, d := range got {
			require.NotEmpty(t, d.Claim)
			require.NotEmpty(t, d.Expected)
			require.NotEqual(t, "unknown", d.Reason.String())
			require.LessOrEqual(t, len(d.Presented), 256)
		}
		if len(got) > 0 {
			require.Empty(t, trust.Pins(p.publisher, token))
			return
		}
		pinned, err := p.publisher.WithPins(trust.Pins(p.publisher, token))
		require.NoError(t, err)
		require.Empty(t, trust.Match(pinned, token), "it matches what it was pinned to")
		require.Empty(t, trust.Pins(pinned, token))
	})
}
