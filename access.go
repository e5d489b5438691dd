package npmauth

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

func badAccess(sentence string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "bad-access-request", Sentence: sentence}
}

// An accessRequest is the body of POST /-/package/<pkg>/access: a visibility, which is
// the host's, or npm's mfa, which is kept here.
type accessRequest struct {
	Access    *string `json:"access"`
	Requires  *bool   `json:"publish_requires_tfa"`
	Overrides *bool   `json:"automation_token_overrides_tfa"`
}

// mode returns the setting that the request asks for. Where it does not say whether
// tokens may stand in for the factor, as npm 6 and pnpm do not, they may not.
func (q accessRequest) mode() (policy.PublishMode, error) {
	switch {
	case q.Requires == nil:
		return policy.FactorOnly, badAccess("automation_token_overrides_tfa needs publish_requires_tfa.")
	case !*q.Requires && q.Overrides != nil && *q.Overrides:
		return policy.FactorOnly, badAccess("automation_token_overrides_tfa has nothing to override.")
	case !*q.Requires:
		return policy.NoFactor, nil
	case q.Overrides != nil && *q.Overrides:
		return policy.FactorOrBypass, nil
	}
	return policy.FactorOnly, nil
}

// A memberRequest is the body of PUT and DELETE /-/org/<org>/user and of
// /-/team/<org>/<team>/user, and of pnpm's PUT /-/package/<pkg>/owners.
type memberRequest struct {
	User *string `json:"user"`
	Role *string `json:"role"`
}

// A teamRequest is the body of PUT /-/org/<org>/team; Yarn 1 calls the name team.
type teamRequest struct {
	Name        *string `json:"name"`
	Team        *string `json:"team"`
	Description *string `json:"description"`
}

// A grantRequest is the body of PUT and DELETE /-/team/<org>/<team>/package.
type grantRequest struct {
	Package     *string `json:"package"`
	Permissions *string `json:"permissions"`
}

// guardAccess judges what changes who may do what. Its body is small and says a good
// part of what is asked for, so it is read before anybody is asked for a second factor,
// and is handed to the host as a [protocol.Change]. A second-factor setting is made here.
func (a *Auth) guardAccess(w http.ResponseWriter, r *http.Request, op policy.Operation, next http.Handler) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	p, done, err := a.admitAccess(r, op)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case done:
		p.notify(w)
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	default:
		a.pass(w, r, p, next)
	}
}

// admitAccess decides about a change of access. done means that it was made here.
func (a *Auth) admitAccess(r *http.Request, op policy.Operation) (p *pass, done bool, err error) {
	defer a.rescue(r, func(refused error) { p, done, err = nil, false, refused })
	j := a.newJudgement(r, op)
	j.handedOver = true
	err = a.readAccessBody(r, j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	d, err := a.decide(j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	mode := j.req.Change.PublishMode
	if mode == nil {
		p, err = a.admitJudged(r, j, d, true)
		return p, false, err
	}
	// A second-factor setting is kept here.
	err = a.commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *judgement) error {
		settings := policy.Settings{Publish: *mode}
		if err := a.settings.Set(ctx, tx, j.req.Package.ID, settings); err != nil {
			return err
		}
		by := j.act.did(j.req.Addr)
		e := packageRules(j.req.Package.ID, settings).From(by)
		e.User, e.Credential, e.Package = by.User, by.Credential, op.Package
		return a.events.Commit(ctx, tx, e)
	})
	if err != nil {
		return nil, false, err
	}
	return a.newPass(r.Context(), j), true, nil
}

// readAccessBody reads what a request would change.
func (a *Auth) readAccessBody(r *http.Request, j *judgement) error {
	if err := a.find(r, j); err != nil {
		return err
	}
	// Before the body, as far as it does not depend on it: what is wrong with a body is
	// no news for those who may not send one.
	team := j.req.Operation.Action == policy.GrantTeam
	if !team || j.act.cred == nil {
		if _, err := a.decide(j); err != nil {
			return err
		}
	}
	data, err := readBody(r)
	if err != nil {
		return err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	c := new(protocol.Change)
	if err := readAccessChange(r.Method, data, &j.req.Operation, c); err != nil {
		return err
	}
	if team { // only now is its package known
		if _, err := a.consult(r.Context(), &j.req); err != nil {
			return err
		}
	}
	j.req.Change = c
	return nil
}

// readWhole reads a body that is the host's to understand, and gives it back to r.
func readWhole(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	return data, nil
}

// readDistTag reads the body of PUT /-/package/<pkg>/dist-tags/<tag>, a version as a JSON
// string.
func readDistTag(data []byte, op policy.Operation) (*protocol.Change, error) {
	var version string
	if err := strictjson.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if !protocol.ValidVersion(version) {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: "bad-version", Sentence: "A dist-tag must name a version."}
	}
	return &protocol.Change{Version: version, Tags: map[string]string{op.Tag: version}}, nil
}

