package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTeams(t *testing.T) {
	w := newOrgWorld(t)
	alice, bob := w.session("alice"), w.session("bob")
	user := func(name string) map[string]string { return map[string]string{"user": name} }
	w.ok("PUT", "/-/org/acme/user", alice, map[string]string{"user": "bob", "role": "developer"})

	w.refused(403, "PUT", "/-/org/acme/team", bob, map[string]string{"name": "devs"})
	assert.JSONEq(t, `{"name":"acme:devs"}`, w.ok("PUT", "/-/org/acme/team", alice, map[string]any{"name": "devs", "description": nil}))
	assert.Contains(t, w.refused(409, "PUT", "/-/org/acme/team", alice, map[string]string{"name": "devs"}), "already")
	assert.JSONEq(t, `["acme:developers","acme:devs"]`, w.ok("GET", "/-/org/acme/team?format=cli", bob, nil))
	assert.JSONEq(t, `[{"name":"acme:developers"},{"name":"acme:devs"}]`, w.ok("GET", "/-/org/acme/team", bob, nil), "as pnpm wants it")

	w.ok("PUT", "/-/team/acme/devs/user", alice, user("bob"))
	assert.JSONEq(t, `["bob"]`, w.ok("GET", "/-/team/acme/devs/user?format=cli", bob, nil))
	assert.JSONEq(t, `[{"name":"bob"}]`, w.ok("GET", "/-/team/acme/devs/user", bob, nil))
	assert.Contains(t, w.refused(404, "PUT", "/-/team/acme/devs/user", alice, user("mallory")), "no such member", "no member")
	w.refused(404, "PUT", "/-/team/acme/absent/user", alice, user("bob"))
	w.refused(404, "GET", "/-/team/acme/absent/user", alice, nil)
	w.refused(404, "GET", "/-/team/acme/absent/package", alice, nil)
	w.refused(404, "DELETE", "/-/team/acme/absent", alice, nil)
	w.refused(403, "DELETE", "/-/team/acme/devs/user", bob, user("bob"))

	t.Run("grants", func(t *testing.T) {
		require.Equal(t, http.StatusCreated, w.publishAs(alice, "@acme/widget", "1.0.0"))
		w.ok("DELETE", "/-/team/acme/developers/package", alice, map[string]string{"package": "@acme/widget"})
		w.refused(404, "GET", "/@acme%2fwidget", bob, nil)
		w.ok("PUT", "/-/team/acme/devs/package", alice, map[string]string{"package": "@acme/widget", "permissions": "read-write"})
		w.ok("GET", "/@acme%2fwidget", bob, nil)
		assert.Equal(t, http.StatusCreated, w.publishAs(bob, "@acme/widget", "1.0.1"))
		assert.JSONEq(t, `{"@acme/widget":"write"}`, w.ok("GET", "/-/team/acme/devs/package", bob, nil))
		assert.JSONEq(t, `{"@acme/widget":"write"}`, w.ok("GET", "/-/user/bob/package", alice, nil))
		w.refused(403, "PUT", "/-/team/acme/devs/package", alice, map[string]string{"package": "@acme/absent", "permissions": "read-write"})

		w.mustPublish("widget", "1.0.0", nil)
		assert.Contains(t, w.refused(403, "PUT", "/-/team/acme/devs/package", alice, map[string]string{"package": "widget", "permissions": "read-only"}), "scope only")

		org, err := w.db.findOrg(t.Context(), "acme")
		require.NoError(t, err)
		for at, want := range map[target]error{
			{Name: "@acme/widget", ID: "other"}: errMoved, {Name: "@acme/absent", ID: ""}: errNoPackage,
		} {
			assert.ErrorIs(t, w.db.grantTeam(t.Context(), "acme", org.ID, "devs", at, true), want)
			assert.ErrorIs(t, w.db.revokeTeam(t.Context(), "acme", org.ID, "devs", at), want)
		}
	})
	t.Run("the developers", func(t *testing.T) {
		assert.Contains(t, w.refused(403, "DELETE", "/-/team/acme/developers", alice, nil), "developers")
		assert.Contains(t, w.refused(403, "DELETE", "/-/team/acme/developers/user", alice, user("bob")), "developers")
	})
	w.ok("DELETE", "/-/team/acme/devs/user", alice, user("bob"))
	w.refused(404, "DELETE", "/-/team/acme/devs/user", alice, user("bob"))
	w.ok("PUT", "/-/team/acme/devs/user", alice, user("bob"))
	assert.Equal(t, "{}", w.ok("DELETE", "/-/team/acme/devs", alice, nil))
	assert.JSONEq(t, `["acme:developers"]`, w.ok("GET", "/-/org/acme/team?format=cli", bob, nil))
	w.refused(404, "GET", "/@acme%2fwidget", bob, nil)
}
