package trust_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/jsontest"
	"github.com/npmauth/npmauth/trust"
)

// What npm 11 and 12 send, and what they are answered.
func TestParsePublisher(t *testing.T) {
	const id = "11111111-1111-4111-8111-11111111111a"
	for _, tt := range []struct {
		body string
		want trust.Publisher
	}{
		{
			`[{"type":"github","claims":{"repository":"acme/widget","workflow_ref":{"file":"release.yml"},"environment":"prod"},"permissions":["createPackage"]}]`,
			trust.Publisher{Kind: trust.KindGitHub, Permissions: trust.CreatePackage, GitHub: &trust.GitHub{Repository: "acme/widget", Workflow: "release.yml", Environment: "prod"}},
		}, {
			`[{"type":"github","claims":{"repository":"acme/widget","workflow_ref":{"file":"release.yml"}},"permissions":["createPackage","createStagedPackage"]}]`,
			trust.Publisher{Kind: trust.KindGitHub, Permissions: trust.CreatePackage | trust.CreateStagedPackage, GitHub: &trust.GitHub{Repository: "acme/widget", Workflow: "release.yml"}},
		}, {
			`[{"type":"gitlab","claims":{"project_path":"grp/sub/proj","ci_config_ref_uri":{"file":".gitlab-ci.yml"},"environment":"prod"},"permissions":["createPackage"]}]`,
			trust.Publisher{Kind: trust.KindGitLab, Permissions: trust.CreatePackage, GitLab: &trust.GitLab{ProjectPath: "grp/sub/proj", ConfigFile: ".gitlab-ci.yml", Environment: "prod"}},
		}, {
			`[{"type":"circleci","claims":{"oidc.circleci.com/org-id":"` + id + `","oidc.circleci.com/project-id":"` + id + `","oidc.circleci.com/pipeline-definition-id":"` + id + `","oidc.circleci.com/vcs-origin":"github.com/acme/widget","oidc.circleci.com/context-ids":["` + id + `"]},"permissions":["createPackage"]}]`,
			trust.Publisher{Kind: trust.KindCircleCI, Permissions: trust.CreatePackage, CircleCI: &trust.CircleCI{OrgID: id, ProjectID: id, PipelineDefinitionID: id, VCSOrigin: "github.com/acme/widget", ContextIDs: []string{id}}},
		},
		// Ours.
		{
			`[{"type":"github","claims":{"repository":"acme/widget","workflow_ref":{"file":"release.yml"},"repository_id":"731","repository_owner_id":"42"},"permissions":["setDistTag"],"issuer":"https://token.actions.githubusercontent.com/acme","allow_events":["release"],"reusable_workflow":"acme/ci/.github/workflows/publish.yml@refs/tags/v3","ref_protected":true}]`,
			trust.Publisher{Kind: trust.KindGitHub, Issuer: trust.GitHubURL + "/acme", Permissions: trust.SetDistTag, GitHub: &trust.GitHub{Repository: "acme/widget", Workflow: "release.yml", RepositoryID: "731", RepositoryOwnerID: "42",
				AllowEvents: []string{"release"}, ReusableWorkflow: "acme/ci/.github/workflows/publish.yml@refs/tags/v3", RefProtected: true}},
		}, {
			`[{"type":"gitlab","claims":{"project_path":"g/p","ci_config_ref_uri":{"file":"ci/release.yaml"},"project_id":"22","namespace_id":"72"},"permissions":["createPackage"],"allow_events":["push","pipeline"],"ref_protected":true}]`,
			trust.Publisher{Kind: trust.KindGitLab, Permissions: trust.CreatePackage, GitLab: &trust.GitLab{ProjectPath: "g/p", ConfigFile: "ci/release.yaml", ProjectID: "22", NamespaceID: "72", AllowEvents: []string{"push", "pipeline"}, RefProtected: true}},
		}, {
			`[{"type":"oidc","claims":{"sub":"x"},"permissions":["createPackage"],"issuer":"https://id.acme.test"}]`,
			trust.Publisher{Kind: trust.KindOIDC, Issuer: "https://id.acme.test", Permissions: trust.CreatePackage, Claims: map[string]string{"sub": "x"}},
		}, {
			`[{"type":"custom","claims":{"job":"a <b>","other":"y"},"permissions":["createPackage"]}]`,
			trust.Publisher{Kind: trust.KindCustom, Permissions: trust.CreatePackage, Claims: map[string]string{"job": "a <b>", "other": "y"}},
		},
	} {
		got, err := trust.ParsePublisher([]byte(tt.body))
		require.NoError(t, err, tt.body)
		assert.Equal(t, tt.want, got)

		answer, err := json.Marshal(got)
		require.NoError(t, err)
		assert.JSONEq(t, tt.body, "["+string(answer)+"]", "nothing is added, and nothing lost")

		got.ID = id
		answer, err = json.Marshal([]trust.Publisher{got})
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(answer), `[{"id":"`+id+`","type":`), string(answer))
		var again []trust.Publisher
		require.NoError(t, json.Unmarshal(answer, &again))
		assert.Equal(t, []trust.Publisher{got}, again)
	}

	upper, err := trust.ParsePublisher([]byte(strings.ReplaceAll(`[{"type":"circleci","claims":{"oidc.circleci.com/org-id":"I","oidc.circleci.com/project-id":"I","oidc.circleci.com/pipeline-definition-id":"I","oidc.circleci.com/vcs-origin":"github.com/Acme/widget","oidc.circleci.com/context-ids":["I"]},"permissions":["createPackage"]}]`, `"I"`, `"`+strings.ToUpper(id)+`"`)))
	require.NoError(t, err)
	assert.Equal(t, &trust.CircleCI{OrgID: id, ProjectID: id, PipelineDefinitionID: id, VCSOrigin: "github.com/Acme/widget", ContextIDs: []string{id}}, upper.CircleCI)
}

