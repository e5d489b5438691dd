package npmauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// anyFactor is npm's policy of a world in which a code counts where only security keys do, for the tests of
// what keeps that setting.
func anyFactor(cfg *npmauth.Config) {
	cfg.Policy = policy.NPM().Without("no-security-key", "security-key-only")
}

// hasKey makes a security key one of alice's second factors.
func (w *world) hasKey() {
	w.t.Helper()
	require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
		return subject.SetKeys(w.t.Context(), tx, w.ids["alice"], true, false)
	}))
}

// Only those who have a key, and show it, let nothing else count for a package.
func TestSetKeysOnlyTakesAKey(t *testing.T) {
	w, bypass := documented(t, func(cfg *npmauth.Config) { cfg.Fresh = -1 })
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	set := func(bearer, otp, body string) answer {
		return w.do(call{method: "POST", path: "/-/package/plain/access", bearer: bearer, otp: otp, body: body})
	}
	const only, every = `{"keys_only":true}`, `{"keys_only":false}`
	a := set(s, w.code("alice"), only)
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "no-security-key", a.text("code"))
	assert.Contains(t, a.text("error"), "/-/auth/security")
	assert.Equal(t, 403, set(bypass, "", only).Code)
	w.hasKey()
	assert.GreaterOrEqual(t, set(s, w.code("alice"), only).Code, 400)
	is, err := w.auth.Package(t.Context(), "id-plain")
	require.NoError(t, err)
	assert.Zero(t, is)

	// Where it is set, a code does nothing more to the package, and does not take it back.
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Publish: protocol.NoFactor, KeysOnly: true}))
	assert.GreaterOrEqual(t, set(s, w.code("alice"), every).Code, 400)
	assert.GreaterOrEqual(t, w.publish("plain", "3.0.0", s, w.code("alice")).Code, 400)
	assert.GreaterOrEqual(t, w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: s, otp: w.code("alice"), body: `"1.0.0"`}).Code, 400)
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	assert.GreaterOrEqual(t, w.publish("plain", "3.0.0", rw, w.code("alice")).Code, 400)
	assert.Empty(t, w.host.written())
	assert.Equal(t, 200, w.publish("plain", "3.0.0", bypass, "").Code, "which mfa=publish is for")
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: s}).Code)
}

// The setting and npm's are set together or one at a time, and each stays as it is when the other changes.
func TestKeysOnlyBesideTheMode(t *testing.T) {
	w, _ := documented(t, anyFactor)
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	for _, step := range []struct {
		body string
		want policy.Settings
	}{
		{`{"keys_only":true}`, policy.Settings{KeysOnly: true}},
		{`{"publish_requires_tfa":true}`, policy.Settings{Publish: protocol.FactorOnly, KeysOnly: true}},
		{`{"keys_only":false}`, policy.Settings{Publish: protocol.FactorOnly}},
		{`{"publish_requires_tfa":true,"automation_token_overrides_tfa":true,"keys_only":true}`, policy.Settings{KeysOnly: true}},
	} {
		w.events.all = nil
		a := w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: step.body})
		require.Equal(t, 200, a.Code, a.Body.String())
		is, err := w.auth.Package(t.Context(), "id-plain")
		require.NoError(t, err)
		assert.Equal(t, step.want, is, step.body)
		assert.True(t, w.events.did(audit.PackageRules))
		a = w.do(call{method: "GET", path: "/-/package/plain/access", bearer: s})
		assert.Equal(t, step.want.KeysOnly, a.json["keys_only"], step.body)
		assert.NotContains(t, a.json, "scope_keys_only", "it has none")
	}
	assert.NotContains(t, w.do(call{method: "GET", path: "/-/package/plain/access"}).json, "keys_only")
}

// What is set for a scope holds for its packages, for those that are new and for the organization, and for
// nothing else.
func TestKeysOnlyOfAScope(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.host.add("@acme-labs/widget", false, w.ids["alice"])
	w.host.add("widget", false, w.ids["alice"])
	s := w.login("alice")
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	access := func() answer { return w.do(call{method: "GET", path: "/-/package/@acme%2fwidget/access", bearer: s}) }
	assert.Equal(t, false, access().json["scope_keys_only"])
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{KeysOnly: true}))
	assert.Equal(t, true, access().json["scope_keys_only"])
	assert.Equal(t, false, access().json["keys_only"])

	for name, refused := range map[string]bool{"@acme/widget": true, "@acme-labs/widget": false, "widget": false, "@acme/new": true} {
		a := w.publish(name, "1.0.0", s, w.code("alice"))
		if !refused {
			assert.Equal(t, 200, a.Code, name)
			continue
		}
		assert.Equal(t, 403, a.Code, name)
		assert.Equal(t, "no-security-key", a.text("code"), name)
	}
	assert.Equal(t, 200, w.publish("@acme/widget", "1.0.0", bypass, "").Code)
	a := w.do(call{method: "PUT", path: "/-/org/acme/user", bearer: s, otp: w.code("alice"), body: `{"user":"bob","role":"admin"}`})
	assert.Equal(t, "no-security-key", a.text("code"))
	a = w.do(setsOrg(s, w.code("alice"), "acme", `{"keys_only":false}`))
	assert.Equal(t, "no-security-key", a.text("code"))
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{}))
	assert.Equal(t, 200, w.publish("@acme/widget", "1.0.1", s, w.code("alice")).Code)
}