// readAccessChange reads what a request would change into op, which a grant of a team gets
// its package from, and c.
func readAccessChange(method string, data []byte, op *policy.Operation, c *protocol.Change) (err error) {
	removes := method == http.MethodDelete
	switch op.Action {
	case policy.SetAccess:
		return readSetting(data, c)
	case policy.WriteOwners:
		if removes { // DELETE …/owners/<user>
			c.RemovedOwners = []string{op.User}
			return nil
		}
		name, _, err := readMember(data)
		c.AddedOwners = []string{name}
		return err
	case policy.WriteOrg:
		var role string
		if c.Member, role, err = readMember(data); err != nil || removes {
			c.Removes = removes
			return err
		}
		if role == "" {
			role = policy.OrgMember.String() // npm org set's default is developer, its wire's is the same
		}
		c.Role, err = readRole(role)
	case policy.WriteTeamMember:
		c.Removes = removes
		c.Member, _, err = readMember(data)
	case policy.WriteTeam:
		if c.Removes = removes; !removes {
			err = readTeam(data, c)
		}
	case policy.GrantTeam:
		c.Removes = removes
		err = readGrant(data, removes, op, c)
	}
	return err
}

func readSetting(data []byte, c *protocol.Change) error {
	var q accessRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return err
	}
	mfa := q.Requires != nil || q.Overrides != nil
	switch {
	case q.Access == nil && !mfa, q.Access != nil && mfa:
		return badAccess("Send either access or publish_requires_tfa, not both.")
	case mfa:
		mode, err := q.mode()
		c.PublishMode = &mode
		return err
	case *q.Access != "public" && *q.Access != "restricted":
		return badAccess("access must be public or restricted.")
	}
	c.Access = *q.Access
	return nil
}

// readMember reads a user's name, with npm's @ or without, and a role if there is one.
func readMember(data []byte) (name, role string, err error) {
	var q memberRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return "", "", err
	}
	if q.User != nil {
		name = strings.TrimPrefix(*q.User, "@")
	}
	if !protocol.ValidUser(name) {
		return "", "", badAccess("user must be the name of a user.")
	}
	if q.Role != nil {
		role = *q.Role
	}
	return name, role, nil
}

// readRole reads npm's words for a role. The developer of its command line is a member.
func readRole(word string) (role policy.OrgRole, err error) {
	if word == "developer" {
		word = policy.OrgMember.String()
	}
	if role.UnmarshalText([]byte(word)) != nil || role == policy.NoRole {
		return policy.NoRole, badAccess("role must be developer, admin or owner.")
	}
	return role, nil
}

func readTeam(data []byte, c *protocol.Change) error {
	var q teamRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return err
	}
	name := q.Name
	if name == nil {
		name = q.Team
	} else if q.Team != nil {
		return badAccess("The team has two names.")
	}
	if name != nil {
		c.Team = *name
	}
	if !protocol.ValidOrg(c.Team) {
		return badAccess("name must be the name of a team.")
	}
	return nil
}

func readGrant(data []byte, removes bool, op *policy.Operation, c *protocol.Change) error {
	var q grantRequest
	err := strictjson.Unmarshal(data, &q)
	if err != nil {
		return err
	}
	if q.Package == nil {
		return badAccess("package must be the name of one.")
	}
	if op.Package, err = policy.ParsePackageName(*q.Package); err != nil {
		return badAccess("package must be the name of one.")
	}
	switch {
	case removes:
	case q.Permissions == nil:
		return badAccess("permissions must be read-only or read-write.")
	case c.Permission.UnmarshalText([]byte(*q.Permissions)) != nil || c.Permission != policy.ReadOnly && c.Permission != policy.ReadWrite:
		return badAccess("permissions must be read-only or read-write.")
	}
	return nil
}

// readAccess answers GET /-/package/<pkg>/access: who may read the package, and for those
// who may write it what publishing takes. npm has no address for the second.
func (a *Auth) readAccess(r *http.Request, op policy.Operation) (reply, error) {
	j, err := a.judgeRead(r, op)
	if err != nil {
		return reply{}, err
	}
	shown := map[string]any{"access": "public", "public": true}
	if j.req.Package.Private {
		shown = map[string]any{"access": "restricted", "public": false}
	}
	if (&j.req).Rights()&(policy.RightWrite|policy.RightAdmin) != 0 {
		s, err := a.packageSettings(r.Context(), j.req.Package.ID, j.req.Now)
		if err != nil {
			return reply{}, err
		}
		shown["publish_requires_tfa"] = s.Publish != policy.NoFactor
		shown["automation_token_overrides_tfa"] = s.Publish == policy.FactorOrBypass
	}
	return ok(shown), nil
}
