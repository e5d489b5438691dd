package trust

import "strings"

// A GitHub publisher is a workflow of GitHub Actions. Case matters in the workflow's name only: GitHub has no two
// repositories, owners or environments that differ in the case of ASCII letters.
type GitHub struct {
	Repository string // owner/repository
	Workflow   string // the file in .github/workflows, release.yml: of the workflow that was started, not of one that it calls

	// Environment is the environment of the job. "" is any, and none.
	Environment string

	// RepositoryID and RepositoryOwnerID are numbers that GitHub never gives to another. "" is to be pinned, see
	// [Pins].
	RepositoryID      string
	RepositoryOwnerID string

	// AllowEvents are the events that may start the workflow. Nil is push, release, workflow_dispatch, schedule
	// and repository_dispatch. Events that people without write access cause, such as pull_request,
	// pull_request_target and workflow_run, are an error, and never match.
	AllowEvents []string

	// ReusableWorkflow is the workflow whose job it must be, which the workflow that was started calls:
	// owner/repository/.github/workflows/file.yml, and @ with a ref or commit if it must be that one. "" is none:
	// jobs of reusable workflows do not match.
	ReusableWorkflow string

	// RefProtected demands that the branch or tag is protected.
	RefProtected bool
}

// workflows is the folder of workflows in a repository.
const workflows = "/.github/workflows/"

func isRepository(s string) bool {
	owner, name, ok := strings.Cut(s, "/")
	return ok && isName(owner, "-_", 100) && isName(name, "-_.", 100)
}

// cutReusable returns the parts of a reusable workflow's name. The ref is "" if it has none.
func cutReusable(s string) (repository, file, ref string, ok bool) {
	path, ref, found := strings.Cut(s, "@")
	repository, file, ok = strings.Cut(path, workflows)
	ok = ok && isRepository(repository) && isYAML(file, false) && (!found || isRef(ref))
	return repository, file, ref, ok
}

func (g *GitHub) validate() error {
	switch {
	case !isRepository(g.Repository):
		return invalid("claims.repository must be owner/repository, as in acme/widget.")
	case !isYAML(g.Workflow, false):
		return invalid("claims.workflow_ref.file must be the name of a workflow's file without its folder, as in release.yml.")
	case g.Environment != "" && !plain(g.Environment, 255):
		return invalid("claims.environment must be the name of an environment.")
	case g.RepositoryID != "" && !isNumericID(g.RepositoryID):
		return invalid("claims.repository_id must be a number, in quotes.")
	case g.RepositoryOwnerID != "" && !isNumericID(g.RepositoryOwnerID):
		return invalid("claims.repository_owner_id must be a number, in quotes.")
	}
	if g.ReusableWorkflow != "" {
		if _, _, _, ok := cutReusable(g.ReusableWorkflow); !ok {
			return invalid("reusable_workflow must be owner/repository/.github/workflows/file.yml, perhaps with @ and a ref.")
		}
	}
	return gitHubEvents.validate(g.AllowEvents)
}

func (g *GitHub) match(m *matcher) {
	m.folded("repository", g.Repository)
	m.id("repository_id", g.RepositoryID)
	m.id("repository_owner_id", g.RepositoryOwnerID)

	started, ok := m.text("workflow_ref", g.Repository+workflows+g.Workflow+"@<ref>")
	if ok && !isWorkflow(started, g.Repository, g.Workflow, "") {
		m.different("workflow_ref", g.Repository+workflows+g.Workflow+"@<ref>", started)
	}
	g.matchReusable(m, started)

	if g.Environment != "" {
		m.folded("environment", g.Environment)
	}
	m.event("event_name", gitHubEvents, g.AllowEvents)
	if g.RefProtected {
		m.exact("ref_protected", "true")
	}
}

// matchReusable compares the workflow of the job, which is the one that was started unless that calls another. GitHub
// always says it: a token that does not is not taken for one of a job without a reusable workflow.
func (g *GitHub) matchReusable(m *matcher, started string) {
	const claim = "job_workflow_ref"
	if g.ReusableWorkflow == "" {
		expected := started
		if expected == "" {
			expected = "the same as workflow_ref"
		}
		m.exact(claim, expected)
		return
	}
	expected := g.ReusableWorkflow
	repository, file, ref, _ := cutReusable(expected)
	if ref == "" {
		expected += "@<ref>"
	}
	if job, ok := m.text(claim, expected); ok && !isWorkflow(job, repository, file, ref) {
		m.different(claim, expected, job)
	}
}

// isWorkflow reports whether claim is the workflow of that file at ref, or at any ref if that is "".
func isWorkflow(claim, repository, file, ref string) bool {
	if len(claim) < len(repository) || fold(claim[:len(repository)]) != fold(repository) {
		return false
	}
	at, ok := strings.CutPrefix(claim[len(repository):], workflows+file+"@")
	return ok && isRef(at) && (ref == "" || at == ref)
}
