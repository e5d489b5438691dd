package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// packageRoutes returns every route of npm's that names a package, as method and path.
func packageRoutes() (routes []string) {
	fill := strings.NewReplacer("{package}", "PKG", "{package@version}", "PKG@1.0.0", "{version or tag}", "1.0.0", "{tarball}", "NAME-1.0.0.tgz",
		"{tag}", "next", "{revision}", "1-x", "{user}", "mallory", "{opaque id}", "x")
	for _, action := range protocol.Actions() {
		if !action.OfPackage() {
			continue
		}
		for _, route := range action.Routes() {
			routes = append(routes, fill.Replace(route))
			if method, path, _ := strings.Cut(fill.Replace(route), " "); method == http.MethodGet {
				routes = append(routes, "HEAD "+path)
			}
		}
	}
	return append(routes, "GET /PKG/latest", "GET /PKG?write=true", "GET /-/auth/v1/self?package=PKG", "GET /-/auth/v1/self?package=PKG&action=publish")
}

// AU-23: a private package and one that is not there cost the same statements, on every route, of
// whoever has no right on it.
func TestHiddenPackagesCostWhatAbsentOnesDo(t *testing.T) {
	w := newOpenWorld(t)
	mallory, member := w.session("mallory"), w.session("bob")
	require.NoError(t, w.db.putOrg(t.Context(), "acme", w.user("alice"), false))
	acme, err := w.db.findOrg(t.Context(), "acme")
	require.NoError(t, err)
	_, err = w.db.setMember(t.Context(), "acme", acme.ID, w.user("bob"), protocol.OrgMember)
	require.NoError(t, err)
	for _, name := range []string{"@alice/hidden", "@acme/hidden", "@alice/other"} {
		w.mustPublish(name, "1.0.0", nil)
		w.ok("PUT", "/-/package/"+escape(name)+"/dist-tags/next", w.alice, "1.0.0")
	}
	_, err = w.db.db.Exec(`DELETE FROM team_grant`)
	require.NoError(t, err)
	rec := record(t, w.db)
	statements := func(bearer, method, path string, body []byte, header ...string) ([]string, int) {
		rec.take()
		res := w.do(method, path, bearer, body, header...)
		return rec.take(), res.StatusCode
	}
	routes, compared := packageRoutes(), 0
	for who, bearer := range map[string]string{
		"nobody": "", "a stranger's token": w.mallory, "a stranger's session": mallory, "a member's session": member, "another package's token": w.narrow("alice", "@alice/other"),
	} {
		for _, scope := range []string{"@alice", "@acme"} {
			for _, route := range routes {
				method, path, _ := strings.Cut(route, " ")
				if who == "a member's session" && scope == "@acme" && method != http.MethodGet && method != http.MethodHead {
					continue // who may publish what is absent
				}
				for _, accept := range []string{"*/*", abbreviatedType} {
					for _, kind := range []string{"publish", "{}"} {
						var got [2][]string
						var status [2]int
						for i, name := range []string{"hidden", "absent"} {
							var body []byte
							switch {
							case method == http.MethodGet, method == http.MethodHead, method == http.MethodDelete:
							case kind == "publish":
								body = hosttest.PublishBody(protocol.PackageName{Scope: scope[1:], Name: name}, "1.0.0")
							default:
								body = []byte(kind)
							}
							at := strings.NewReplacer("PKG", escape(scope+"/"+name), "NAME", name).Replace(path)
							got[i], status[i] = statements(bearer, method, at, body, "Accept", accept)
						}
						assert.Equal(t, got[1], got[0], "%s: %s in %s", who, route, scope)
						assert.Equal(t, status[1], status[0], "%s: %s in %s", who, route, scope)
						if len(got[0]) > 0 {
							compared++
						}
						if method == http.MethodGet || method == http.MethodDelete {
							break
						}
					}
				}
			}
		}
	}
	require.NoError(t, w.db.putOrg(t.Context(), "other", w.user("mallory"), false))
	for _, bearer := range []string{"", w.mallory, mallory, member} {
		for _, method := range []string{"PUT", "DELETE"} {
			var got [2][]string
			for i, name := range []string{"hidden", "absent"} {
				var status int
				got[i], status = statements(bearer, method, "/-/team/other/developers/package", []byte(`{"package":"@alice/`+name+`","permissions":"read-write"}`))
				assert.Contains(t, []int{401, 403, 404}, status)
			}
			assert.Equal(t, got[1], got[0], "%s of a team's grant", method)
		}
	}
	require.Greater(t, compared, 200)
	got, status := statements(w.alice, "GET", "/@alice%2fhidden", nil)
	require.Equal(t, 200, status)
	assert.Contains(t, strings.Join(got, "\n"), "FROM release", "statements are recorded")
}

// AU-23: lists cost the same statements, whether they leave out private packages or there are
// none.
func TestListsCostNothingForHiddenPackages(t *testing.T) {
	w := newOpenWorld(t)
	sessions := map[string]string{"nobody": "", "a stranger": w.session("mallory"), "a member": w.session("bob"), "a narrow token": ""}
	require.NoError(t, w.db.putOrg(t.Context(), "acme", w.user("alice"), false))
	acme, err := w.db.findOrg(t.Context(), "acme")
	require.NoError(t, err)
	_, err = w.db.setMember(t.Context(), "acme", acme.ID, w.user("bob"), protocol.OrgMember)
	require.NoError(t, err)
	w.mustPublish("widget", "1.0.0", nil)
	sessions["a narrow token"] = w.narrow("mallory", "widget")
	rec := record(t, w.db)
	lists := []string{
		"/-/v1/search?text=hidden", "/-/v1/search?text=widget", "/-/all", "/-/all/since", "/-/user/alice/package", "/-/-/package", "/-/org/acme/package",
		"/-/team/acme/developers/package", "/-/_view/starredByUser?key=%22alice%22", "/-/user/v1/star", "/-/org/acme/user", "/-/org/acme/team", "/",
	}
	all := func() map[string][]string {
		got := map[string][]string{}
		for who, bearer := range sessions {
			for _, path := range lists {
				rec.take()
				r := httptest.NewRequest("GET", path, nil)
				if bearer != "" {
					r.Header.Set("Authorization", "Bearer "+bearer)
				}
				if path == "/" {
					r.Header.Set("Accept", "text/html")
				}
				answer := httptest.NewRecorder()
				w.handler.ServeHTTP(answer, r)
				assert.NotContains(t, answer.Body.String(), "hidden", path)
				got[who+": "+path] = rec.take()
			}
		}
		return got
	}
	all() // names of people are cached then
	before := all()
	require.NotEmpty(t, before["a stranger: /-/org/acme/package"])
	alice := w.session("alice")
	for _, name := range []string{"@alice/hidden", "@acme/hidden"} {
		w.mustPublish(name, "1.0.0", nil)
		w.ok("PUT", "/"+escape(name), alice, map[string]any{"_id": name, "_rev": w.doc(name)["_rev"], "users": map[string]bool{"alice": true}})
	}
	_, err = w.db.db.Exec(`DELETE FROM team_member WHERE user = ?`, w.user("bob")) // who reads what the team may
	require.NoError(t, err)
	after := all()
	for list, want := range before {
		assert.Equal(t, want, after[list], list)
	}
	for _, path := range lists {
		assert.NotContains(t, strings.Join(before["a stranger: "+path], "\n"), "manifest", "AU-27: %s reads no document", path)
	}
}