// An owner sets it for the scope of the organization's name, also where the host keeps the rule about second
// factors for itself.
func TestKeysOnlyOfAnOrganization(t *testing.T) {
	w := newWorld(t, anyFactor, func(cfg *npmauth.Config) {
		cfg.Orgs = orgsListed{cfg.Orgs, cfg.Orgs.(host.Memberships)}
	})
	w.acme()
	alice := w.login("alice")
	w.events.all = nil
	require.Equal(t, 204, w.do(setsOrg(alice, w.code("alice"), "acme", `{"keys_only":true}`)).Code)
	assert.True(t, w.events.did(audit.ScopeRules))
	assert.False(t, w.events.has(audit.OrgRules))
	s, err := w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.True(t, s.KeysOnly)
	assert.Equal(t, wire.Org{Name: "acme", Role: "owner", KeysOnly: true, MaySetKeysOnly: true}, w.inOrgs(alice)[0])
	for _, body := range []string{`{"require_2fa":true}`, `{"require_2fa":true,"keys_only":false}`} {
		assert.Equal(t, 403, w.do(setsOrg(alice, w.code("alice"), "acme", body)).Code, "the rule is the host's")
	}
	s, err = w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.True(t, s.KeysOnly, "neither of both")
	bob := w.login("bob")
	assert.Equal(t, 403, w.do(setsOrg(bob, "", "acme", `{"keys_only":false}`)).Code)
	assert.Equal(t, 403, w.do(setsOrg(alice, w.code("alice"), "other", `{"keys_only":true}`)).Code, "an admin is no owner")

	// Together with the host's.
	w = newWorld(t, anyFactor)
	w.acme()
	alice = w.login("alice")
	proof := w.approve(w.do(setsOrg(alice, "", "acme", `{"require_2fa":true,"keys_only":true}`)), "alice", "Lets only security keys count as second factors")
	require.Equal(t, 204, w.do(setsOrg(alice, proof, "acme", `{"require_2fa":true,"keys_only":true}`)).Code)
	assert.Equal(t, []string{"set-org-factor o-1 true"}, w.host.written())
	assert.Equal(t, wire.Org{Name: "acme", Role: "owner", Require2FA: true, MaySet2FA: true, KeysOnly: true, MaySetKeysOnly: true}, w.inOrgs(alice)[0])
}

// The pages set both, with a key.
func TestKeysOnlyPages(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.acme()
	w.key("alice", "blue")
	w.host.add("@acme/widget", false, w.ids["alice"])
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=@acme/widget")
	assert.NotContains(t, b.Body.String(), `name="keys_only" value="yes" checked`)
	b.submit("set", "mode", "automation", "keys_only", "yes", "code", w.code("alice")).is(403, `name="keys_only" value="yes" checked`)
	b.is(403, "Only a security key counts here.")
	b.signWith("blue", "set", "key", "mode", "automation", "keys_only", "yes").is(200, "is changed")
	b.is(200, `name="keys_only" value="yes" checked`)
	is, err := w.auth.Package(t.Context(), "id-@acme/widget")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{KeysOnly: true}, is)
	b.submit("set", "mode", "publish", "code", w.code("alice")).is(403, "Only a security key counts here.")
	b.signWith("blue", "set", "key", "mode", "publish").is(200, "is changed")
	assert.NotContains(t, b.Body.String(), `name="keys_only" value="yes" checked`)

	b.open("/-/auth/orgs").is(200, "every kind counts")
	b.submit("keys", "code", w.code("alice")).is(403, "Only a security key counts here.")
	b.signWith("blue", "keys", "key").is(200, "Only security keys count for acme and the packages in its scope now.")
	b.is(200, "only security keys count")
	b.open("/-/auth/packages?package=@acme/widget").is(200, "It is so of all packages in this scope already.")
	b.open("/-/auth/activity").is(200, "Changed what holds for the packages of a scope")
	b.is(200, "every kind counts")
	b.open("/-/auth/orgs").signWith("blue", "any", "key").is(200, "Every kind of second factor counts for acme and the packages in its scope again.")
}
