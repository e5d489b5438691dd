package npmauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// Maintainers let only trusted publishers publish, with a second factor, and take it back. What else there
// is to write stays with people and their tokens.
func TestPublishersOnly(t *testing.T) {
	w, bypass := documented(t, trusts)
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	set := func(body string) answer {
		t.Helper()
		a := w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: body})
		require.Equal(t, 200, a.Code, "%s", a.Body)
		return a
	}
	shown := func() any {
		return w.do(call{method: "GET", path: "/-/package/plain/access", bearer: s}).json["publishers_only"]
	}
	assert.Equal(t, false, shown())
	isChallenge(t, w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, body: `{"publishers_only":true}`}))
	assert.Equal(t, 403, w.do(call{method: "POST", path: "/-/package/plain/access", bearer: bypass, body: `{"publishers_only":true}`}).Code)
	set(`{"keys_only":false,"publish_requires_tfa":true}`)
	w.events.all = nil
	assert.Contains(t, set(`{"publishers_only":true}`).Header().Get("npm-notice"), "This package has no trusted publisher")
	assert.Equal(t, "true", w.events.last(audit.PackageRules).Detail["publishers_only"])
	assert.Equal(t, true, shown())
	assert.NotContains(t, w.do(call{method: "GET", path: "/-/package/plain/access"}).json, "publishers_only")
	is, err := w.auth.Package(t.Context(), "id-plain")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{Publish: protocol.FactorOnly, PublishersOnly: true}, is, "the mode stays")
	set(`{"publish_requires_tfa":true,"automation_token_overrides_tfa":true}`)
	assert.Equal(t, true, shown(), "it stays, too")

	w.trust("plain", "createPackage")
	assert.Empty(t, set(`{"publishers_only":true}`).Header().Get("npm-notice"))
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	for what, bearer := range map[string]string{"a session": s, "a token": rw, "a token that bypasses": bypass} {
		a := w.publish("plain", "3.0.0", bearer, w.code("alice"))
		assert.Equal(t, 403, a.Code, what)
		assert.Equal(t, "publishers-only", a.text("code"), what)
		assert.Contains(t, a.text("error"), "Only trusted publishers may publish this package.", what)
	}
	assert.Empty(t, w.host.written())
	assert.Equal(t, 200, w.publish("plain", "3.0.0", w.exchanged("plain"), "").Code)
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: bypass, body: `"1.0.0"`}).Code)
	set(`{"publishers_only":false}`)
	assert.Equal(t, false, shown())
	assert.Equal(t, 200, w.publish("plain", "4.0.0", bypass, "").Code)
}

// In a registry without trusted publishers nobody shuts everybody out.
func TestPublishersOnlyWithout(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.host.add("plain", false, w.ids["alice"])
	s := w.login("alice")
	for _, a := range []answer{
		w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: `{"publishers_only":true}`}),
		w.do(setsOrg(s, w.code("alice"), "acme", `{"publishers_only":true}`)),
	} {
		assert.Equal(t, 403, a.Code)
		assert.Contains(t, a.text("error"), "does not offer trusted publishing")
	}
	access := func() map[string]any {
		return w.do(call{method: "GET", path: "/-/package/plain/access", bearer: s}).json
	}
	assert.NotContains(t, access(), "publishers_only")
	assert.False(t, w.inOrgs(s)[0].MaySetPublishersOnly)

	// What was set before can be taken back.
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{PublishersOnly: true}))
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{PublishersOnly: true}))
	assert.Equal(t, true, access()["publishers_only"])
	assert.True(t, w.inOrgs(s)[0].MaySetPublishersOnly)
	assert.Equal(t, 200, w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: `{"publishers_only":false}`}).Code)
	assert.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"publishers_only":false}`)).Code)
	assert.False(t, w.inOrgs(s)[0].PublishersOnly)
}

// What an owner sets for a scope holds for its packages and for those that are new, and for nothing else.
func TestPublishersOnlyOfAScope(t *testing.T) {
	w := newWorld(t, trusts)
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.host.add("@acme-labs/widget", false, w.ids["alice"])
	w.trust("@acme/widget", "createPackage")
	s := w.login("alice")
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{KeysOnly: true, PublishersOnly: true}))
	assert.Equal(t, 403, w.do(setsOrg(w.login("bob"), "", "acme", `{"publishers_only":false}`)).Code)
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{}))
	w.events.all = nil
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"publishers_only":true}`)).Code)
	assert.Equal(t, "true", w.events.last(audit.ScopeRules).Detail["publishers_only"])
	assert.Equal(t, wire.Org{Name: "acme", Role: "owner", MaySet2FA: true, MaySetKeysOnly: true, PublishersOnly: true, MaySetPublishersOnly: true}, w.inOrgs(s)[0])
	access := w.do(call{method: "GET", path: "/-/package/@acme%2fwidget/access", bearer: s}).json
	assert.Equal(t, []any{false, true}, []any{access["publishers_only"], access["scope_publishers_only"]})

	for _, a := range w.refusedInScope(bypass, "publishers-only") {
		assert.Contains(t, a.text("error"), "For a new package run npm trust with the IDs")
	}
	assert.Equal(t, 200, w.publish("@acme/widget", "1.0.0", w.exchanged("@acme/widget"), "").Code)
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/-/org/acme/user", bearer: s, otp: w.code("alice"), body: `{"user":"bob","role":"admin"}`}).Code)

	// One setting of the scope is set without the other.
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{PublishersOnly: true, KeysOnly: false}))
	require.Equal(t, 204, w.do(setsOrg(s, w.code("alice"), "acme", `{"keys_only":false}`)).Code)
	scope, err := w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.Equal(t, settings.Scope{PublishersOnly: true}, scope)
}

