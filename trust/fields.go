package trust

import (
	"maps"
	"slices"
	"strings"
)

// reserved are the names that are none of a claim's in what is written flat, for people, policies and events.
var reserved = []string{"type", "issuer", "permissions", "publisher", "package_id", "scope", "pending", "expires"}

// flat returns the name of a claim that an operator has chosen, which is claims.<name> where it could be taken for
// something else.
func flat(claim string) string {
	if slices.Contains(reserved, claim) || strings.HasPrefix(claim, "claims.") {
		return "claims." + claim
	}
	return claim
}

// Fields returns p flat, for people, a policy and an event: type, issuer, permissions and what it expects. Lists
// are joined with a comma and a space, and what p does not have is not there. The ID is not among them.
//
//	github    repository, workflow, environment, repository_id, repository_owner_id, allow_events, reusable_workflow, ref_protected
//	gitlab    project_path, ci_config, environment, project_id, namespace_id, allow_events, ref_protected
//	circleci  the claims by their names: oidc.circleci.com/org-id and others
//	oidc      sub
//	custom    the claims by their names, and by claims.<name> where a name is one of the others
func (p Publisher) Fields() map[string]string {
	f := map[string]string{"type": p.Kind.String(), "issuer": p.Issuer, "permissions": joined(p.Permissions.Words())}
	switch {
	case p.GitHub != nil:
		g := p.GitHub
		f["repository"], f["workflow"], f["environment"] = g.Repository, g.Workflow, g.Environment
		f["repository_id"], f["repository_owner_id"] = g.RepositoryID, g.RepositoryOwnerID
		f["allow_events"], f["reusable_workflow"], f["ref_protected"] = joined(g.AllowEvents), g.ReusableWorkflow, trueOr(g.RefProtected)
	case p.GitLab != nil:
		g := p.GitLab
		f["project_path"], f["ci_config"], f["environment"] = g.ProjectPath, g.ConfigFile, g.Environment
		f["project_id"], f["namespace_id"] = g.ProjectID, g.NamespaceID
		f["allow_events"], f["ref_protected"] = joined(g.AllowEvents), trueOr(g.RefProtected)
	case p.CircleCI != nil:
		c := p.CircleCI
		f[circleOrgID], f[circleProjectID], f[circlePipeline] = c.OrgID, c.ProjectID, c.PipelineDefinitionID
		f[circleOrigin], f[circleContexts] = c.VCSOrigin, joined(c.ContextIDs)
	}
	for name, value := range p.Claims {
		f[flat(name)] = value
	}
	maps.DeleteFunc(f, func(_, value string) bool { return value == "" })
	return f
}

// title returns what p is called in lists and logs, such as github acme/widget release.yml. What it pins is not part
// of that.
func (p Publisher) title(issuer Issuer) string {
	words := []string{p.Kind.String()}
	switch {
	case p.GitHub != nil:
		words = append(words, p.GitHub.Repository, p.GitHub.Workflow)
	case p.GitLab != nil:
		words = append(words, p.GitLab.ProjectPath, p.GitLab.ConfigFile)
	case p.CircleCI != nil:
		words = append(words, p.CircleCI.VCSOrigin)
	}
	for _, c := range issuer.claims() {
		if value, named := p.Claims[c.Name]; named && !c.Pin {
			words = append(words, value)
		}
	}
	return cut(strings.Join(words, " "), maxText)
}

func joined(list []string) string { return strings.Join(list, ", ") }

func trueOr(b bool) string {
	if b {
		return "true"
	}
	return ""
}
