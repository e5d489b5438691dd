package npmauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// N-07, N-08, EN-05: a package that somebody may not see and one that is not there get one
// answer, at every address that names it, and the host is handed neither.
func TestHiddenIsAbsent(t *testing.T) {
	c := newCast(t)
	alice := c.ids["alice"]
	for name, private := range map[string]bool{"@evil/hidden": true, "@acme/seen": false} { // nobody may create in @evil
		c.host.add(name, private, alice)
	}
	c.person("mallory")
	c.enrol("mallory", protocol.AuthAndWrites)
	nobodys := map[string]string{"nobody": "", "another's session": c.login("mallory"), "another package's token": c.ofPlain, "another scope's token": c.ofAcme}
	spellings := func(name string) []string {
		return []string{"@evil%2f" + name, "@evil/" + name, "%40evil%2F" + name}
	}
	reads, writes := 0, 0
	for who, bearer := range nobodys {
		for i, pkg := range spellings("hidden") {
			absent := spellings("absent")[i]
			for _, rt := range []route{
				{"GET", "/PKG", ""}, {"HEAD", "/PKG", ""}, {"GET", "/PKG/1.0.0", ""}, {"GET", "/PKG/latest", ""}, {"GET", "/PKG?write=true", ""},
				{"GET", "/PKG/-/NAME-1.0.0.tgz", ""}, {"HEAD", "/PKG/-/NAME-1.0.0.tgz", ""}, {"GET", "/-/npm/v1/attestations/PKG@1.0.0", ""},
				{"GET", "/-/package/PKG/dist-tags", ""}, {"GET", "/-/package/PKG/access", ""}, {"GET", "/-/package/PKG/visibility", ""},
				{"GET", "/-/package/PKG/collaborators", ""}, {"GET", "/-/package/PKG/trust", ""},
				{"PUT", "/PKG", "PUBLISH"}, {"PUT", "/PKG/next", `"1.0.0"`}, {"PUT", "/-/package/PKG/dist-tags/next", `"1.0.0"`}, {"DELETE", "/-/package/PKG/dist-tags/next", ""},
				{"DELETE", "/PKG/-rev/1", ""}, {"DELETE", "/PKG/-/NAME-1.0.0.tgz/-rev/1", ""}, {"PUT", "/PKG/-rev/1", `{}`},
				{"POST", "/-/package/PKG/access", `{"access":"public"}`}, {"PUT", "/-/package/PKG/owners", `{"user":"mallory"}`},
			} {
				var answers []string
				for _, p := range []struct{ spelled, name string }{{pkg, "hidden"}, {absent, "absent"}} {
					k := call{method: rt.method, path: strings.NewReplacer("PKG", p.spelled, "NAME", p.name).Replace(rt.path), bearer: bearer, body: rt.body}
					switch rt.body {
					case "":
						k.body = nil
					case "PUBLISH":
						k.body = body(t, "PUBLISH @evil/"+p.name)
					}
					a := c.do(k)
					assert.GreaterOrEqual(t, a.Code, 401, "%s: %s %s", who, k.method, k.path)
					if rt.method == "GET" {
						reads++
						assert.Contains(t, []int{401, 403, 404}, a.Code, "%s: %s %s", who, k.method, k.path)
					} else {
						writes++
					}
					assert.NotContains(t, a.Body.String(), p.name, "%s: %s", who, k.path)
					answers = append(answers, fmt.Sprint(a.Code, a.Header(), a.Body))
				}
				assert.Equal(t, answers[1], answers[0], "%s: %s %s", who, rt.method, rt.path)
			}
		}
	}
	assert.Empty(t, c.host.written())
	assert.Empty(t, c.host.reads)
	require.Greater(t, reads, 100)
	require.Greater(t, writes, 50)
	for _, path := range []string{"/@evil%2fhidden", "/@evil/hidden/-/hidden-1.0.0.tgz", "/-/package/@evil%2fhidden/dist-tags", "/-/npm/v1/attestations/@evil%2fhidden@1.0.0"} {
		assert.Equal(t, 200, c.do(call{method: "GET", path: path, bearer: c.session}).Code, "who may see it does: %s", path)
	}
	// Who is not signed in gets no list but that of a search, which hosttest.Run tries.
	for _, path := range []string{"/-/user/alice/package", "/-/org/evil/package", "/-/team/evil/devs/package", "/-/_view/starredByUser?key=%22alice%22"} {
		a := c.do(call{method: "GET", path: path})
		assert.GreaterOrEqual(t, a.Code, 401, path)
		assert.NotContains(t, a.Body.String(), "hidden", path)
	}
}

// N-05: what a request does decides, and not its method.
func TestActionsNotMethods(t *testing.T) {
	c := newCast(t)
	ask := func(method, path, body string) answer {
		return c.do(call{method: method, path: path, bearer: c.reader, body: body})
	}
	for _, path := range []string{"/-/npm/v1/security/audits/quick", "/-/npm/v1/security/audits", "/-/npm/v1/security/advisories/bulk"} {
		assert.Equal(t, "audit", ask("POST", path, "{}").text("read"), "a read that is a POST")
	}
	for _, rt := range []route{
		{"POST", "/-/package/plain/dist-tags/next", `"1.0.0"`}, {"PUT", "/-/package/plain/dist-tags/next", `"1.0.0"`}, {"DELETE", "/-/package/plain/dist-tags/next", ""},
		{"DELETE", "/plain/-rev/1", ""}, {"DELETE", "/plain/-/plain-1.0.0.tgz/-rev/1", ""}, {"PUT", "/plain/-rev/1", `{"_id":"plain","versions":{}}`},
		{"PUT", "/plain", "PUBLISH plain"}, {"PUT", "/plain/next", `"1.0.0"`},
	} {
		assert.Equal(t, 403, ask(rt.method, rt.path, string(body(t, rt.body))).Code, "%s %s", rt.method, rt.path)
	}
	assert.Empty(t, c.host.written())
}

// P-08: what we answer depends on who asks, so nobody keeps it.
func TestAnswersAreNotStored(t *testing.T) {
	c := newCast(t)
	served := map[protocol.Action]bool{}
	for _, rt := range routes {
		for _, bearer := range []string{"", "npm_garbage", c.session, c.reader, c.bypass} {
			c.host.reads, c.host.writes = nil, nil
			k := call{method: rt.method, path: rt.path, bearer: bearer}
			if rt.body != "" {
				k.body = body(t, rt.body)
			}
			a := c.do(k)
			if len(c.host.reads)+len(c.host.written()) > 0 {
				continue // the host's own answer
			}
			assert.Equal(t, "no-store", a.Header().Get("Cache-Control"), "%s %s: %d", rt.method, rt.path, a.Code)
			assert.Empty(t, a.Header().Get("Etag"), rt.path)
			path, _, _ := strings.Cut(rt.path, "?")
			op, err := protocol.Classify(rt.method, path)
			require.NoError(t, err)
			served[op.Action] = true
		}
	}
	assert.Greater(t, len(served), 30)
	made := c.create(c.session, c.code("alice"), map[string]any{"packages_all": true})
	require.Equal(t, 201, made.Code)
	assert.Equal(t, "no-store", made.Header().Get("Cache-Control"))
}
