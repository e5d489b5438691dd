package trust

import (
	"encoding/json"
	"errors"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// publisherJSON is a publisher as npm writes it. The last four fields are ours, and npm does not print them.
type publisherJSON struct {
	ID               *string         `json:"id,omitempty"`
	Type             *string         `json:"type"`
	Claims           json.RawMessage `json:"claims"`
	Permissions      *[]string       `json:"permissions"`
	Issuer           *string         `json:"issuer,omitempty"`
	AllowEvents      *[]string       `json:"allow_events,omitempty"`
	ReusableWorkflow *string         `json:"reusable_workflow,omitempty"`
	RefProtected     *bool           `json:"ref_protected,omitempty"`
}

type fileJSON struct {
	File string `json:"file"`
}

type gitHubJSON struct {
	Repository        string   `json:"repository"`
	WorkflowRef       fileJSON `json:"workflow_ref"`
	Environment       *string  `json:"environment,omitempty"`
	RepositoryID      *string  `json:"repository_id,omitempty"`
	RepositoryOwnerID *string  `json:"repository_owner_id,omitempty"`
}

type gitLabJSON struct {
	ProjectPath    string   `json:"project_path"`
	CIConfigRefURI fileJSON `json:"ci_config_ref_uri"`
	Environment    *string  `json:"environment,omitempty"`
	ProjectID      *string  `json:"project_id,omitempty"`
	NamespaceID    *string  `json:"namespace_id,omitempty"`
}

type circleCIJSON struct {
	OrgID                string    `json:"oidc.circleci.com/org-id"`
	ProjectID            string    `json:"oidc.circleci.com/project-id"`
	PipelineDefinitionID string    `json:"oidc.circleci.com/pipeline-definition-id"`
	VCSOrigin            string    `json:"oidc.circleci.com/vcs-origin"`
	ContextIDs           *[]string `json:"oidc.circleci.com/context-ids,omitempty"`
}

// ParsePublisher reads the body with which npm trust sets up a publisher: an array of one. What is wrong with it
// is an [*InvalidError].
//
//	[{"type":"github","claims":{"repository":"acme/widget","workflow_ref":{"file":"release.yml"},"environment":"prod"},
//	  "permissions":["createPackage","createStagedPackage"]}]
//
// Fields of ours, all of which may be left out, are issuer, allow_events, reusable_workflow and ref_protected beside
// type, and the numeric IDs among the claims. An empty text is an error and not a field that was left out.
func ParsePublisher(body []byte) (Publisher, error) {
	var list []publisherJSON
	if err := strictjson.Unmarshal(body, &list); err != nil {
		return Publisher{}, problem(err, "")
	}
	if len(list) != 1 {
		return Publisher{}, invalid("Send an array of one trusted publisher.")
	}
	if list[0].ID != nil {
		return Publisher{}, invalid("id is given by the registry.")
	}
	return list[0].publisher()
}

// UnmarshalJSON reads what [Publisher.MarshalJSON] writes. Unlike [ParsePublisher] it reads an object, which may
// have an id.
func (p *Publisher) UnmarshalJSON(data []byte) error {
	var j publisherJSON
	if err := strictjson.Unmarshal(data, &j); err != nil {
		return problem(err, "")
	}
	got, err := j.publisher()
	if err != nil {
		return err
	}
	*p = got
	return nil
}

// problem returns an error of strictjson for the sender.
func problem(err error, within string) error {
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return err
	}
	told := *e
	switch {
	case within == "":
	case told.Field == "" || told.Field[0] == '[':
		told.Field = within + told.Field
	default:
		told.Field = within + "." + told.Field
	}
	return &InvalidError{told.Error()}
}

