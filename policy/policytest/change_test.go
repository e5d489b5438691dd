package policytest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// AU-46: what a live request would do has words, and is read back from them. What people wrote is
// left out.
func TestFormatChange(t *testing.T) {
	text := "<p>secret</p>"
	for _, tt := range []struct {
		action protocol.Action
		is     protocol.Change
		words  string
		read   protocol.Change // with what is left out
	}{
		{
			protocol.Publish, protocol.Change{Version: "2.0.0", Tags: map[string]string{"next": "2.0.0", "latest": "2.0.0"}, Access: "restricted", Integrity: "sha512-x", Attachments: []string{"x"}, Body: "ab"},
			"/version=2.0.0/tag=latest/tag=next/access=restricted",
			protocol.Change{Version: "2.0.0", Tags: map[string]string{"next": "2.0.0", "latest": "2.0.0"}, Access: "restricted"},
		},
		{
			protocol.Deprecate, protocol.Change{Deprecated: map[string]string{"1.0.0": text, "1.1.0": ""}, Revision: "1-a"},
			"/deprecates=1.0.0/undeprecates=1.1.0", protocol.Change{Deprecated: map[string]string{"1.0.0": "said", "1.1.0": ""}},
		},
		{protocol.Deprecate, protocol.Change{Revision: "1-a"}, "/nothing", protocol.Change{}},
		{
			protocol.Unpublish, protocol.Change{Removed: []string{"1.0.0", "1.1.0"}, Tags: map[string]string{"latest": "0.9.0", "old": ""}},
			"/removes-version=1.0.0/removes-version=1.1.0/moves-tag=latest@0.9.0/moves-tag=old@", protocol.Change{Removed: []string{"1.0.0", "1.1.0"}, Tags: map[string]string{"latest": "0.9.0", "old": ""}},
		},
		{protocol.Unpublish, protocol.Change{Tarballs: []string{"1.0.0"}}, "/removes-tarball=1.0.0", protocol.Change{Tarballs: []string{"1.0.0"}}},
		{
			protocol.WriteOwners, protocol.Change{Maintainers: []string{"alice", "carol"}, AddedOwners: []string{"carol"}, RemovedOwners: []string{"b=b"}},
			"/owner=alice/owner=carol/adds-owner=carol/removes-owner=b%3Db", protocol.Change{Maintainers: []string{"alice", "carol"}, AddedOwners: []string{"carol"}, RemovedOwners: []string{"b=b"}},
		},
		{
			protocol.WriteTrust, protocol.Change{Publisher: map[string]string{"repository": "acme/widget", "type": "github"}},
			"/publisher=repository@acme%2Fwidget/publisher=type@github", protocol.Change{Publisher: map[string]string{"repository": "acme/widget", "type": "github"}},
		},
		{
			protocol.Stage, protocol.Change{Version: "1.0.0", Tags: map[string]string{"next": "1.0.0"}, Access: "public"},
			"/version=1.0.0/tag=next/access=public", protocol.Change{Version: "1.0.0", Tags: map[string]string{"next": "1.0.0"}, Access: "public"},
		},
		{protocol.ApproveStaged, protocol.Change{Version: "1.0.0"}, "/version=1.0.0", protocol.Change{Version: "1.0.0"}},
		{protocol.RejectStaged, protocol.Change{Version: "1.0.0", Removes: true}, "/version=1.0.0/removes", protocol.Change{Version: "1.0.0", Removes: true}},
		{protocol.WriteTrust, protocol.Change{Removes: true}, "/removes", protocol.Change{Removes: true}},
		{protocol.Star, protocol.Change{Starred: true}, "/starred", protocol.Change{Starred: true}},
		{protocol.SetAccess, protocol.Change{Access: "public"}, "/access=public", protocol.Change{Access: "public"}},
		{protocol.WriteOrg, protocol.Change{Member: "bob", Role: protocol.OrgAdmin}, "/member=bob/role=admin", protocol.Change{Member: "bob", Role: protocol.OrgAdmin}},
		{protocol.WriteOrg, protocol.Change{Member: "bob", Removes: true}, "/member=bob/removes", protocol.Change{Member: "bob", Removes: true}},
		{protocol.SetOrgFactor, protocol.Change{RequireFactor: new(true)}, "/requires-factor", protocol.Change{RequireFactor: new(true)}},
		{protocol.SetOrgFactor, protocol.Change{RequireFactor: new(false)}, "/requires-no-factor", protocol.Change{RequireFactor: new(false)}},
		{protocol.SetOrgFactor, protocol.Change{RequireFactor: new(true), KeysOnly: new(true)}, "/keys-only/requires-factor", protocol.Change{RequireFactor: new(true), KeysOnly: new(true)}},
		{
			protocol.ApproveStaged, protocol.Change{Version: "1.0.0", Also: map[string]string{"x": "@acme/gadget@1.0.0"}},
			"/version=1.0.0/also=x@@acme%2Fgadget@1.0.0", protocol.Change{Version: "1.0.0", Also: map[string]string{"x": "@acme/gadget@1.0.0"}},
		},
		{protocol.SetAccess, protocol.Change{PublishersOnly: new(true), KeysOnly: new(false)}, "/publishers-only/any-factor", protocol.Change{PublishersOnly: new(true), KeysOnly: new(false)}},
		{protocol.SetOrgFactor, protocol.Change{PublishersOnly: new(false)}, "/not-publishers-only", protocol.Change{PublishersOnly: new(false)}},
		{
			protocol.SetAccess, protocol.Change{StageOnly: new(true), Approvals: new(uint8(2)), OtherApprover: new(true)},
			"/stage-only/approvals=2/other-approver", protocol.Change{StageOnly: new(true), Approvals: new(uint8(2)), OtherApprover: new(true)},
		},
		{
			protocol.SetOrgFactor, protocol.Change{StageOnly: new(false), Approvals: new(uint8(0)), OtherApprover: new(false)},
			"/not-stage-only/approvals=0/not-other-approver", protocol.Change{StageOnly: new(false), Approvals: new(uint8(0)), OtherApprover: new(false)},
		},
		{protocol.SetAccess, protocol.Change{KeysOnly: new(false)}, "/any-factor", protocol.Change{KeysOnly: new(false)}},
		{protocol.SetAccess, protocol.Change{PublishMode: new(protocol.NoFactor), KeysOnly: new(true)}, "/mfa=none/keys-only", protocol.Change{PublishMode: new(protocol.NoFactor), KeysOnly: new(true)}},
		{protocol.WriteTeam, protocol.Change{Team: "devs"}, "/new-team=devs", protocol.Change{Team: "devs"}},
		{protocol.GrantTeam, protocol.Change{Permission: protocol.ReadWrite}, "/permission=read-write", protocol.Change{Permission: protocol.ReadWrite}},
		{
			protocol.WriteProfile, protocol.Change{Email: &text, Profile: map[string]string{"homepage": text, "fullname": text}},
			"/email/profile=fullname/profile=homepage", protocol.Change{Email: new("said"), Profile: map[string]string{"homepage": "said", "fullname": "said"}},
		},
		{
			protocol.CreateToken, protocol.Change{Token: &protocol.TokenSpec{Name: "ci-1", Description: text, Days: 30, Bypass: true, Grants: writingToken.Token.Grants}},
			"/write/bypass/name=ci-1/days=30", protocol.Change{Token: &protocol.TokenSpec{Name: "ci-1", Days: 30, Bypass: true, Grants: writingToken.Token.Grants}},
		},
		{protocol.ManageService, protocol.Change{Token: &protocol.TokenSpec{Name: "a b"}}, "/name=a%20b", protocol.Change{Token: &protocol.TokenSpec{Name: "a b"}}},
		{protocol.SetPassword, protocol.Change{Password: "0a1b"}, "/password", protocol.Change{Password: "said"}},
		{protocol.SetTwoFactor, protocol.Change{TwoFactor: protocol.AuthAndWrites}, "/mode=auth-and-writes", protocol.Change{TwoFactor: protocol.AuthAndWrites}},
		{protocol.SetTwoFactor, protocol.Change{TwoFactor: protocol.TwoFactorOff}, "/off", protocol.Change{TwoFactor: protocol.TwoFactorOff}},
		{protocol.SetTwoFactor, protocol.Change{Confirms: true}, "/confirms", protocol.Change{Confirms: true}},
		{protocol.AddFactor, protocol.Change{Factor: protocol.FactorKey, Name: "my key", Body: "ab"}, "/factor=key/called=my%20key", protocol.Change{Factor: protocol.FactorKey, Name: "my key"}},
		{protocol.RemoveFactor, protocol.Change{Factor: protocol.FactorApp, Removes: true}, "/removes/factor=app", protocol.Change{Factor: protocol.FactorApp, Removes: true}},
	} {
		r := policy.Request{Operation: protocol.Operation{Action: tt.action}, Change: &tt.is}
		line, err := policytest.Format(r)
		require.NoError(t, err, tt.words)
		assert.Equal(t, tt.action.String()+tt.words, strings.Fields(line)[2])
		assert.NotContains(t, line, "secret")
		row, err := policytest.Parse(line + " => deny not-permitted")
		require.NoError(t, err, line)
		assert.Equal(t, &tt.read, row.Request.Change, line)
	}

	// The tag that is removed is the operation's.
	remove := policy.Request{Operation: protocol.Operation{Action: protocol.RemoveDistTag, Tag: "old"}, Change: &protocol.Change{Tags: map[string]string{"old": ""}}}
	line, err := policytest.Format(remove)
	require.NoError(t, err)
	assert.Equal(t, "remove-dist-tag/tag=old", strings.Fields(line)[2])
	row, err := policytest.Parse(line + " => deny not-permitted")
	require.NoError(t, err)
	assert.Equal(t, remove.Change, row.Request.Change)

	// A word is for its actions, and no line says a field of another's.
	for name, r := range map[string]policy.Request{
		"a member":    {Operation: protocol.Operation{Action: protocol.Publish}, Change: &protocol.Change{Member: "bob"}},
		"a role":      {Operation: protocol.Operation{Action: protocol.WriteOrg}, Change: &protocol.Change{Role: 9}},
		"another tag": {Operation: protocol.Operation{Action: protocol.RemoveDistTag, Tag: "old"}, Change: &protocol.Change{Tags: map[string]string{"new": ""}}},
	} {
		_, err := policytest.Format(r)
		assert.ErrorIs(t, err, policytest.ErrFormat, name)
	}
	for _, line := range []string{
		"session off create-token/days=soon - - => allow", "session off publish/member=bob - - => allow", "session off write-org/role=king org=acme:owner - => allow", "session off write-owners/adds-owner= plain=public:rwa - => allow",
	} {
		_, err := policytest.Parse(line)
		assert.Error(t, err, line)
	}
}
