package npmauth_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// demanded returns what the endpoint of a package's access shows of staged versions.
func demanded(access map[string]any, prefix string) []any {
	return []any{access[prefix+"stage_only"], access[prefix+"approvals"], access[prefix+"other_approver"]}
}

// Maintainers demand staging of a package, with a second factor, and take it back.
func TestStageOnly(t *testing.T) {
	w, bypass := documented(t, trusts, stages)
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	access := call{method: "POST", path: "/-/package/plain/access", bearer: s}
	set := func(body string) {
		t.Helper()
		c := access
		c.otp, c.body = w.code("alice"), body
		a := w.do(c)
		require.Equal(t, 200, a.Code, "%s", a.Body)
	}
	shown := func() []any {
		return demanded(w.do(call{method: "GET", path: "/-/package/plain/access", bearer: s}).json, "")
	}
	assert.Equal(t, []any{false, 1.0, false}, shown())
	assert.Equal(t, []any{nil, nil, nil}, demanded(w.do(call{method: "GET", path: "/-/package/plain/access"}).json, ""))
	for _, body := range []string{`{"stage_only":true}`, `{"approvals":2}`, `{"other_approver":true}`, `{"stage_only":false}`} {
		c := access
		c.body = body
		isChallenge(t, w.do(c))
		c.bearer = bypass
		assert.Equal(t, 403, w.do(c).Code, body)
	}
	proof := w.approve(w.do(call{method: "POST", path: access.path, bearer: s, body: `{"stage_only":true}`}), "alice", "Lets versions be published only by approving staged ones")
	w.events.all = nil
	require.Equal(t, 200, w.do(call{method: "POST", path: access.path, bearer: s, otp: proof, body: `{"stage_only":true}`}).Code)
	said := w.events.last(audit.PackageRules).Detail
	assert.Equal(t, []string{"true", "1", "false"}, []string{said["stage_only"], said["approvals"], said["other_approver"]})
	assert.Equal(t, []any{true, 1.0, false}, shown())

	// Each stays as it is when others change.
	set(`{"publish_requires_tfa":true}`)
	set(`{"approvals":3,"other_approver":true}`)
	set(`{"keys_only":false,"approvals":2}`)
	is, err := w.auth.Package(t.Context(), "id-plain")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{Publish: protocol.FactorOnly, StageOnly: true, Approvals: 2, OtherApprover: true}, is)
	assert.Equal(t, []any{true, 2.0, true}, shown())
	set(`{"publish_requires_tfa":true,"automation_token_overrides_tfa":true,"publishers_only":false}`)
	assert.Equal(t, []any{true, 2.0, true}, shown())

	// They hold.
	w.trust("plain", "createPackage")
	for what, bearer := range map[string]string{"a session": s, "a token that bypasses": bypass, "a trusted publisher": w.exchanged("plain")} {
		assert.Equal(t, "stage-required", w.publish("plain", "3.0.0", bearer, w.code("alice")).text("code"), what)
	}
	id := w.staged("plain", "3.0.0", s)
	assert.Equal(t, "approver-is-stager", w.approveStaged(id, s, "alice").text("code"))
	set(`{"other_approver":false}`)
	assert.Equal(t, false, w.approveStaged(id, s, "alice").json["published"])
	set(`{"approvals":0}`)
	assert.Equal(t, []any{true, 1.0, false}, shown())
	assert.Equal(t, true, w.approveStaged(id, s, "alice").json["published"])
	set(`{"stage_only":false}`)
	assert.Equal(t, 200, w.publish("plain", "4.0.0", bypass, "").Code)

	// Who may not manage the package sets nothing.
	w.person("dave")
	w.enrol("dave", protocol.AuthOnly)
	w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids["dave"]] = policy.RightRead | policy.RightWrite
	a := w.do(call{method: "POST", path: access.path, bearer: w.login("dave"), otp: w.code("dave"), body: `{"other_approver":true}`})
	assert.Equal(t, "may-not-manage", a.text("code"))
}

