package npmauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

func badAccess(sentence string) *Error {
	return &Error{http.StatusBadRequest, "bad-access-request", sentence}
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
// and is handed to the host as [Changes]. A second-factor setting is made here.
func (a *Auth) guardAccess(w http.ResponseWriter, r *http.Request, op policy.Operation, next http.Handler) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	p, done, err := a.admitAccess(r, op)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case done:
		p.notify(w)
		writeJSON(w, http.StatusOK, struct{}{})
	default:
		a.pass(w, r, p, next)
	}
}

// admitAccess decides about a change of access. done means that it was made here.
func (a *Auth) admitAccess(r *http.Request, op policy.Operation) (p *pass, done bool, err error) {
	defer a.rescue(r, func(refused error) { p, done, err = nil, false, refused })
	j := a.newJudgement(r, op)
	j.handedOver = true
	c, set, err := a.readAccessBody(r, j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	d, err := a.decide(j)
	if err != nil {
		return nil, false, a.conclude(r.Context(), j, err)
	}
	if !set {
		p, err = a.admitJudged(r, j, d, true, c)
		return p, false, err
	}
	// A second-factor setting is kept here.
	err = a.commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *judgement) error {
		if err := a.settings.Set(ctx, tx, j.req.Package.ID, j.req.NewSettings); err != nil {
			return err
		}
		by := j.act.did(j.req.Addr)
		e := packageRules(j.req.Package.ID, j.req.NewSettings).From(by)
		e.User, e.Credential, e.Package = by.User, by.Credential, op.Package
		return a.events.Commit(ctx, tx, e)
	})
	if err != nil {
		return nil, false, err
	}
	return a.newPass(r.Context(), j, nil), true, nil
}

// readAccessBody reads what a request would change. set is true of a second-factor setting.
func (a *Auth) readAccessBody(r *http.Request, j *judgement) (c *Changes, set bool, err error) {
	if err := a.find(r, j); err != nil {
		return nil, false, err
	}
	// Before the body, as far as it does not depend on it: what is wrong with a body is
	// no news for those who may not send one.
	team := j.req.Operation.Action == policy.GrantTeam
	if !team || j.act.cred == nil {
		if _, err := a.decide(j); err != nil {
			return nil, false, err
		}
	}
	data, err := readBody(r)
	if err != nil {
		return nil, false, err
	}
	r.Body = body{bytes.NewReader(data), r.Body}
	c = new(Changes)
	if set, err = readAccessChange(r.Method, data, &j.req, c); err != nil {
		return nil, false, err
	}
	if team { // only now is its package known
		if _, err := a.consult(r.Context(), &j.req); err != nil {
			return nil, false, err
		}
	}
	j.target = c.target()
	if set {
		j.target = "mfa=" + j.req.NewSettings.Publish.String()
	}
	return c, set, nil
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
func readDistTag(data []byte, op policy.Operation) (*Changes, error) {
	var version string
	if err := strictjson.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	return &Changes{Version: version, Tags: map[string]string{op.Tag: version}}, nil
}

// readAccessChange reads what a request would change into req and c. set is true of a
// second-factor setting.
func readAccessChange(method string, data []byte, req *policy.Request, c *Changes) (set bool, err error) {
	removes := method == http.MethodDelete
	op := &req.Operation
	switch op.Action {
	case policy.SetAccess:
		return readSetting(data, req, c)
	case policy.WriteOwners:
		if removes { // DELETE …/owners/<user>
			c.Member = op.User
			return false, nil
		}
		_, err = readMember(data, c)
	case policy.WriteOrg:
		var role string
		if role, err = readMember(data, c); err != nil || removes {
			return false, err
		}
		if role == "" {
			role = policy.OrgMember.String() // npm org set's default is developer, its wire's is the same
		}
		c.Role, err = readRole(role)
	case policy.WriteTeamMember:
		_, err = readMember(data, c)
	case policy.WriteTeam:
		if removes {
			return false, nil
		}
		err = readTeam(data, c)
	case policy.GrantTeam:
		err = readGrant(data, removes, op, c)
	}
	return false, err
}

func readSetting(data []byte, req *policy.Request, c *Changes) (set bool, err error) {
	var q accessRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return false, err
	}
	mfa := q.Requires != nil || q.Overrides != nil
	switch {
	case q.Access == nil && !mfa, q.Access != nil && mfa:
		return false, badAccess("Give access or publish_requires_tfa, and one of them.")
	case mfa:
		req.NewSettings.Publish, err = q.mode()
		return true, err
	case *q.Access != "public" && *q.Access != "restricted":
		return false, badAccess("access must be public or restricted.")
	}
	c.Access = *q.Access
	return false, nil
}

// readMember reads a user's name, with npm's @ or without, and a role if there is one.
func readMember(data []byte, c *Changes) (role string, err error) {
	var q memberRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return "", err
	}
	if q.User != nil {
		c.Member = strings.TrimPrefix(*q.User, "@")
	}
	if !validMember(c.Member) {
		return "", badAccess("user must be the name of one.")
	}
	if q.Role != nil {
		role = *q.Role
	}
	return role, nil
}

// validMember reports whether name could be anybody's; whether it is, the host knows.
func validMember(name string) bool {
	return name != "" && len(name) <= policy.MaxPackageName && strings.IndexFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == '/' || r == ':'
	}) < 0
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

func readTeam(data []byte, c *Changes) error {
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

func readGrant(data []byte, removes bool, op *policy.Operation, c *Changes) error {
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

// target says what a second factor is shown for, so that the one shown for a member
// serves no other.
func (c *Changes) target() string {
	switch {
	case c.Member != "" && c.Role != policy.NoRole:
		return c.Member + " as " + c.Role.String()
	case c.Member != "":
		return c.Member
	case c.Team != "":
		return c.Team
	case c.Access != "":
		return c.Access
	case c.Permission != policy.NoAccess:
		return c.Permission.String()
	case len(c.Maintainers) > 0:
		return names(c.Maintainers)
	}
	return ""
}

// maxTarget is how many bytes of names a person is shown.
const maxTarget = 512

// names lists names, or stands for them where they are too many to be read.
func names(all []string) string {
	text := strings.Join(all, " ")
	if len(text) <= maxTarget {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%d maintainers %s", len(all), hex.EncodeToString(sum[:]))
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
