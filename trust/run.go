package trust

import "slices"

// Limits of what is kept of a job, in bytes.
const (
	maxText = 256     // of a value
	maxRun  = 3 << 10 // of all names and values
)

// runClaims are what the tokens of a kind say of a job, the more useful ones first.
var runClaims = map[Kind][]string{
	KindGitHub: {"repository", "repository_id", "run_id", "run_attempt", "workflow_ref", "job_workflow_ref", "ref", "sha", "event_name", "environment", "actor"},
	KindGitLab: {"project_path", "project_id", "pipeline_id", "job_id", "ci_config_ref_uri", "ref", "sha", "pipeline_source", "environment", "user_login"},
	KindCircleCI: {circleOrgID, circleProjectID, circlePipeline, circleOrigin, "oidc.circleci.com/vcs-ref", "oidc.circleci.com/job-id",
		"oidc.circleci.com/workflow-id", "oidc.circleci.com/pipeline-id"},
}

// RunOf returns what an ID token says of its job, by the names of the claims, so that people find it:
//
//	github    repository, repository_id, run_id, run_attempt, workflow_ref, job_workflow_ref, ref, sha, event_name, environment, actor
//	gitlab    project_path, project_id, pipeline_id, job_id, ci_config_ref_uri, ref, sha, pipeline_source, environment, user_login
//	circleci  org-id, project-id, pipeline-definition-id, vcs-origin, vcs-ref, job-id, workflow-id, pipeline-id, each after oidc.circleci.com/
//	others    sub, and the claims that the issuer's publishers name, named as in [Publisher.Fields]
//
// They are strings, or digits of numbers. A value has at most 256 bytes, of which the last three are … if it was cut,
// and all of them together a few KiB. What does not print is left out.
func RunOf(id IDToken) map[string]string {
	run, left := map[string]string{}, maxRun
	for _, claim := range runNames(id.Issuer) {
		value, name := id.Claims.line(claim), claim
		if id.Issuer.Kind == KindCustom {
			name = flat(claim)
		}
		if value = cut(value, maxText); value == "" || len(name)+len(value) > left {
			continue
		}
		run[name] = value
		left -= len(name) + len(value)
	}
	return run
}

func runNames(i Issuer) []string {
	if names, ok := runClaims[i.Kind]; ok {
		return names
	}
	names := []string{"sub"}
	for _, c := range i.claims() {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// line returns a claim that is a string of one line, or a number without a fraction, and "" for any other.
func (c Claims) line(name string) string {
	if s, ok := c.Text(name); ok {
		if plain(s, len(s)) {
			return s
		}
		return ""
	}
	if s := string(c[name]); s == "0" || isNumericID(s) {
		return s
	}
	return ""
}
