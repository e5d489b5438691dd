package trust

import (
	"slices"
	"strings"

	"github.com/npmauth/npmauth/credential"
)

// The claims of CircleCI.
const (
	circleOrgID     = "oidc.circleci.com/org-id"
	circleProjectID = "oidc.circleci.com/project-id"
	circlePipeline  = "oidc.circleci.com/pipeline-definition-id"
	circleOrigin    = "oidc.circleci.com/vcs-origin"
	circleContexts  = "oidc.circleci.com/context-ids"
	circleRerun     = "oidc.circleci.com/ssh-rerun"
)

// A CircleCI publisher is the pipeline of a project. All of it is compared exactly. A job that was run again with
// SSH, in which a person may type commands, does not match.
type CircleCI struct {
	OrgID                string // a UUID, as are all IDs of CircleCI: they are never given to another
	ProjectID            string
	PipelineDefinitionID string
	VCSOrigin            string   // host/owner/repository, as in github.com/acme/widget: that of a fork is another
	ContextIDs           []string // contexts of which the job must have each; nil is any, and none
}

// isOrigin reports whether s is a host and the path of a repository, which has two segments or more.
func isOrigin(s string) bool {
	parts := strings.Split(s, "/")
	if len(parts) < 3 || len(s) > 512 {
		return false
	}
	for _, part := range parts {
		if !isName(part, "-_.~", 255) {
			return false
		}
	}
	return true
}

func (c *CircleCI) validate() error {
	for _, id := range []struct{ claim, value string }{
		{circleOrgID, c.OrgID},
		{circleProjectID, c.ProjectID},
		{circlePipeline, c.PipelineDefinitionID},
	} {
		if !credential.IsID(id.value) {
			return invalid("claims.%s must be a UUID.", id.claim)
		}
	}
	if !isOrigin(c.VCSOrigin) {
		return invalid("claims.%s must be host/owner/repository, as in github.com/acme/widget.", circleOrigin)
	}
	if c.ContextIDs != nil && len(c.ContextIDs) == 0 || len(c.ContextIDs) > 100 {
		return invalid("claims.%s must have 1 to 100 contexts.", circleContexts)
	}
	for n, id := range c.ContextIDs {
		if !credential.IsID(id) {
			return invalid("claims.%s must be UUIDs.", circleContexts)
		}
		if slices.Contains(c.ContextIDs[:n], id) {
			return invalid("claims.%s has a context twice.", circleContexts)
		}
	}
	return nil
}

func (c *CircleCI) match(m *matcher) {
	m.exact(circleOrgID, c.OrgID)
	m.exact(circleProjectID, c.ProjectID)
	m.exact(circlePipeline, c.PipelineDefinitionID)
	m.exact(circleOrigin, c.VCSOrigin)
	if c.ContextIDs != nil {
		m.contains(circleContexts, c.ContextIDs)
	}
	// It is a boolean. Anything but false may mean true.
	if !m.claims.has(circleRerun) {
		m.add(circleRerun, Missing, "false", "")
	} else if string(m.claims[circleRerun]) != "false" {
		m.add(circleRerun, Refused, "false", string(m.claims[circleRerun]))
	}
}
