package issuertest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Lifetime is how long tokens are valid. Those of real jobs are for five minutes (GitHub), an hour (CircleCI), or as long
// as the job may take (GitLab).
const Lifetime = 5 * time.Minute

// What the claims say. The workflow of GitHub is release.yml, the configuration of GitLab .gitlab-ci.yml, and the branch
// main; there is no environment.
const (
	Repository     = "acme/widget" // and the path of the project
	Workflow       = "release.yml" // of GitHub Actions
	RepositoryID   = "731"
	OwnerID        = "42"
	ProjectID      = "22" // of GitLab
	NamespaceID    = "72"
	CircleOrg      = "0c1d2e3f-1111-4a1b-8c2d-aaaaaaaaaaaa" // which a test may pass to CircleCI and Org, as any other
	CircleProject  = "0c1d2e3f-2222-4a1b-8c2d-bbbbbbbbbbbb"
	CirclePipeline = "0c1d2e3f-3333-4a1b-8c2d-cccccccccccc" // the ID of the pipeline's definition
	CircleContext  = "0c1d2e3f-4444-4a1b-8c2d-dddddddddddd"
)

// GitHub returns the claims of a job of GitHub Actions, without aud. It is pushed to main of acme/widget, by release.yml, now.
// Changes are set instead, as they are: what belongs together must be changed together. Nil removes a claim.
func GitHub(changes ...map[string]any) map[string]any {
	return merge(gitHub("https://token.actions.githubusercontent.com", time.Now()), changes)
}

// GitLab returns the claims of a job of gitlab.com, as GitHub does.
func GitLab(changes ...map[string]any) map[string]any {
	return merge(gitLab("https://gitlab.com", time.Now()), changes)
}

// CircleCI returns the claims of a job of an organization of CircleCI, as GitHub does. They have neither jti nor nbf, and the
// ID of the job is another each time.
func CircleCI(org string, changes ...map[string]any) map[string]any {
	return merge(circleCI("https://oidc.circleci.com/org/"+org, time.Now()), changes)
}

// GitHub returns a token of the claims that the function GitHub returns, with the issuer's URL and time, for audience.
func (i *Issuer) GitHub(audience string, changes ...map[string]any) string {
	return i.token(gitHub, audience, changes)
}

// GitLab returns a token of the claims that the function GitLab returns, with the issuer's URL and time, for audience. The
// issuer's host is in ci_config_ref_uri, too.
func (i *Issuer) GitLab(audience string, changes ...map[string]any) string {
	return i.token(gitLab, audience, changes)
}

// CircleCI returns a token of the claims that the function CircleCI returns, with the issuer's URL and time, for audience. It
// panics if the issuer is no Org.
func (i *Issuer) CircleCI(audience string, changes ...map[string]any) string {
	return i.token(circleCI, audience, changes)
}

func (i *Issuer) token(job func(issuer string, now time.Time) map[string]any, audience string, changes []map[string]any) string {
	claims := job(i.url, i.server.now())
	claims["aud"] = audience
	return i.Sign(merge(claims, changes))
}

func gitHub(issuer string, now time.Time) map[string]any {
	const workflow = Repository + "/.github/workflows/" + Workflow + "@refs/heads/main"
	return map[string]any{
		"iss": issuer, "sub": "repo:" + Repository + ":ref:refs/heads/main", "jti": uuid(),
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(Lifetime).Unix(),
		"repository": Repository, "repository_id": RepositoryID, "repository_owner": "acme", "repository_owner_id": OwnerID,
		"repository_visibility": "private", "workflow": "Release", "workflow_ref": workflow, "workflow_sha": commit,
		"job_workflow_ref": workflow, "job_workflow_sha": commit, "event_name": "push",
		"ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": commit, "head_ref": "", "base_ref": "",
		"actor": "alice", "actor_id": "7", "run_id": "9", "run_number": "3", "run_attempt": "1", "runner_environment": "github-hosted",
	}
}

func gitLab(issuer string, now time.Time) map[string]any {
	_, server, _ := strings.Cut(issuer, "://")
	return map[string]any{
		"iss": issuer, "sub": "project_path:" + Repository + ":ref_type:branch:ref:main", "jti": uuid(),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(Lifetime).Unix(),
		"project_path": Repository, "project_id": ProjectID, "namespace_path": "acme", "namespace_id": NamespaceID,
		"project_visibility": "private", "ci_config_ref_uri": server + "/" + Repository + "//.gitlab-ci.yml@refs/heads/main",
		"ci_config_sha": commit, "pipeline_source": "push", "pipeline_id": "5", "job_id": "6", "sha": commit,
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"user_login": "alice", "user_id": "1", "user_email": "alice@acme.test", "runner_id": 12, "runner_environment": "gitlab-hosted",
	}
}

func circleCI(issuer string, now time.Time) map[string]any {
	_, org, ok := strings.Cut(issuer, "/org/")
	if !ok {
		panic("issuertest: " + issuer + " is no organization's: use Org")
	}
	const claim = "oidc.circleci.com/"
	return map[string]any{
		"iss": issuer, "sub": "org/" + org + "/project/" + CircleProject + "/user/0c1d2e3f-6666-4a1b-8c2d-ffffffffffff",
		"iat": now.Unix(), "exp": now.Add(Lifetime).Unix(),
		claim + "org-id": org, claim + "project-id": CircleProject, claim + "pipeline-definition-id": CirclePipeline,
		claim + "vcs-origin": "github.com/" + Repository, claim + "vcs-ref": "refs/heads/main",
		claim + "context-ids": []string{CircleContext}, claim + "ssh-rerun": false,
		claim + "job-id": uuid(), claim + "workflow-id": "0c1d2e3f-7777-4a1b-8c2d-aaaaaaaaaaaa",
	}
}

// commit is the hash of a commit.
const commit = "5f0e7e8d3c1b2a49586776859403122130495867"

// merge sets the changes, or removes claims that are nil in them.
func merge(claims map[string]any, changes []map[string]any) map[string]any {
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// uuid returns a random UUID (RFC 9562, version 4).
func uuid() string {
	var id [16]byte
	rand.Read(id[:]) // does not fail
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