func (j publisherJSON) publisher() (Publisher, error) {
	var p Publisher
	// npm says this of a body without permissions whatever else is missing.
	if j.Permissions == nil {
		return p, &InvalidError{noPermission}
	}
	permissions, err := ParsePermissions(*j.Permissions)
	if err != nil {
		return p, err
	}
	p.Permissions = permissions
	if j.Type == nil {
		return Publisher{}, invalid("type is required.")
	}
	if p.Kind.UnmarshalText([]byte(*j.Type)) != nil || p.Kind == KindUnknown {
		return Publisher{}, invalid("type is not known here. Send github, gitlab, circleci, oidc or custom.")
	}
	if len(j.Claims) == 0 {
		return Publisher{}, invalid("claims is required.")
	}
	r := optional{}
	p.ID = r.text("id", j.ID)
	p.Issuer = r.text("issuer", j.Issuer)
	if j.ReusableWorkflow != nil && p.Kind != KindGitHub {
		return Publisher{}, invalid("reusable_workflow is for type github.")
	}
	if (j.AllowEvents != nil || j.RefProtected != nil) && p.Kind != KindGitHub && p.Kind != KindGitLab {
		return Publisher{}, invalid("allow_events and ref_protected are for types github and gitlab.")
	}
	var events []string
	if j.AllowEvents != nil {
		events = *j.AllowEvents
	}
	protected := j.RefProtected != nil && *j.RefProtected
	switch p.Kind {
	case KindGitHub:
		var c gitHubJSON
		err = strictjson.Unmarshal(j.Claims, &c)
		p.GitHub = &GitHub{
			Repository: c.Repository, Workflow: c.WorkflowRef.File, Environment: r.text("claims.environment", c.Environment),
			RepositoryID: r.text("claims.repository_id", c.RepositoryID), RepositoryOwnerID: r.text("claims.repository_owner_id", c.RepositoryOwnerID),
			AllowEvents: events, ReusableWorkflow: r.text("reusable_workflow", j.ReusableWorkflow), RefProtected: protected,
		}
	case KindGitLab:
		var c gitLabJSON
		err = strictjson.Unmarshal(j.Claims, &c)
		p.GitLab = &GitLab{
			ProjectPath: c.ProjectPath, ConfigFile: c.CIConfigRefURI.File, Environment: r.text("claims.environment", c.Environment),
			ProjectID: r.text("claims.project_id", c.ProjectID), NamespaceID: r.text("claims.namespace_id", c.NamespaceID),
			AllowEvents: events, RefProtected: protected,
		}
	case KindCircleCI:
		var c circleCIJSON
		err = strictjson.Unmarshal(j.Claims, &c)
		p.CircleCI = &CircleCI{OrgID: fold(c.OrgID), ProjectID: fold(c.ProjectID), PipelineDefinitionID: fold(c.PipelineDefinitionID), VCSOrigin: c.VCSOrigin}
		if c.ContextIDs != nil {
			p.CircleCI.ContextIDs = make([]string, 0, len(*c.ContextIDs))
			for _, id := range *c.ContextIDs {
				p.CircleCI.ContextIDs = append(p.CircleCI.ContextIDs, fold(id))
			}
		}
	default:
		err = strictjson.Unmarshal(j.Claims, &p.Claims)
	}
	if err != nil {
		return Publisher{}, problem(err, "claims")
	}
	if r.err != nil {
		return Publisher{}, r.err
	}
	if err := p.Validate(); err != nil {
		return Publisher{}, err
	}
	return p, nil
}

// optional reads fields that may be left out, and keeps the first error.
type optional struct{ err error }

func (r *optional) text(field string, s *string) string {
	if s == nil {
		return ""
	}
	if *s == "" && r.err == nil {
		r.err = invalid("%s must not be empty. Leave it out if there is none.", field)
	}
	return *s
}

// MarshalJSON returns the publisher as npm trust list reads it, with id, type, claims and permissions, and with the
// fields of ours that it has. It is an error if p is not valid.
func (p Publisher) MarshalJSON() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	kind, words := p.Kind.String(), p.Permissions.Words()
	j := publisherJSON{ID: present(p.ID), Type: &kind, Permissions: &words, Issuer: present(p.Issuer)}
	var claims any
	switch {
	case p.GitHub != nil:
		g := p.GitHub
		claims = gitHubJSON{g.Repository, fileJSON{g.Workflow}, present(g.Environment), present(g.RepositoryID), present(g.RepositoryOwnerID)}
		j.AllowEvents, j.ReusableWorkflow, j.RefProtected = listed(g.AllowEvents), present(g.ReusableWorkflow), set(g.RefProtected)
	case p.GitLab != nil:
		g := p.GitLab
		claims = gitLabJSON{g.ProjectPath, fileJSON{g.ConfigFile}, present(g.Environment), present(g.ProjectID), present(g.NamespaceID)}
		j.AllowEvents, j.RefProtected = listed(g.AllowEvents), set(g.RefProtected)
	case p.CircleCI != nil:
		c := p.CircleCI
		claims = circleCIJSON{c.OrgID, c.ProjectID, c.PipelineDefinitionID, c.VCSOrigin, listed(c.ContextIDs)}
	default:
		claims = p.Claims
	}
	var err error
	if j.Claims, err = json.Marshal(claims); err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func listed(list []string) *[]string {
	if list == nil {
		return nil
	}
	return &list
}

func set(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}
