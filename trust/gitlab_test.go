package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// GitLab says the server in the claim, too: a GitLab in a folder, or at a port.
func TestGitLabOfOnesOwn(t *testing.T) {
	for url, server := range map[string]string{
		"https://gitlab.acme.test":       "gitlab.acme.test",
		"https://acme.test/tools/gitlab": "acme.test/tools/gitlab",
		"http://127.0.0.1:8080":          "127.0.0.1:8080",
	} {
		p := named(t, "gitlab, all").with("ci_config_ref_uri", server+"/acme/tools/widget//.gitlab-ci.yml@refs/heads/main")
		p.issuer.URL, p.publisher.Issuer = url, url
		assert.Empty(t, p.match(t), url)
		p = p.with("ci_config_ref_uri", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main")
		assert.Equal(t, "different", reason(p.match(t), "ci_config_ref_uri"), url)
	}
}

// OI-29: the pipeline's file is in the project itself, and its ref is that of the job.
func TestGitLabConfig(t *testing.T) {
	for _, tt := range []struct{ file, ref, config, want string }{
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", ""},
		{"ci/release.yml", "refs/tags/v1", "gitlab.com/acme/tools/widget//ci/release.yml@refs/tags/v1", ""},
		{".gitlab-ci.yml", "refs/heads/a@b//c.yml@d", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/a@b//c.yml@d", ""},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/other//.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@acme/other@refs/heads/main", "different"}, // what GitLab says of another project's file
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//https://ci.acme.test/.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/evil/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/other", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/y.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget/.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com/acme/tools/widget//ci/.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "gitlab.com.evil.test/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "different"},
		{".gitlab-ci.yml", "refs/heads/main", "https://gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/heads/main", "different"},
	} {
		p := named(t, "gitlab, only names").with("ci_config_ref_uri", tt.config).with("ref_path", tt.ref)
		p.publisher.GitLab.ConfigFile = tt.file
		assert.Equal(t, tt.want, reason(p.match(t), "ci_config_ref_uri"), "%+v", tt)
		assert.Equal(t, tt.want == "", len(p.match(t)) == 0, "%+v", tt)
	}
	p := named(t, "gitlab, only names").with("ref_path", "refs/merge-requests/1/head").with("ci_config_ref_uri", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@refs/merge-requests/1/head")
	assert.Equal(t, "different", reason(p.match(t), "ref_path"), "a merge request's ref is no branch, whatever its pipeline's source is")
	commit := strings.Repeat("0a", 20)
	p = named(t, "gitlab, only names").with("ref_path", commit).with("ci_config_ref_uri", "gitlab.com/acme/tools/widget//.gitlab-ci.yml@"+commit)
	assert.Equal(t, "different", reason(p.match(t), "ref_path"), "nor is a commit")
	p = named(t, "gitlab, only names").with("ci_config_ref_uri", nil)
	assert.Equal(t, "malformed", reason(p.match(t), "ci_config_ref_uri"), "older versions say null of a file elsewhere")
}