func TestParsePublisherRefuses(t *testing.T) {
	const npms = "permissions is required and must contain at least one valid route"
	// G and L are the fields of a body that is fine, without what a case replaces.
	const g, l, c, o = `"type":"github","permissions":["createPackage"]`, `"type":"gitlab","permissions":["createPackage"]`, `"type":"circleci","permissions":["createPackage"]`, `"type":"oidc","permissions":["createPackage"]`
	const gc, lc = `"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"}}`, `"claims":{"project_path":"a/b","ci_config_ref_uri":{"file":"r.yml"}}`
	require.NoError(t, parse(`[{`+g+`,`+gc+`}]`))
	require.NoError(t, parse(`[{`+l+`,`+lc+`}]`))
	for body, want := range map[string]string{
		``:                                    "invalid JSON: unexpected end at byte 0",
		`{}`:                                  "the body must be an array",
		`null`:                                "the body must be an array",
		`[]`:                                  "Send an array of one trusted publisher.",
		`[{},{}]`:                             "Send an array of one trusted publisher.",
		`[null]`:                              `field "[]" must be an object`,
		`[{}]`:                                npms,
		`[{"permissions":null}]`:              npms,
		`[{"permissions":[]}]`:                npms,
		`[{"permissions":["publish"]}]`:       npms,
		`[{"permissions":"createPackage"}]`:   `field "[].permissions" must be an array`,
		`[{"permissions":["createPackage"]}]`: "type is required.",
		`[{"permissions":["createPackage"],"type":"travis"}]`:  "type is not known here. Send github, gitlab, circleci, oidc or custom.",
		`[{"permissions":["createPackage"],"type":"unknown"}]`: "type is not known here. Send github, gitlab, circleci, oidc or custom.",
		`[{"permissions":["createPackage"],"type":"GitHub"}]`:  "type is not known here. Send github, gitlab, circleci, oidc or custom.",
		`[{` + g + `}]`:                                                      "claims is required.",
		`[{` + g + `,"claims":null}]`:                                        `field "claims" must be an object`,
		`[{` + g + `,"claims":[]}]`:                                          `field "claims" must be an object`,
		`[{` + g + `,"claims":{}}]`:                                          "claims.repository must be owner/repository, as in acme/widget.",
		`[{` + g + `,"claims":{"repository":7}}]`:                            `field "claims.repository" must be a string`,
		`[{` + g + `,"claims":{"repository":"a/b"}}]`:                        "claims.workflow_ref.file must be the name of a workflow's file without its folder, as in release.yml.",
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":"r.yml"}}]`: `field "claims.workflow_ref" must be an object`,
		`[{` + g + `,"claims":{"repository":"a/b","repository":"a/c","workflow_ref":{"file":"r.yml"}}}]`:        "invalid JSON: duplicate key at byte 90",
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"project_path":"a/b"}}]`:      `field "claims" has a field that is not known here: project_path`,
		`[{` + g + `,"claims":{"Repository":"a/b","workflow_ref":{"file":"r.yml"}}}]`:                           `field "claims.repository" is written in another case`,
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"environment":""}}]`:          "claims.environment must not be empty. Leave it out if there is none.",
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"environment":" x"}}]`:        "claims.environment must be the name of an environment.",
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"repository_id":731}}]`:       `field "claims.repository_id" must be a string`,
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"repository_id":"07"}}]`:      "claims.repository_id must be a number, in quotes.",
		`[{` + g + `,"claims":{"repository":"a/b","workflow_ref":{"file":"r.yml"},"repository_owner_id":"x"}}]`: "claims.repository_owner_id must be a number, in quotes.",
		`[{` + g + `,` + gc + `,"id":"x"}]`:                                                                       "id is given by the registry.",
		`[{` + g + `,` + gc + `,"issuer":""}]`:                                                                    "issuer must not be empty. Leave it out if there is none.",
		`[{` + g + `,` + gc + `,"issuer":"gitlab.com"}]`:                                                          "issuer must be the URL of an issuer, exactly.",
		`[{` + g + `,` + gc + `,"allow_events":[]}]`:                                                              "allow_events must have an event. Leave it out for: push, release, workflow_dispatch, schedule, repository_dispatch.",
		`[{` + g + `,` + gc + `,"allow_events":["pull_request_target"]}]`:                                         "allow_events must not have pull_request_target: it runs for people who may not write to the repository.",
		`[{` + g + `,` + gc + `,"reusable_workflow":""}]`:                                                         "reusable_workflow must not be empty. Leave it out if there is none.",
		`[{` + g + `,` + gc + `,"reusable_workflow":"publish.yml"}]`:                                              "reusable_workflow must be owner/repository/.github/workflows/file.yml, perhaps with @ and a ref.",
		`[{` + g + `,` + gc + `,"ref_protected":"true"}]`:                                                         `field "[].ref_protected" must be true or false`,
		`[{` + g + `,` + gc + `,"note":"x"}]`:                                                                     `field "[]" has a field that is not known here: note`,
		`[{` + g + `,` + lc + `}]`:                                                                                `field "claims" has a field that is not known here: project_path`,
		`[{` + l + `,` + lc + `,"reusable_workflow":"x"}]`:                                                        "reusable_workflow is for type github.",
		`[{` + l + `,"claims":{"project_path":"a","ci_config_ref_uri":{"file":"r.yml"}}}]`:                        "claims.project_path must be group/project, as in acme/tools/widget.",
		`[{` + l + `,"claims":{"project_path":"a/b","ci_config_ref_uri":{"file":"../r.yml"}}}]`:                   "claims.ci_config_ref_uri.file must be the path of the pipeline's file in the project, as in .gitlab-ci.yml.",
		`[{` + l + `,"claims":{"project_path":"a/b","ci_config_ref_uri":{"file":"r.yml"},"environment":"\t"}}]`:   "claims.environment must be the name of an environment.",
		`[{` + l + `,"claims":{"project_path":"a/b","ci_config_ref_uri":{"file":"r.yml"},"project_id":"-1"}}]`:    "claims.project_id must be a number, in quotes.",
		`[{` + l + `,"claims":{"project_path":"a/b","ci_config_ref_uri":{"file":"r.yml"},"namespace_id":"1e3"}}]`: "claims.namespace_id must be a number, in quotes.",
		`[{` + c + `,"claims":{}}]`:                                                                               "claims.oidc.circleci.com/org-id must be a UUID.",
		`[{` + c + `,"claims":{},"ref_protected":true}]`:                                                          "allow_events and ref_protected are for types github and gitlab.",
		`[{` + o + `,"claims":{}}]`:                                                                               "claims must have 1 to 64 claims.",
		`[{` + o + `,"claims":{"job":"x"}}]`:                                                                      "claims has a name that is not known here.",
		`[{` + o + `,"claims":{"sub":""}}]`:                                                                       "claims.sub must be 1 to 1024 bytes without white space around them.",
		`[{` + o + `,"claims":{"sub":null}}]`:                                                                     `field "claims[]" must be a string`,
		`[{` + o + `,"claims":{"sub":["x"]}}]`:                                                                    `field "claims[]" must be a string`,
	} {
		got, err := trust.ParsePublisher([]byte(body))
		assert.EqualError(t, err, want, body)
		wrong := &trust.InvalidError{}
		assert.ErrorAs(t, err, &wrong, body)
		assert.Zero(t, got)
		if strings.HasPrefix(body, "[{") && strings.HasSuffix(body, "}]") && !strings.Contains(body, "},{") && !strings.Contains(body, `"id"`) {
			p := named(t, "oidc").publisher
			assert.Error(t, json.Unmarshal([]byte(body[1:len(body)-1]), &p), body)
			assert.Equal(t, named(t, "oidc").publisher, p, "it is left as it was")
		}
	}
}

func parse(body string) error {
	_, err := trust.ParsePublisher([]byte(body))
	return err
}

// plainJSON is a second reading of a publisher: its JSON without what says nothing, and with the spellings that
// are one made one.
func plainJSON(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for name, v := range m {
		if v == nil || name == "ref_protected" && v == false {
			continue
		}
		switch list, _ := v.([]any); {
		case name == "permissions":
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		case strings.HasPrefix(name, "oidc.circleci.com/") && name != "oidc.circleci.com/vcs-origin":
			if s, ok := v.(string); ok {
				v = strings.ToLower(s)
			}
			for i, s := range list {
				list[i] = strings.ToLower(s.(string))
			}
		}
		out[name] = plainJSON(v)
	}
	return out
}

func FuzzParsePublisher(f *testing.F) {
	for _, p := range pairs() {
		p.publisher.ID = ""
		text, err := json.Marshal([]trust.Publisher{p.publisher})
		require.NoError(f, err)
		f.Add(text)
	}
	for _, s := range []string{`[]`, `[{}]`, `[{"type":"github","claims":{},"permissions":["createPackage"]}]`, `[{"type":"github","x":-4e457}]`, `[{"type":"custom","claims":{"a":"b","A":"c"},"permissions":["setDistTag","createPackage"]}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 64 << 10, PerByte: 512}, Work: fuzzbound.Limit{Base: 1, PerByte: 1}}, func(body []byte) int {
			p, _ := trust.ParsePublisher(body)
			return len(p.Claims)
		})
		p, err := trust.ParsePublisher(body)
		if err != nil {
			wrong := &trust.InvalidError{}
			require.ErrorAs(t, err, &wrong)
			require.Zero(t, p)
			return
		}
		require.NoError(t, p.Validate())
		text, err := json.Marshal([]trust.Publisher{p})
		require.NoError(t, err)
		again, err := trust.ParsePublisher(text)
		require.NoError(t, err)
		require.Equal(t, p, again)
		sent, got := jsontest.Value[[]any](t, body), jsontest.Value[[]any](t, text)
		require.Len(t, sent, 1)
		require.Equal(t, plainJSON(sent[0]), plainJSON(got[0]))
	})
}
