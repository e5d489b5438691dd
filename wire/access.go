package wire

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

func badAccess(sentence string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "bad-access-request", Sentence: sentence}
}

// An accessRequest is the body of POST /-/package/<pkg>/access: a visibility, which the host
// keeps, or npm's mfa, whether only security keys count, whether only trusted publishers may publish and
// what is demanded of staged versions, which npmauth keeps. All but mfa are not npm's.
type accessRequest struct {
	Access    *string `json:"access"`
	Requires  *bool   `json:"publish_requires_tfa"`
	Overrides *bool   `json:"automation_token_overrides_tfa"`

	KeysOnly       *bool  `json:"keys_only"`
	PublishersOnly *bool  `json:"publishers_only"`
	StageOnly      *bool  `json:"stage_only"`
	Approvals      *uint8 `json:"approvals"`
	OtherApprover  *bool  `json:"other_approver"`
}

// mode returns the setting in the request. If the request does not say whether tokens may
// bypass the second factor, as those of npm 6 and pnpm do not, they may not.
func (q accessRequest) mode() (protocol.PublishMode, error) {
	switch {
	case q.Requires == nil:
		return protocol.FactorOnly, badAccess("automation_token_overrides_tfa needs publish_requires_tfa.")
	case !*q.Requires && q.Overrides != nil && *q.Overrides:
		return protocol.FactorOnly, badAccess("automation_token_overrides_tfa has nothing to override.")
	case !*q.Requires:
		return protocol.NoFactor, nil
	case q.Overrides != nil && *q.Overrides:
		return protocol.FactorOrBypass, nil
	}
	return protocol.FactorOnly, nil
}

// A memberRequest is the body of PUT and DELETE /-/org/<org>/user and of
// /-/team/<org>/<team>/user, and of pnpm's PUT /-/package/<pkg>/owners.
type memberRequest struct {
	User *string `json:"user"`
	Role *string `json:"role"`
}

