package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// newOrgWorld is an open world with the organization acme, which alice owns.
func newOrgWorld(t *testing.T) *world {
	t.Helper()
	w := newOpenWorld(t)
	require.NoError(t, found(t.Context(), w.db, w.people, []orgChoice{{"acme", "alice", false}}))
	return w
}

// publishAs publishes a version with a session of somebody.
func (w *world) publishAs(bearer, name, version string) int {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	return w.do("PUT", "/"+escape(name), bearer, hosttest.PublishBody(pkg, version)).StatusCode
}

func TestOrgMembers(t *testing.T) {
	w := newOrgWorld(t)
	alice, bob, mallory := w.session("alice"), w.session("bob"), w.session("mallory")
	const path = "/-/org/acme/user"
	set := func(user, role string) map[string]string { return map[string]string{"user": user, "role": role} }
	assert.JSONEq(t, `{"alice":"owner"}`, w.ok("GET", path, alice, nil))
	w.refused(404, "GET", path, mallory, nil)
	w.refused(404, "GET", "/-/org/absent/user", mallory, nil)
	w.refused(404, "PUT", path, mallory, set("mallory", "owner"))

	assert.JSONEq(t, `{"org":{"name":"acme","size":2},"user":"bob","role":"developer"}`, w.ok("PUT", path, alice, set("bob", "developer")))
	assert.JSONEq(t, `{"alice":"owner","bob":"developer"}`, w.ok("GET", path, bob, nil))
	w.refused(403, "PUT", path, bob, set("bob", "owner"))
	assert.Contains(t, w.refused(404, "PUT", path, alice, set("nobody", "admin")), `There is no user called "nobody".`)
	assert.JSONEq(t, `["alice","bob"]`, w.ok("GET", "/-/team/acme/developers/user?format=cli", alice, nil))

	t.Run("the last owner", func(t *testing.T) {
		assert.Contains(t, w.refused(403, "PUT", path, alice, set("alice", "admin")), "last owner")
		assert.Contains(t, w.refused(403, "DELETE", path, alice, set("alice", "")), "last owner")
		w.ok("PUT", path, alice, set("bob", "owner"))
		w.ok("PUT", path, bob, set("alice", "admin"))
		w.refused(403, "PUT", path, alice, set("alice", "owner"))
		w.ok("PUT", path, bob, set("alice", "owner"))
	})
	t.Run("out", func(t *testing.T) {
		assert.Equal(t, "{}", w.ok("DELETE", path, alice, set("bob", "")))
		w.refused(404, "GET", path, bob, nil)
		assert.Contains(t, w.refused(404, "DELETE", path, alice, set("bob", "")), "no such member")
		assert.JSONEq(t, `["alice"]`, w.ok("GET", "/-/team/acme/developers/user?format=cli", alice, nil))
	})
}

// What an organization's members may do with the packages of its scope.
func TestOrgPackages(t *testing.T) {
	w := newOrgWorld(t)
	alice, bob, carol, mallory := w.session("alice"), w.session("bob"), w.session("carol"), w.session("mallory")
	member := func(method, user, role string) {
		w.ok(method, "/-/org/acme/user", alice, map[string]string{"user": user, "role": role})
	}
	member("PUT", "bob", "developer")
	member("PUT", "carol", "developer")
	assert.Equal(t, http.StatusForbidden, w.publishAs(mallory, "@acme/mine", "1.0.0"))
	require.Equal(t, http.StatusCreated, w.publishAs(bob, "@acme/widget", "1.0.0"))
	w.refused(404, "GET", "/@acme%2fwidget", mallory, nil)

	// What is new is the developers'; bob made it and alice owns the organization.
	assert.Equal(t, http.StatusCreated, w.publishAs(carol, "@acme/widget", "1.0.1"))
	assert.Equal(t, http.StatusCreated, w.publishAs(alice, "@acme/widget", "1.0.2"))
	assert.JSONEq(t, `{"alice":"write","bob":"write","carol":"write"}`, w.ok("GET", "/-/package/@acme%2fwidget/collaborators", carol, nil))
	w.refused(403, "POST", "/-/package/@acme%2fwidget/access", carol, map[string]string{"access": "public"})
	assert.JSONEq(t, `{"@acme/widget":"write"}`, w.ok("GET", "/-/org/acme/package", carol, nil))
	w.refused(404, "GET", "/-/org/acme/package", mallory, nil)

	const grant = "/-/team/acme/developers/package"
	w.ok("PUT", grant, alice, map[string]string{"package": "@acme/widget", "permissions": "read-only"})
	assert.Equal(t, http.StatusForbidden, w.publishAs(carol, "@acme/widget", "1.0.3"))
	assert.JSONEq(t, `{"@acme/widget":"read"}`, w.ok("GET", "/-/org/acme/package", carol, nil))
	w.refused(403, "PUT", grant, carol, map[string]string{"package": "@acme/widget", "permissions": "read-write"})
	w.ok("DELETE", grant, alice, map[string]string{"package": "@acme/widget"})
	assert.JSONEq(t, `{}`, w.ok("GET", grant, carol, nil))
	assert.JSONEq(t, `{}`, w.ok("GET", "/-/org/acme/package", carol, nil), "it is private")

	// Whoever leaves maintains nothing of it any more.
	before := w.doc("@acme/widget")["_rev"]
	member("DELETE", "bob", "")
	w.refused(404, "GET", "/@acme%2fwidget", bob, nil)
	assert.Equal(t, []string{"alice"}, w.owners("@acme/widget"), "and what would be nobody's is the owners'")
	assert.NotEqual(t, before, w.doc("@acme/widget")["_rev"])
}

