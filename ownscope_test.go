package npmauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/wire"
)

// onlyOrgs is a table of organizations that says nothing of users' scopes.
type onlyOrgs struct{ host.Orgs }

// onlyScopes is a table without organizations.
type onlyScopes struct{ scopes map[protocol.UserID]string }

func (onlyScopes) OrgFacts(context.Context, string, protocol.UserID) (policy.OrgFacts, error) {
	return policy.OrgFacts{}, nil
}
func (onlyScopes) FactorRequired(context.Context, protocol.UserID) (bool, error) { return false, nil }
func (s onlyScopes) OwnScope(_ context.Context, user protocol.UserID) (string, error) {
	return s.scopes[user], nil
}

// AU-77, LG-07: users set the rules of the scope of their own name, with the proofs that an organization's take, and nobody else
// does: no other user, and not the user where an organization has the name.
func TestOwnScope(t *testing.T) {
	w := newWorld(t, trusts, stages)
	session := w.alice(protocol.AuthAndWrites)
	w.person("bob")
	w.enrol("bob", protocol.AuthAndWrites)
	bob := w.login("bob")
	w.host.scopes[w.ids["bob"]] = "bob"
	is := func(want settings.Scope) {
		t.Helper()
		got, err := w.auth.Scope(t.Context(), "alice")
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}

	list := w.inOrgs(session)
	require.Len(t, list, 2)
	assert.Equal(t, wire.Org{
		Name: "alice", Role: "owner", Own: true, MaySetKeysOnly: true, MaySetPublishersOnly: true, Approvals: 1, MaySetStaging: true,
	}, list[0])
	assert.Equal(t, "acme", list[1].Name)

	// What it takes.
	isChallenge(t, w.do(setsOrg(session, "", "alice", `{"publishers_only":true}`)))
	a := w.do(setsOrg(session, w.code("alice"), "alice", `{"keys_only":true}`))
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "no-security-key", a.text("code"))
	a = w.do(setsOrg(session, w.code("alice"), "alice", `{"require_2fa":true}`))
	assert.Equal(t, 404, a.Code, a.Body.String())
	a = w.do(setsOrg(session, w.code("alice"), "alice", `{"require_2fa":true,"stage_only":true}`))
	assert.Equal(t, 404, a.Code, a.Body.String())
	is(settings.Scope{})

	// Who may not, and what it is not.
	for _, org := range []string{"alice", "nobody", "Alice"} {
		a = w.do(setsOrg(bob, w.code("bob"), org, `{"publishers_only":true}`))
		assert.Equal(t, 404, a.Code, a.Body.String())
		assert.Equal(t, "not-found", a.text("code"))
	}
	for _, c := range []call{
		{method: "PUT", path: "/-/org/alice/user", body: `{"user":"bob","role":"owner"}`},
		{method: "PUT", path: "/-/org/alice/team", body: `{"name":"devs"}`},
		{method: "GET", path: "/-/org/alice/user"},
		{method: "GET", path: "/-/org/alice/package"},
	} {
		c.bearer, c.otp = session, w.code("alice")
		assert.Equal(t, 404, w.do(c).Code, c.path)
	}
	assert.Empty(t, w.host.written())
	is(settings.Scope{})

	// It holds for the packages of the scope, new ones included, and for no other.
	assert.Equal(t, 204, w.do(setsOrg(session, w.code("alice"), "alice", `{"publishers_only":true}`)).Code)
	is(settings.Scope{PublishersOnly: true})
	a = w.publish("@alice/widget", "1.0.0", session, w.code("alice"))
	assert.Equal(t, "publishers-only", a.text("code"))
	assert.Equal(t, 200, w.publish("@alicia/widget", "1.0.0", session, w.code("alice")).Code)
	assert.Equal(t, 204, w.do(setsOrg(session, w.code("alice"), "alice", `{"publishers_only":false}`)).Code)

	// By a security key, and back by one.
	w.key("alice", "blue")
	c := setsOrg(session, "", "alice", `{"keys_only":true}`)
	c.otp = w.signed(session, c, "blue")
	assert.Equal(t, 204, w.do(c).Code)
	is(settings.Scope{KeysOnly: true})
	a = w.publish("@alice/widget", "1.0.0", session, w.code("alice"))
	assert.Equal(t, 403, a.Code, a.Body.String())
	a = w.do(setsOrg(session, w.code("alice"), "alice", `{"keys_only":false}`))
	assert.Equal(t, 403, a.Code, a.Body.String())

	// An organization of that name has the scope in her place.
	w.host.orgs["alice "+string(w.ids["bob"])] = policy.OrgFacts{ID: "o-7", Role: protocol.OrgOwner}
	c = setsOrg(session, "", "alice", `{"keys_only":false}`)
	a = w.do(c)
	assert.Equal(t, 404, a.Code, a.Body.String())
	assert.Len(t, w.inOrgs(session), 1)
	a = w.do(setsOrg(bob, w.code("bob"), "alice", `{"stage_only":true}`))
	assert.Equal(t, "no-security-key", a.text("code"), "what was said of the scope holds for its organization")
	require.NoError(t, w.auth.SetScope(t.Context(), "alice", settings.Scope{}))
	w.clock.Add(2 * time.Second)
	assert.Equal(t, 204, w.do(setsOrg(bob, w.code("bob"), "alice", `{"stage_only":true}`)).Code)
	is(settings.Scope{StageOnly: true})
}