// In a registry without staging nobody shuts everybody out, and what was set before is taken back.
func TestStageOnlyWithout(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.host.add("plain", false, w.ids["alice"])
	s := w.login("alice")
	ofPackage := func(body string) answer {
		return w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: body})
	}
	for _, body := range []string{`{"stage_only":true}`, `{"approvals":2}`, `{"other_approver":true}`, `{"stage_only":true,"keys_only":false}`} {
		for _, a := range []answer{ofPackage(body), w.do(setsOrg(s, w.code("alice"), "acme", body))} {
			assert.Equal(t, 403, a.Code, body)
			assert.Contains(t, a.text("error"), "does not offer staged publishing", body)
		}
	}
	access := func() map[string]any {
		return w.do(call{method: "GET", path: "/-/package/plain/access", bearer: s}).json
	}
	for _, field := range []string{"stage_only", "approvals", "other_approver"} {
		assert.NotContains(t, access(), field)
	}
	assert.False(t, w.inOrgs(s)[0].MaySetStaging)

	for _, tt := range []struct {
		is   settings.Scope
		body string
	}{
		{settings.Scope{StageOnly: true}, `{"stage_only":false}`},
		{settings.Scope{Approvals: 2}, `{"approvals":1}`},
		{settings.Scope{OtherApprover: true}, `{"other_approver":false}`},
	} {
		require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", tt.is.Narrow(policy.Settings{})))
		require.NoError(t, w.auth.SetScope(t.Context(), "acme", tt.is))
		assert.Equal(t, []any{tt.is.StageOnly, max(1, float64(tt.is.Approvals)), tt.is.OtherApprover}, demanded(access(), ""))
		assert.True(t, w.inOrgs(s)[0].MaySetStaging)
		assert.Equal(t, 200, ofPackage(tt.body).Code, tt.body)
		assert.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", tt.body)).Code, tt.body)
		assert.NotContains(t, access(), "stage_only")
		assert.Equal(t, wire.Org{Name: "acme", Role: "owner", MaySet2FA: true, MaySetKeysOnly: true}, w.inOrgs(s)[0])
	}
}

