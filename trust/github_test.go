package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// OI-20: no spelling of a repository is another one's.
func TestRepository(t *testing.T) {
	for _, s := range []string{"acme/widget/evil", "acme%2fwidget", "acme%2Fwidget", "acme/widget.git", "/acme/widget", "acme/widget/", "acme//widget", "acme/./widget", "acme\\widget", "widget", "evil/acme/widget", "acme/widget\x00", "acme/widget\n"} {
		assert.Equal(t, "different", reason(named(t, "github, all").with("repository", s).match(t), "repository"), "%q", s)
		p := named(t, "github, all").publisher
		p.GitHub.Repository = s
		if s != "acme/widget.git" { // which GitHub has not, and nobody can spoof
			assert.Error(t, p.Validate(), "%q", s)
		}
	}
	for _, s := range []string{"acme/tools", "acme/tools/widget/evil", "acme/widget", "tools/widget", "acme/tools%2fwidget", "acme/tools//widget", "acme-tools/widget"} { // O-06
		assert.Equal(t, "different", reason(named(t, "gitlab, all").with("project_path", s).match(t), "project_path"), "%q", s)
	}
}

// OI-21, O-07: the file is what stands between the folder of workflows of that repository and the @ of the ref.
func TestWorkflow(t *testing.T) {
	const path = "acme/widget/.github/workflows/"
	commit := strings.Repeat("0a", 20)
	for _, file := range []string{"release.yml", "release.yaml", "y.yml", "a b.yml", "main"} {
		for _, tt := range []struct{ ref, file string }{
			{path + "release.yml@refs/heads/main", "release.yml"},
			{path + "release.yaml@refs/heads/main", "release.yaml"},
			{path + "release.yml@refs/tags/v1.0.0", "release.yml"},
			{path + "release.yml@" + commit, "release.yml"},
			{path + "release.yml@refs/heads/y.yml", "release.yml"},
			{path + "release.yml@refs/heads/x@refs/heads/y.yml", "release.yml"},
			{path + "release.yml@refs/heads/acme/widget/.github/workflows/y.yml@refs/heads/main", "release.yml"},
			{path + "a b.yml@refs/heads/main", "a b.yml"},
			{path + "release.yml@evil/y.yml", ""},
			{path + "release.yml@refs/pull/1/merge", ""},
			{path + "release.yml@refs/heads/", ""},
			{path + "release.yml@refs/heads/a b", ""},
			{path + "release.yml@refs/heads/a\n", ""},
			{path + "release.yml@refs/heads/a\x7f", ""},
			{path + "release.yml@" + commit[1:], ""},
			{path + "release.yml@" + strings.ToUpper(commit), ""},
			{path + "release.yml@main", ""},
			{path + "release.yml@", ""},
			{path + "release.yml", ""},
			{path + "x.yml@release.yml@refs/heads/main", ""},
			{path + "release.yml@y.yml@refs/heads/main", ""},
			{path + "release.ymlx@refs/heads/main", ""},
			{path + "sub/release.yml@refs/heads/main", ""},
			{path + "../release.yml@refs/heads/main", ""},
			{path + "./release.yml@refs/heads/main", ""},
			{path + "/release.yml@refs/heads/main", ""},
			{path + ".yml@refs/heads/main", ""},
			{"acme/widget-evil/.github/workflows/release.yml@refs/heads/main", ""},
			{"evil/acme/widget/.github/workflows/release.yml@refs/heads/main", ""},
			{"acme/widget/evil/.github/workflows/release.yml@refs/heads/main", ""},
			{"acme/widget/.github/workflows@refs/heads/main", ""},
			{"acme/widget/release.yml@refs/heads/main", ""},
			{"release.yml@refs/heads/main", ""},
			{"https://github.com/" + path + "release.yml@refs/heads/main", ""},
		} {
			p := named(t, "github, only names").with("workflow_ref", tt.ref).with("job_workflow_ref", tt.ref)
			p.publisher.GitHub.Workflow = file
			if file == "main" {
				assert.Error(t, p.publisher.Validate())
				assert.NotEmpty(t, p.match(t))
				continue
			}
			want := "different"
			if file == tt.file {
				want = ""
			}
			assert.Equal(t, want, reason(p.match(t), "workflow_ref"), "%q for %q", tt.ref, file)
		}
	}
}

// OI-22, O-07: a publisher is the workflow that was started. One that it calls counts only if it is named.
func TestReusableWorkflow(t *testing.T) {
	const (
		ours    = "acme/widget/.github/workflows/release.yml@refs/heads/main"
		caller  = "acme/widget/.github/workflows/test.yml@refs/heads/main"
		foreign = "evil/ci/.github/workflows/release.yml@refs/heads/main"
		shared  = "acme/ci/.github/workflows/publish.yml@refs/tags/v3"
	)
	for _, tt := range []struct {
		reusable, started, job string
		want                   []string
	}{
		{"", ours, ours, nil},
		{"", caller, ours, []string{"workflow_ref", "job_workflow_ref"}},
		{"", ours, foreign, []string{"job_workflow_ref"}},
		{"", ours, shared, []string{"job_workflow_ref"}},
		{"", ours, "acme/widget/.github/workflows/release.yml@refs/heads/other", []string{"job_workflow_ref"}},
		{"acme/ci/.github/workflows/publish.yml", ours, shared, nil},
		{"Acme/CI/.github/workflows/publish.yml", ours, shared, nil},
		{"acme/ci/.github/workflows/publish.yml@refs/tags/v3", ours, shared, nil},
		{"acme/ci/.github/workflows/publish.yml@refs/tags/v4", ours, shared, []string{"job_workflow_ref"}},
		{"acme/ci/.github/workflows/publish.yml@refs/tags/v", ours, shared, []string{"job_workflow_ref"}},
		{"acme/ci/.github/workflows/Publish.yml", ours, shared, []string{"job_workflow_ref"}},
		{"acme/ci/.github/workflows/publish.yml", ours, ours, []string{"job_workflow_ref"}},
		{"acme/ci/.github/workflows/publish.yml", caller, shared, []string{"workflow_ref"}},
		{"acme/ci/.github/workflows/publish.yml", shared, shared, []string{"workflow_ref"}},
		{"evil/ci/.github/workflows/release.yml", ours, shared, []string{"job_workflow_ref"}},
	} {
		p := named(t, "github, only names").with("workflow_ref", tt.started).with("job_workflow_ref", tt.job)
		p.publisher.GitHub.ReusableWorkflow = tt.reusable
		var got []string
		for _, d := range p.match(t) {
			got = append(got, d.Claim)
		}
		assert.Equal(t, tt.want, got, "%+v", tt)
	}
}