// An organization's name is no user's, and a scope of an organization no user's either.
func TestScopeSquatting(t *testing.T) {
	w := newOrgWorld(t)
	for _, path := range []string{"org.couchdb.user:acme", "org.couchdb.user%3Aacme", "org.couchdb.user:%61cme"} {
		res := w.do("PUT", "/-/user/"+path, "", []byte(`{"name":"acme","email":"m@acme.test","password":"correct horse battery","type":"user"}`), "Npm-Command", "adduser")
		assert.Equal(t, http.StatusUnauthorized, res.StatusCode, path)
		assert.Contains(t, sentence(t, res), "That user name is taken", path)
	}
	_, err := w.auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "acmecorp", Password: credential.NewSecret("correct horse battery")})
	require.NoError(t, err)

	assert.ErrorContains(t, unclaimed(t.Context(), w.db, []seed{{"bob", "pw"}, {"acme", "pw"}}), "-seed acme: an organization is called that")
	assert.NoError(t, unclaimed(t.Context(), w.db, []seed{{"bob", "pw"}}))

	_, err = w.auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "acme", Password: credential.NewSecret("pw"), AnyPassword: true})
	assert.ErrorIs(t, err, account.ErrNameTaken)

	// One who has the name all the same, since two nodes made both, has no part in it.
	user, err := w.auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "both", Password: credential.NewSecret("pw"), AnyPassword: true})
	require.NoError(t, err)
	require.NoError(t, w.db.putOrg(t.Context(), "both", "u-other", false))
	about, err := facts{db: w.db, people: w.people}.Facts(t.Context(), protocol.PackageName{Scope: "both", Name: "widget"}, user.ID)
	require.NoError(t, err)
	assert.False(t, about.MayCreate)

	for want, o := range map[string]orgChoice{
		"a user is called that":                {"mallory", "alice", false},
		"its owner nobody: no such user":       {"other", "nobody", false},
		"-org acmecorp: a user is called that": {"acmecorp", "alice", true},
	} {
		assert.ErrorContains(t, found(t.Context(), w.db, w.people, []orgChoice{o}), want)
	}
}

// An organization that exists keeps its members, and gets the rule that it is given.
func TestFoundAgain(t *testing.T) {
	w := newOrgWorld(t)
	was, err := w.db.findOrg(t.Context(), "acme")
	require.NoError(t, err)
	require.NoError(t, found(t.Context(), w.db, w.people, []orgChoice{{"acme", "mallory", true}}))
	is, err := w.db.findOrg(t.Context(), "acme")
	require.NoError(t, err)
	assert.Equal(t, org{was.ID, "acme", true}, is)
	all, err := w.db.members(t.Context(), is.ID)
	require.NoError(t, err)
	assert.Equal(t, map[protocol.UserID]protocol.OrgRole{w.user("alice"): protocol.OrgOwner}, all)

	alice := w.session("alice")
	assert.Contains(t, w.refused(403, "GET", "/-/org/acme/user", alice, nil), "requires a second factor")
	assert.Equal(t, http.StatusForbidden, w.publishAs(alice, "@acme/widget", "1.0.0"))
}