// AU-77: a host that says nothing of users' scopes has none, and one without organizations may have them.
func TestOwnScopeIsTheHosts(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Orgs = onlyOrgs{cfg.Orgs} })
	session := w.alice(protocol.AuthAndWrites)
	assert.Equal(t, 404, w.do(setsOrg(session, w.code("alice"), "alice", `{"publishers_only":false}`)).Code)
	assert.Equal(t, 403, w.do(call{method: "GET", path: ownOrgs, bearer: session}).Code, "nor does it list any")

	scopes := onlyScopes{map[protocol.UserID]string{}}
	w = newWorld(t, func(cfg *npmauth.Config) { cfg.Orgs = scopes })
	session = w.alice(protocol.AuthAndWrites)
	assert.Empty(t, w.inOrgs(session))
	for _, bad := range []string{"@alice", "al/ice", ".alice", ""} { // which is no scope
		scopes.scopes[w.ids["alice"]] = bad
		assert.Empty(t, w.inOrgs(session), bad)
	}
	scopes.scopes[w.ids["alice"]] = "alice"
	assert.Len(t, w.inOrgs(session), 1)
	assert.Equal(t, 204, w.do(setsOrg(session, w.code("alice"), "alice", `{"keys_only":false}`)).Code)

	// What cannot be said now is refused.
	w = newWorld(t)
	session = w.alice(protocol.AuthAndWrites)
	c := setsOrg(session, w.code("alice"), "alice", `{"keys_only":false}`)
	w.host.fail = context.DeadlineExceeded
	assert.Equal(t, 503, w.do(c).Code)
	assert.Equal(t, 503, w.do(call{method: "GET", path: ownOrgs, bearer: session}).Code)
}

// AU-77: the page shows it as the user's own, and sets it.
func TestOwnScopePage(t *testing.T) {
	w := newWorld(t, trusts, stages)
	w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	b := w.tab()
	b.signIn("alice", "orgs")
	b.is(200, "<h2>@alice</h2>")
	b.is(200, "your own scope")
	assert.Contains(t, b.Body.String(), "/-/auth/trust?org=acme\"")
	assert.NotContains(t, b.Body.String(), "/-/auth/trust?org=alice", "which has no trusted publishers")
	b.submit("staging", "stage_only", "yes", "approvals", "1").is(403, "one-time")
	b.submit("staging", "stage_only", "yes", "approvals", "1", "code", w.code("alice")).is(200, "What is demanded of staged versions in your scope is changed.")
	b.submit("publishers", "code", w.code("alice")).is(200, "Only trusted publishers may publish the packages in your scope now.")
	b.submit("everybody", "code", w.code("alice")).is(200, "You may publish the packages in your scope again.")
	code, options := b.ask("keys", "key")
	require.Equal(t, 200, code, options)
	b.submit("keys", "by", "key", "key", string(keystest.Sign([]byte(options), "blue"))).is(200, "Only security keys count for the packages in your scope now.")
	b.signWith("blue", "any", "key").is(200, "Every kind of second factor counts for the packages in your scope again.")
	got, err := w.auth.Scope(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, settings.Scope{StageOnly: true, Approvals: 1}, got)
	acme, err := w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.Zero(t, acme)
}
