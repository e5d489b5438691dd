package trust

import "strings"

// A GitLab publisher is the pipeline of a project. Case matters in the names of file and environment, and not in
// the ASCII letters of the project's path.
type GitLab struct {
	ProjectPath string // group/subgroup/project
	ConfigFile  string // .gitlab-ci.yml, in the project itself

	// Environment is the environment of the job. "" is any, and none.
	Environment string

	// ProjectID and NamespaceID are numbers that a GitLab never gives to another. "" is to be pinned, see [Pins].
	ProjectID   string
	NamespaceID string

	// AllowEvents are the sources that may start the pipeline. Nil is push, web, schedule, api and trigger.
	// merge_request_event and external_pull_request_event are an error, and never match.
	AllowEvents []string

	// RefProtected demands that the branch or tag is protected.
	RefProtected bool
}

func isProject(s string) bool {
	parts := strings.Split(s, "/")
	for _, part := range parts {
		if !isName(part, "-_.", 255) || !isAlphanumeric(part[0]) && part[0] != '_' {
			return false
		}
	}
	return len(parts) >= 2 && len(parts) <= 22
}

func (g *GitLab) validate() error {
	switch {
	case !isProject(g.ProjectPath):
		return invalid("claims.project_path must be group/project, as in acme/tools/widget.")
	case !isYAML(g.ConfigFile, true):
		return invalid("claims.ci_config_ref_uri.file must be the path of the pipeline's file in the project, as in .gitlab-ci.yml.")
	case g.Environment != "" && !plain(g.Environment, 255):
		return invalid("claims.environment must be the name of an environment.")
	case g.ProjectID != "" && !isNumericID(g.ProjectID):
		return invalid("claims.project_id must be a number, in quotes.")
	case g.NamespaceID != "" && !isNumericID(g.NamespaceID):
		return invalid("claims.namespace_id must be a number, in quotes.")
	}
	return gitLabEvents.validate(g.AllowEvents)
}

func (g *GitLab) match(m *matcher, issuer Issuer) {
	m.folded("project_path", g.ProjectPath)
	m.id("project_id", g.ProjectID)
	m.id("namespace_id", g.NamespaceID)

	// A file may have slashes and a ref may have an @. Where one ends and the other begins says ref_path.
	ref, ok := m.text("ref_path", "a branch or tag")
	if ok && (!strings.HasPrefix(ref, "refs/") || !isRef(ref)) {
		m.different("ref_path", "a branch or tag", ref)
	}
	server := issuer.server() + "/"
	expected := server + g.ProjectPath + "//" + g.ConfigFile + "@<ref_path>"
	if config, ok := m.text("ci_config_ref_uri", expected); ok {
		rest, ok := strings.CutPrefix(config, server)
		n := len(g.ProjectPath)
		if !ok || len(rest) < n || fold(rest[:n]) != fold(g.ProjectPath) || rest[n:] != "//"+g.ConfigFile+"@"+ref {
			m.different("ci_config_ref_uri", expected, config)
		}
	}

	if g.Environment != "" {
		m.exact("environment", g.Environment)
	}
	m.event("pipeline_source", gitLabEvents, g.AllowEvents)
	if g.RefProtected {
		m.exact("ref_protected", "true")
	}
}