// A change of an organization is one of the organization that was judged.
func TestOrgConditions(t *testing.T) {
	w := newOrgWorld(t)
	alice := w.session("alice")
	require.Equal(t, http.StatusCreated, w.publishAs(alice, "@acme/widget", "1.0.0"))
	w.ok("PUT", "/-/org/acme/team", alice, map[string]string{"name": "devs"})
	for path, body := range map[string]map[string]string{
		"/-/org/acme/user": {"user": "mallory", "role": "owner"}, "/-/org/acme/team": {"name": "other"},
		"/-/team/acme/devs/user": {"user": "alice"}, "/-/team/acme/devs/package": {"package": "@acme/widget", "permissions": "read-only"},
	} {
		t.Run(path, func(t *testing.T) {
			w.between = func() {
				_, err := w.db.db.Exec(`UPDATE org SET name = 'old' WHERE name = 'acme'`)
				require.NoError(t, err)
				require.NoError(t, w.db.putOrg(t.Context(), "acme", w.user("mallory"), false))
			}
			defer func() {
				w.between = func() {}
				for _, query := range []string{
					`DELETE FROM team_member WHERE team IN (SELECT team.id FROM team JOIN org ON org.id = org WHERE org.name = 'acme')`,
					`DELETE FROM team WHERE org = (SELECT id FROM org WHERE name = 'acme')`,
					`DELETE FROM member WHERE org = (SELECT id FROM org WHERE name = 'acme')`,
					`DELETE FROM org WHERE name = 'acme'`, `UPDATE org SET name = 'acme' WHERE name = 'old'`,
				} {
					_, err := w.db.db.Exec(query)
					require.NoError(t, err)
				}
			}()
			assert.Contains(t, w.refused(409, "PUT", path, alice, body), "removed or replaced")
		})
	}
}

// Whoever is in an organization that requires a second factor cannot take theirs off.
func TestOrgRequiresFactor(t *testing.T) {
	w := newOrgWorld(t)
	f := facts{db: w.db, people: w.people}
	require.NoError(t, w.db.putOrg(t.Context(), "strict", "u-1", true))
	require.NoError(t, w.db.putOrg(t.Context(), "lax", "u-2", false))
	for user, want := range map[protocol.UserID]bool{"u-1": true, "u-2": false, "u-3": false, "": false} {
		got, err := f.FactorRequired(t.Context(), user)
		require.NoError(t, err)
		assert.Equal(t, want, got, user)
	}
	o, err := f.OrgFacts(t.Context(), "strict", "")
	require.NoError(t, err)
	assert.NotEmpty(t, o.ID, "there is one, whoever asks")
	assert.Equal(t, protocol.NoRole, o.Role)
}

// The table says which organizations somebody is in and sets their rule, of the organization that
// was meant, and a restart keeps what an owner has set.
func TestOrgRule(t *testing.T) {
	w := newOrgWorld(t)
	f := facts{db: w.db, people: w.people}
	alice := w.user("alice")
	require.NoError(t, w.db.putOrg(t.Context(), "beta", w.user("mallory"), true))
	assert.JSONEq(t, `{"objects":[{"name":"alice","own":true,"role":"owner","require_2fa":false,"may_set_2fa":false,"keys_only":false,"may_set_keys_only":true,"publishers_only":false,"may_set_publishers_only":false,"stage_only":false,"approvals":0,"other_approver":false,"may_set_staging":false},`+
		`{"name":"acme","role":"owner","require_2fa":false,"may_set_2fa":true,"keys_only":false,"may_set_keys_only":true,"publishers_only":false,"may_set_publishers_only":false,"stage_only":false,"approvals":0,"other_approver":false,"may_set_staging":false}],"urls":{}}`, w.ok("GET", "/-/auth/v1/orgs", w.session("alice"), nil))
	o, err := w.db.findOrg(t.Context(), "acme")
	require.NoError(t, err)

	write, err := f.SetRequireFactor(t.Context(), o.ID, true)
	require.NoError(t, err)
	required := func() bool {
		t.Helper()
		list, err := f.Memberships(t.Context(), alice)
		require.NoError(t, err)
		require.Len(t, list, 1)
		facts, err := f.OrgFacts(t.Context(), "acme", alice)
		require.NoError(t, err)
		assert.Equal(t, facts.RequireFactor, list[0].RequireFactor)
		return facts.RequireFactor
	}
	assert.False(t, required(), "nothing is written yet")
	require.NoError(t, write(t.Context()))
	assert.True(t, required())
	require.NoError(t, w.db.putOrg(t.Context(), "acme", alice, false))
	assert.True(t, required(), "as after a restart")
	other, err := w.db.findOrg(t.Context(), "beta")
	require.NoError(t, err)
	assert.True(t, other.Factor)

	write, err = f.SetRequireFactor(t.Context(), "gone", false)
	require.NoError(t, err)
	assert.ErrorContains(t, write(t.Context()), "removed or replaced")
	assert.True(t, required())
}