// An orgRequest is the body of PUT /-/auth/v1/orgs/<org>, which npmauth adds to npm's: whether the
// members must have a second factor, and for the packages of its scope what an accessRequest says for one.
type orgRequest struct {
	Require        *bool  `json:"require_2fa"`
	KeysOnly       *bool  `json:"keys_only"`
	PublishersOnly *bool  `json:"publishers_only"`
	StageOnly      *bool  `json:"stage_only"`
	Approvals      *uint8 `json:"approvals"`
	OtherApprover  *bool  `json:"other_approver"`
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

// ReadDistTag reads the body of PUT /-/package/<pkg>/dist-tags/<tag>, a version as a JSON
// string.
func ReadDistTag(data []byte, op protocol.Operation) (*protocol.Change, error) {
	var version string
	if err := strictjson.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if !protocol.ValidVersion(version) {
		return nil, &Error{Status: http.StatusBadRequest, Code: "bad-version", Sentence: "A dist-tag must name a version."}
	}
	return &protocol.Change{Version: version, Tags: map[string]string{op.Tag: version}}, nil
}

// changeReaders has the reader of each action that ReadChange knows. removes is true of a DELETE.
var changeReaders = map[protocol.Action]func(data []byte, removes bool, op *protocol.Operation, c *protocol.Change) error{
	protocol.SetAccess: func(data []byte, _ bool, _ *protocol.Operation, c *protocol.Change) error {
		return readSetting(data, c)
	},
	protocol.WriteOwners: func(data []byte, removes bool, op *protocol.Operation, c *protocol.Change) error {
		if removes { // DELETE …/owners/<user>
			c.RemovedOwners = []string{op.User}
			return nil
		}
		name, _, err := readMember(data)
		c.AddedOwners = []string{name}
		return err
	},
	protocol.WriteOrg: func(data []byte, removes bool, _ *protocol.Operation, c *protocol.Change) (err error) {
		var role string
		if c.Member, role, err = readMember(data); err != nil || removes {
			c.Removes = removes
			return err
		}
		if role == "" {
			role = protocol.OrgMember.String() // the default of npm org set is developer
		}
		c.Role, err = readRole(role)
		return err
	},
	protocol.SetOrgFactor: func(data []byte, _ bool, _ *protocol.Operation, c *protocol.Change) error {
		var q orgRequest
		if err := strictjson.Unmarshal(data, &q); err != nil {
			return err
		}
		c.RequireFactor, c.KeysOnly, c.PublishersOnly = q.Require, q.KeysOnly, q.PublishersOnly
		c.StageOnly, c.Approvals, c.OtherApprover = q.StageOnly, q.Approvals, q.OtherApprover
		if c.RequireFactor == nil && !c.SetsRules() {
			return badAccess("Send require_2fa, keys_only, publishers_only, stage_only or other_approver as true or false, or approvals as a number.")
		}
		return checkApprovals(c)
	},
	protocol.WriteTeamMember: func(data []byte, removes bool, _ *protocol.Operation, c *protocol.Change) (err error) {
		c.Removes = removes
		c.Member, _, err = readMember(data)
		return err
	},
	protocol.WriteTeam: func(data []byte, removes bool, _ *protocol.Operation, c *protocol.Change) error {
		if c.Removes = removes; removes {
			return nil
		}
		return readTeam(data, c)
	},
	protocol.GrantTeam: func(data []byte, removes bool, op *protocol.Operation, c *protocol.Change) error {
		c.Removes = removes
		return readGrant(data, removes, op, c)
	},
}

// ReadsChange reports whether [ReadChange] reads the bodies of the action.
func ReadsChange(action protocol.Action) bool { return changeReaders[action] != nil }

// ReadChange reads the change of a request into c, and for a grant of a team its package into
// op.
func ReadChange(method string, data []byte, op *protocol.Operation, c *protocol.Change) error {
	read := changeReaders[op.Action]
	if read == nil {
		return badAccess("This body cannot be read.")
	}
	return read(data, method == http.MethodDelete, op, c)
}

func readSetting(data []byte, c *protocol.Change) error {
	var q accessRequest
	if err := strictjson.Unmarshal(data, &q); err != nil {
		return err
	}
	mfa := q.Requires != nil || q.Overrides != nil
	c.KeysOnly, c.PublishersOnly = q.KeysOnly, q.PublishersOnly
	c.StageOnly, c.Approvals, c.OtherApprover = q.StageOnly, q.Approvals, q.OtherApprover
	switch {
	case q.Access != nil && c.SetsRules():
		return badAccess("Send either access or settings of publishing, not both.")
	case q.Access == nil && !mfa && !c.SetsRules(), q.Access != nil && mfa:
		return badAccess("Send either access or publish_requires_tfa, not both.")
	case q.Access == nil:
		if err := checkApprovals(c); err != nil || !mfa {
			return err
		}
		mode, err := q.mode()
		c.PublishMode = &mode
		return err
	case *q.Access != "public" && *q.Access != "restricted":
		return badAccess("access must be public or restricted.")
	}
	c.Access = *q.Access
	return nil
}

// checkApprovals refuses more approvals than can be demanded.
func checkApprovals(c *protocol.Change) error {
	if c.Approvals != nil && *c.Approvals > policy.MaxApprovals {
		return badAccess(fmt.Sprintf("approvals must be a number from 0 to %d.", policy.MaxApprovals))
	}
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

// readRole reads npm's words for a role. The CLI's developer is a member.
func readRole(word string) (role protocol.OrgRole, err error) {
	if word == "developer" {
		word = protocol.OrgMember.String()
	}
	if role.UnmarshalText([]byte(word)) != nil || role == protocol.NoRole {
		return protocol.NoRole, badAccess("role must be developer, admin or owner.")
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
		return badAccess("Send either name or team, not both.")
	}
	if name != nil {
		c.Team = *name
	}
	if !protocol.ValidOrg(c.Team) {
		return badAccess("name must be the name of a team.")
	}
	return nil
}

func readGrant(data []byte, removes bool, op *protocol.Operation, c *protocol.Change) error {
	var q grantRequest
	err := strictjson.Unmarshal(data, &q)
	if err != nil {
		return err
	}
	if q.Package == nil {
		return badAccess("package must be the name of one.")
	}
	if op.Package, err = protocol.ParsePackageName(*q.Package); err != nil {
		return badAccess("package must be the name of one.")
	}
	switch {
	case removes:
	case q.Permissions == nil:
		return badAccess("permissions must be read-only or read-write.")
	case c.Permission.UnmarshalText([]byte(*q.Permissions)) != nil || c.Permission != protocol.ReadOnly && c.Permission != protocol.ReadWrite:
		return badAccess("permissions must be read-only or read-write.")
	}
	return nil
}
