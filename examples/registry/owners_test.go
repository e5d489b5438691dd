package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// owned returns what npm owner sends.
func (w *world) owned(name string, maintainers ...string) map[string]any {
	w.t.Helper()
	doc := w.doc(name)
	all := []person{}
	for _, m := range maintainers {
		all = append(all, person{Name: m})
	}
	return map[string]any{"_id": doc["_id"], "_rev": doc["_rev"], "maintainers": all}
}

func (w *world) owners(name string) []string {
	w.t.Helper()
	var doc struct{ Maintainers []person }
	require.NoError(w.t, json.Unmarshal([]byte(w.ok("GET", "/"+escape(name), w.alice, nil)), &doc))
	names := []string{}
	for _, m := range doc.Maintainers {
		names = append(names, m.Name)
	}
	return names
}

func TestOwners(t *testing.T) {
	w := newOpenWorld(t)
	alice, mallory := w.session("alice"), w.session("mallory")
	w.mustPublish("widget", "1.0.0", nil)
	put := func(bearer string, names ...string) (int, string) {
		body := w.owned("widget", names...)
		return w.send("PUT", "/widget/-rev/"+body["_rev"].(string), bearer, body)
	}
	assert.Equal(t, []string{"alice"}, w.owners("widget"))
	status, says := put(mallory, "mallory")
	assert.Equal(t, 403, status, says)
	status, says = put(alice, "alice", "nobody\x1b[2J")
	assert.Equal(t, 400, status)
	assert.NotContains(t, says, "\x1b", "nothing that a terminal obeys")
	assert.Equal(t, []string{"alice"}, w.owners("widget"))

	status, says = put(alice, "alice", "nobody")
	assert.Equal(t, 404, status)
	assert.Contains(t, says, "There is no user called")
	status, says = put(alice, "alice", "mallory")
	require.Equal(t, 200, status, says)
	assert.Equal(t, []string{"alice", "mallory"}, w.owners("widget"))
	next := hosttest.PublishBody(protocol.PackageName{Name: "widget"}, "1.0.1")
	assert.Equal(t, http.StatusCreated, w.do("PUT", "/widget", w.mallory, next).StatusCode)

	stale := w.owned("widget", "mallory")
	w.mustPublish("widget", "1.0.2", nil)
	w.refused(409, "PUT", "/widget/-rev/"+stale["_rev"].(string), alice, stale)
	status, _ = put(alice)
	assert.Equal(t, 400, status, "nobody at all")

	status, says = put(mallory, "mallory")
	require.Equal(t, 200, status, says)
	assert.Equal(t, http.StatusForbidden, w.publish("widget", "1.0.3", nil).StatusCode, "alice is out")
}

// AU-60: Yarn 1 sends back what the abbreviated document has, and looks for success in the answer.
// What it would have made of a document without owners is refused.
func TestOwnersOfYarn(t *testing.T) {
	w := newOpenWorld(t)
	alice := w.session("alice")
	w.mustPublish("widget", "1.0.0", nil)
	w.refused(409, "PUT", "/widget/-rev/undefined", alice, map[string]any{"maintainers": []person{{Name: "mallory"}}})
	assert.Equal(t, []string{"alice"}, w.owners("widget"))

	var doc struct {
		ID          string   `json:"_id"`
		Rev         string   `json:"_rev"`
		Maintainers []person `json:"maintainers"`
	}
	require.NoError(t, json.Unmarshal([]byte(text(t, w.do("GET", "/widget", alice, nil, "Accept", abbreviatedType+"; q=1.0, application/json; q=0.8, */*"))), &doc))
	answer := w.ok("PUT", "/widget/-rev/"+doc.Rev, alice, map[string]any{"_id": doc.ID, "_rev": doc.Rev, "maintainers": append(doc.Maintainers, person{Name: "mallory"})})
	assert.JSONEq(t, `{"ok":true,"success":true}`, answer)
	assert.Equal(t, []string{"alice", "mallory"}, w.owners("widget"))
}

// pnpm says who comes or goes.
func TestOwnersOfPnpm(t *testing.T) {
	w := newOpenWorld(t)
	alice := w.session("alice")
	w.mustPublish("@alice/widget", "1.0.0", nil)
	const path = "/-/package/@alice%2fwidget/owners"
	w.ok("PUT", path, alice, map[string]string{"user": "mallory"})
	w.ok("PUT", path, alice, map[string]string{"user": "mallory"})
	assert.Equal(t, []string{"alice", "mallory"}, w.owners("@alice/widget"))
	assert.JSONEq(t, `{"alice":"write","mallory":"write"}`, w.ok("GET", "/-/package/@alice%2fwidget/collaborators?format=cli", alice, nil))
	w.refused(404, "PUT", path, alice, map[string]string{"user": "nobody"})
	w.ok("DELETE", path+"/mallory", alice, nil)
	assert.Contains(t, w.refused(403, "DELETE", path+"/alice", alice, nil), "last maintainer")
	assert.Equal(t, []string{"alice"}, w.owners("@alice/widget"))
}

func TestSetAccess(t *testing.T) {
	w := newOpenWorld(t)
	alice, mallory := w.session("alice"), w.session("mallory")
	w.mustPublish("@alice/widget", "1.0.0", nil)
	w.mustPublish("widget", "1.0.0", nil)
	set := func(bearer, name, access string) (int, string) {
		return w.send("POST", "/-/package/"+escape(name)+"/access", bearer, map[string]string{"access": access})
	}
	w.refused(404, "GET", "/@alice%2fwidget", mallory, nil)
	status, says := set(alice, "@alice/widget", "public")
	require.Equal(t, 200, status, says)
	w.ok("GET", "/@alice%2fwidget", "", nil)
	status, _ = set(mallory, "@alice/widget", "restricted")
	assert.Equal(t, 403, status)
	status, says = set(alice, "@alice/widget", "restricted")
	require.Equal(t, 200, status, says)
	assert.JSONEq(t, `{"public":false}`, w.ok("GET", "/-/package/@alice%2fwidget/visibility", alice, nil))
	status, says = set(alice, "widget", "restricted")
	assert.Equal(t, 400, status)
	assert.Contains(t, says, "Only a scoped package")
}