// What an owner sets for a scope holds for its packages and for those that are new, and for nothing else; of a
// package and its scope the stricter holds.
func TestStageOnlyOfAScope(t *testing.T) {
	w := newWorld(t, stages)
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.host.add("@acme-labs/widget", false, w.ids["alice"])
	s := w.login("alice")
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	org := wire.Org{Name: "acme", Role: "owner", MaySet2FA: true, MaySetKeysOnly: true, Approvals: 1, MaySetStaging: true}
	assert.Equal(t, org, w.inOrgs(s)[0])
	assert.False(t, w.inOrgs(s)[1].MaySetStaging, "an admin is no owner")
	assert.False(t, w.inOrgs(w.login("bob"))[0].MaySetStaging)
	assert.Equal(t, 403, w.do(setsOrg(w.login("bob"), "", "acme", `{"stage_only":true}`)).Code)
	assert.Equal(t, 403, w.do(setsOrg(s, w.code("alice"), "other", `{"approvals":2}`)).Code)
	isChallenge(t, w.do(setsOrg(s, "", "acme", `{"stage_only":true}`)))

	w.events.all = nil
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"stage_only":true,"other_approver":true}`)).Code)
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"approvals":2}`)).Code)
	assert.Equal(t, map[string]string{
		"scope": "acme", "keys_only": "false", "publishers_only": "false", "stage_only": "true", "approvals": "2", "other_approver": "true",
	}, w.events.last(audit.ScopeRules).Detail)
	org.StageOnly, org.Approvals, org.OtherApprover = true, 2, true
	assert.Equal(t, org, w.inOrgs(s)[0])
	access := w.do(call{method: "GET", path: "/-/package/@acme%2fwidget/access", bearer: s}).json
	assert.Equal(t, []any{false, 1.0, false}, demanded(access, ""))
	assert.Equal(t, []any{true, 2.0, true}, demanded(access, "scope_"))

	w.refusedInScope(bypass, "stage-required")
	id := w.staged("@acme/widget", "1.0.0", s)
	assert.Equal(t, "approver-is-stager", w.approveStaged(id, s, "alice").text("code"))
	assert.Equal(t, 200, w.do(call{method: "POST", path: "/-/package/@acme%2fwidget/access", bearer: s, otp: w.code("alice"), body: `{"stage_only":false,"approvals":1,"other_approver":false}`}).Code)
	assert.Equal(t, "approver-is-stager", w.approveStaged(id, s, "alice").text("code"), "the scope's holds")
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"other_approver":false}`)).Code)
	assert.Contains(t, w.approveStaged(id, s, "alice").text("message"), "It needs 2 approvals and has 1.")
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"approvals":1}`)).Code)
	assert.Equal(t, true, w.approveStaged(id, s, "alice").json["published"])
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"stage_only":false}`)).Code)
	assert.Equal(t, 200, w.publish("@acme/new", "1.0.0", bypass, "").Code)
}

// As many people as can be asked for can approve: the commit of the last one's approval has room for all of them,
// with the settings of a scope and a log.
func TestMostApprovals(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, stages, change)
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{Approvals: policy.MaxApprovals, OtherApprover: true}))
	w.alice(protocol.AuthAndWrites)
	w.host.add("@acme/widget", false, w.ids["alice"])
	id := w.staged("@acme/widget", "1.0.0", w.login("alice"))
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-@acme/widget", policy.Settings{Publish: protocol.FactorOnly}))
	for i := range policy.MaxApprovals {
		name := fmt.Sprint("person", i)
		w.person(name)
		w.enrol(name, protocol.AuthAndWrites)
		w.host.packages[protocol.PackageName{Scope: "acme", Name: "widget"}].rights[w.ids[name]] = policy.RightRead | policy.RightWrite
		a := w.approveStaged(id, w.login(name), name)
		require.Equal(t, 201, a.Code, "%s", a.Body)
		assert.Equal(t, i == policy.MaxApprovals-1, a.json["published"])
	}
	for _, approvals := range []uint8{policy.MaxApprovals + 1, 255} {
		require.Error(t, w.auth.SetPackage(t.Context(), "id-@acme/widget", policy.Settings{Approvals: approvals}))
		require.Error(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{Approvals: approvals}))
		require.Error(t, w.auth.ImportPackages(t.Context(), func(yield func(protocol.PackageID, policy.Settings) bool) {
			yield("p-2", policy.Settings{Approvals: approvals})
		}))
	}
}

// The pages set all of it.
func TestStageOnlyPages(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change, stages)
	w.acme()
	w.host.orgs["beta "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-3", Role: protocol.OrgOwner}
	w.host.add("@acme/widget", false, w.ids["alice"])
	const (
		must  = `name="stage_only" value="yes" checked`
		other = `name="other_approver" value="yes" checked`
	)
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=@acme/widget").is(200, "Each version must be staged")
	b.is(200, `name="approvals" value="1"`)
	assert.NotContains(t, b.Body.String(), must)
	assert.NotContains(t, b.Body.String(), other)

	// What was ticked is not lost with a wrong code.
	b.submit("set", "mode", "automation", "stage_only", "yes", "approvals", "2", "code", "000000").is(403, must)
	b.is(403, `name="approvals" value="2"`)
	assert.NotContains(t, b.Body.String(), other)
	for _, approvals := range []string{"", "0", "-1", "two", "1.5"} {
		b.submit("set", "mode", "automation", "stage_only", "yes", "approvals", approvals, "code", w.code("alice")).is(422, "Say how many people must approve, as a number.")
	}
	b.submit("set", "mode", "automation", "approvals", "6", "code", w.code("alice")).is(400, "approvals must be a number from 0 to 5.")
	b.submit("set", "mode", "automation", "stage_only", "yes", "approvals", " 2 ", "code", w.code("alice")).is(200, "is changed")
	b.is(200, must)
	b.is(200, `name="approvals" value="2"`)
	is, err := w.auth.Package(t.Context(), "id-@acme/widget")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{StageOnly: true, Approvals: 2}, is)
	b.submit("set", "mode", "automation", "approvals", "1", "other_approver", "yes", "code", w.code("alice")).is(200, other)
	assert.NotContains(t, b.Body.String(), must)
	assert.NotContains(t, b.Body.String(), "It is so of all packages in this scope already.")

	b.open("/-/auth/orgs").is(200, "<dt>Staging</dt><dd>not demanded</dd>")
	b.is(200, "<dt>Approvals of a staged version</dt><dd>1</dd>")
	b.submit("staging", "stage_only", "yes", "approvals", "3", "other_approver", "yes", "code", "000000").is(403, must)
	b.is(403, `name="approvals" value="3"`)
	b.is(403, `name="approvals" value="1"`) // of beta
	b.submit("staging", "approvals", "no", "code", w.code("alice")).is(422, "Say how many people must approve, as a number.")
	b.submit("staging", "stage_only", "yes", "approvals", "3", "other_approver", "yes", "code", w.code("alice")).is(200, "What is demanded of staged versions in the scope of acme is changed.")
	b.is(200, "<dt>Staging</dt><dd>each version is staged</dd>")
	b.is(200, "<dt>Approvals of a staged version</dt><dd>3, not by who staged it</dd>")
	scope, err := w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.Equal(t, settings.Scope{StageOnly: true, Approvals: 3, OtherApprover: true}, scope)
	b.open("/-/auth/packages?package=@acme/widget").is(200, "It is so of all packages in this scope already.")
	b.is(200, "The scope asks for 3 of all its packages.")
	b.open("/-/auth/activity").is(200, "each version is staged")
	b.is(200, "not by who staged it")
	b.open("/-/auth/orgs").submit("staging", "approvals", "1", "code", w.code("alice")).is(200, "is changed")
	scope, err = w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.Equal(t, settings.Scope{Approvals: 1}, scope)

	// Without staging there is nothing of it.
	w = newWorld(t)
	w.acme()
	w.host.add("plain", false, w.ids["alice"])
	b = w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=plain").is(200, "Only security keys count")
	assert.NotContains(t, b.Body.String(), "stage")
	b.open("/-/auth/orgs").is(200, "acme")
	assert.NotContains(t, b.Body.String(), "stage")
	b.open("/-/auth/packages?package=plain").submit("set", "mode", "publish", "code", w.code("alice")).is(200, "is changed")

	// Unless it was set before: then it is taken back.
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{StageOnly: true}))
	b.open("/-/auth/packages?package=plain").is(200, must)
	b.submit("set", "mode", "publish", "stage_only", "yes", "approvals", "1", "code", w.code("alice")).is(403, "does not offer staged publishing")
	b.submit("set", "mode", "publish", "approvals", "1", "code", w.code("alice")).is(200, "is changed")
	assert.NotContains(t, b.Body.String(), "stage_only")
}