// A rule of the host's reads the settings of the package and of its scope, also of what a trusted publisher
// sends, in the first decision and in the final one.
func TestSettingsOfAPublishersPackage(t *testing.T) {
	var seen []policy.Settings
	w := newWorld(t, trusts, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().With(policy.Rule{
			ID: "curious", Sentence: "Says nothing.", Actions: []protocol.Action{protocol.Publish},
			Judge: func(r *policy.Request) policy.Verdict {
				seen = append(seen, r.Settings)
				return policy.Silent
			},
		})
	})
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.trust("@acme/widget", "createPackage")
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-@acme/widget", policy.Settings{Publish: protocol.FactorOnly}))
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{KeysOnly: true, PublishersOnly: true}))
	secret := w.exchanged("@acme/widget")
	seen = nil
	require.Equal(t, 200, w.publish("@acme/widget", "1.0.0", secret, "").Code)
	require.Greater(t, len(seen), 1)
	for _, s := range seen {
		assert.Equal(t, policy.Settings{Publish: protocol.FactorOnly, KeysOnly: true, PublishersOnly: true}, s)
	}
}

// The pages set both.
func TestPublishersOnlyPages(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change, trusts)
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=@acme/widget").is(200, "Only trusted publishers may publish")
	assert.NotContains(t, b.Body.String(), `name="publishers_only" value="yes" checked`)
	b.submit("set", "mode", "automation", "publishers_only", "yes", "code", "000000").is(403, `name="publishers_only" value="yes" checked`)
	b.submit("set", "mode", "automation", "publishers_only", "yes", "code", w.code("alice")).is(200, "is changed")
	b.is(200, `name="publishers_only" value="yes" checked`)
	is, err := w.auth.Package(t.Context(), "id-@acme/widget")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{PublishersOnly: true}, is)
	b.submit("set", "mode", "automation", "code", w.code("alice")).is(200, "is changed")
	is, err = w.auth.Package(t.Context(), "id-@acme/widget")
	require.NoError(t, err)
	assert.Zero(t, is)

	b.open("/-/auth/orgs").is(200, "not only by trusted publishers")
	b.submit("publishers", "code", w.code("alice")).is(200, "Only trusted publishers may publish the packages in the scope of acme now.")
	b.open("/-/auth/packages?package=@acme/widget").is(200, "It is so of all packages in this scope already.")
	b.open("/-/auth/activity").is(200, "Changed what holds for the packages of a scope")
	b.is(200, "only by trusted publishers")
	b.open("/-/auth/orgs").submit("everybody", "code", w.code("alice")).is(200, "People may publish the packages in the scope of acme again.")

	// Without trusted publishers there is no such box.
	w = newWorld(t)
	w.acme()
	w.host.add("plain", false, w.ids["alice"])
	b = w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=plain").is(200, "Only security keys count")
	assert.NotContains(t, b.Body.String(), "publishers_only")
	b.submit("set", "mode", "publish", "code", w.code("alice")).is(200, "is changed")
}
