package npmauth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// rights changes what alice may do with a package now.
func (c cast) rights(name string, r policy.Rights) {
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(c.t, err)
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.packages[pkg].rights[c.ids["alice"]] = r
}

// A token does what its grants and its user's rights both say, at the moment of each
// request: PR-11, PR-12, PR-13, G-03, P-06. Whoever is given a right again has it with
// the tokens that were made for it, too.
func TestRightsAreLive(t *testing.T) {
	c := newCast(t)
	mallory := c.person("mallory")
	bearers := map[string]string{"plain": c.ofPlain, "@acme/widget": c.ofAcme}
	for name, bearer := range bearers {
		require.Equal(t, 200, c.publish(name, "1.0.0", bearer, "").Code)
		require.Equal(t, 200, c.publish(name, "1.0.1", c.bypass, "").Code)
	}
	writes := len(c.host.written())
	for what, r := range map[string]policy.Rights{"PR-12: removed": 0, "PR-13: the team only reads": policy.RightRead} {
		for name, bearer := range bearers {
			c.rights(name, r)
			for _, bearer := range []string{bearer, c.bypass} {
				assert.Equal(t, 403, c.publish(name, "1.0.2", bearer, "").Code, "%s from %s", what, name)
				assert.Equal(t, 403, c.do(call{method: "PUT", path: "/-/package/" + strings.Replace(name, "/", "%2f", 1) + "/dist-tags/next", body: `"1.0.0"`, bearer: bearer}).Code, what)
			}
			assert.Equal(t, 403, c.publish(name, "1.0.2", c.session, c.code("alice")).Code, what)
		}
	}
	assert.Len(t, c.host.written(), writes)

	// PR-11, G-03: plain is deleted, and mallory makes another one.
	delete(c.host.packages, protocol.PackageName{Name: "plain"})
	assert.Equal(t, 403, c.publish("plain", "1.0.2", c.ofPlain, "").Code, "a token for a package does not bring it back")
	c.host.add("plain", true, mallory)
	assert.Equal(t, 403, c.publish("plain", "1.0.2", c.ofPlain, "").Code)
	assert.Equal(t, 403, c.publish("plain", "1.0.2", c.bypass, "").Code)
	assert.Equal(t, 404, c.do(call{method: "GET", path: "/plain", bearer: c.ofPlain}).Code)
	assert.Len(t, c.host.written(), writes)
	c.rights("@acme/widget", allRights)
	assert.Equal(t, 200, c.publish("@acme/widget", "1.0.2", c.ofAcme, "").Code)
}

// G-01, G-02, G-04, G-05: each grant is judged alone, one for what does not exist is for
// nothing else, and neither what its user may do nor what a client calls itself widens it.
func TestGrantsDoNotBleed(t *testing.T) {
	c := newCast(t) // whose alice may do everything with all packages that there are
	c.host.add("victim", false, c.ids["alice"])
	one := func(name string, p protocol.Permission) protocol.Grant {
		return protocol.Grant{Target: protocol.OnePackage, Package: protocol.PackageName{Name: name}, Permission: p}
	}
	all := protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadOnly}
	for name, grants := range map[string][]protocol.Grant{
		"G-01: reads all, writes one":     {all, one("plain", protocol.ReadWrite)},
		"G-01: writes one, reads all":     {one("plain", protocol.ReadWrite), all},
		"G-01: reads all, writes an org":  {all, {Target: protocol.OneOrg, Scope: "victim", Permission: protocol.ReadWrite}, one("plain", protocol.ReadWrite)},
		"G-01: reads one, writes another": {one("victim", protocol.ReadOnly), one("plain", protocol.ReadWrite)},
		"G-02: nothing that there is":     {one("nowhere", protocol.ReadWrite), one("plain", protocol.ReadWrite)},
		"G-05: an owner's, for one":       {one("plain", protocol.ReadWrite)},
	} {
		bearer, _ := c.token("alice", token.Spec{Grants: grants, Bypass: true})
		assert.Equal(t, 200, c.publish("plain", "1.0.0", bearer, "").Code, name)
		writes := len(c.host.written())
		assert.Equal(t, 403, c.publish("victim", "1.0.0", bearer, "").Code, name)
		assert.Equal(t, 403, c.publish("brand-new", "1.0.0", bearer, "").Code, name)
		assert.Equal(t, 403, c.do(call{method: "PUT", path: "/victim/next", body: `"1.0.0"`, bearer: bearer}).Code, name)
		assert.Equal(t, 403, c.do(call{method: "DELETE", path: "/-/package/victim/dist-tags/next", bearer: bearer}).Code, name)
		assert.Len(t, c.host.written(), writes, name)
	}

	// G-02: asked for by a client, for a package that is not there, and for nothing.
	a := c.create(c.session, c.code("alice"), map[string]any{"packages": []string{"nowhere"}, "packages_and_scopes_permission": "read-write", "bypass_2fa": true})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, []any{map[string]any{"type": "package", "name": "nowhere"}}, a.json["scopes"])
	for _, name := range []string{"plain", "victim", "nowhere", "brand-new"} {
		assert.Equal(t, 403, c.publish(name, "1.0.0", a.text("token"), "").Code, name)
	}
	for _, fields := range []map[string]any{{"packages": []string{}}, {"packages": []string{""}}, {"packages": []string{","}}, {"scopes": []string{""}}} {
		fields["packages_and_scopes_permission"] = "read-write"
		assert.Equal(t, 400, c.create(c.session, c.code("alice"), fields).Code, "%v", fields)
	}

	// G-04
	for _, agent := range []string{"", "npm/11.19.1 node/v20 linux x64", "yarn/1.22", "curl/8", "Mozilla/5.0"} {
		for _, command := range []string{"", "install", "publish"} {
			a := c.do(call{method: "PUT", path: "/plain", bearer: c.reader, body: body(t, "PUBLISH plain"), header: map[string]string{"User-Agent": agent, "Npm-Command": command}})
			assert.Equal(t, 403, a.Code, "%s %s", agent, command)
		}
	}
}

// PR-17, PR-29, G-09: no token, least of all one that stands in for a second factor, makes
// or changes tokens, settings, owners, teams, publishers or hooks, or approves what is
// staged.
func TestTokensChangeNoRules(t *testing.T) {
	c := newCast(t)
	_, own := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	staged := c.staged("plain", "9.0.0", c.bypass)
	c.host.writes = nil
	before := dump(t, c.store)
	pw := `"password":"` + password + `"`
	for _, rt := range []route{
		{"POST", "/-/package/plain/access", `{"publish_requires_tfa":false}`}, {"POST", "/-/package/plain/access", `{"access":"public"}`}, // PR-17
		{"POST", "/-/package/plain/trust", `[{"type":"github","claims":{"repository":"mallory/x"}}]`}, {"DELETE", "/-/package/plain/trust/1", ""}, // PR-29
		{"POST", "/-/npm/v1/hooks/hook", `{"type":"package","name":"plain"}`}, {"POST", "/-/stage/" + staged + "/approve", ""}, {"DELETE", "/-/stage/" + staged, ""},
		{"PUT", "/-/package/plain/owners", `{"user":"mallory"}`}, {"DELETE", "/-/package/plain/owners/alice", ""},
		{"PUT", "/-/org/acme/user", `{"user":"mallory","role":"owner"}`}, {"DELETE", "/-/org/acme/user", `{"user":"alice"}`},
		{"PUT", "/-/org/acme/team", `{"name":"devs"}`}, {"PUT", "/-/team/acme/devs/user", `{"user":"mallory"}`}, {"DELETE", "/-/team/acme/devs", ""},
		{"PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-write"}`},
		{"POST", "/-/npm/v1/tokens", `{` + pw + `,"packages_all":true}`}, {"POST", "/-/npm/v1/tokens", `{` + pw + `,"packages":["plain"],"packages_and_scopes_permission":"read-write","bypass_2fa":true}`},
		{"POST", "/-/auth/v1/tokens/" + own.ID + "/rotate", `{` + pw + `}`}, {"DELETE", "/-/npm/v1/tokens/token/" + own.ID, ""},
	} {
		for name, bearer := range map[string]string{"reader": c.reader, "one package's": c.ofPlain, "scope's": c.ofAcme, "bypass": c.bypass} {
			for _, otp := range []string{"", c.codeNow("alice")} {
				a := c.do(call{method: rt.method, path: rt.path, body: rt.body, bearer: bearer, otp: otp})
				want := []int{403}
				if strings.HasPrefix(rt.path, "/-/stage/") { // which one must not know of
					want = append(want, 404)
				}
				assert.Contains(t, want, a.Code, "%s %s with %s: %s", rt.method, rt.path, name, a.Body)
			}
		}
	}
	for _, rt := range []route{{"PUT", "/-/npm/v1/tokens", `{}`}, {"PUT", "/-/npm/v1/tokens/token/" + own.ID, `{"packages_all":true}`}, {"PATCH", "/-/npm/v1/tokens/token/" + own.ID, `{}`}} { // G-09: nothing widens itself
		assert.Equal(t, 404, c.do(call{method: rt.method, path: rt.path, body: rt.body, bearer: c.bypass}).Code, rt.path)
	}
	assert.Empty(t, changes(before, dump(t, c.store)))
	assert.Empty(t, c.host.written())
}

// PR-18: what is set of a package holds for each request that begins afterwards.
func TestPackageSettingsAreLive(t *testing.T) {
	c := newCast(t)
	id := c.host.packages[protocol.PackageName{Scope: "acme", Name: "widget"}].id
	for i := range 3 {
		require.Equal(t, 200, c.publish("@acme/widget", "1.0.0", c.bypass, "").Code)
		require.NoError(t, c.auth.SetPackage(t.Context(), id, policy.Settings{Publish: protocol.FactorOnly}))
		assert.Equal(t, 403, c.publish("@acme/widget", "1.0.0", c.bypass, "").Code)
		assert.Equal(t, 403, c.do(call{method: "PUT", path: "/@acme%2fwidget/next", body: `"1.0.0"`, bearer: c.bypass}).Code)
		assert.Len(t, c.host.written(), i+1)
		require.NoError(t, c.auth.SetPackage(t.Context(), id, policy.Settings{Publish: protocol.FactorOrBypass}))
	}
}

// PR-22, PR-24: a body says what is asked for and never who asks or what they are.
func TestBodiesMakeNobody(t *testing.T) {
	c := newCast(t)
	c.person("mallory")
	m := c.login("mallory")
	pw := `"password":"` + password + `"`
	for _, field := range []string{`"user":"alice"`, `"username":"alice"`, `"user_id":"1"`, `"owner":"alice"`, `"created_by":"alice"`, `"admin":true`, `"key":"x"`, `"token":"x"`} {
		assert.Equal(t, 400, c.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: m, body: `{` + pw + `,"packages_all":true,` + field + `}`}).Code, field)
		assert.GreaterOrEqual(t, c.do(call{method: "POST", path: "/-/npm/v1/user", bearer: m, body: `{"tfa":{"mode":"auth-only",` + pw + `,` + field + `}}`}).Code, 400, field)
		assert.GreaterOrEqual(t, c.do(call{method: "POST", path: "/-/npm/v1/user", bearer: m, body: `{"tfa":{"mode":"auth-only",` + pw + `},` + field + `}`}).Code, 400, field)
	}
	couch := func(name, more string) call {
		return call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: `{"_id":"org.couchdb.user:` + name + `","name":"` + name + `",` + pw + `,"type":"user",` + more + `}`}
	}
	for _, more := range []string{`"roles":["_admin"]`, `"roles":["_admin","admin"],"tfa":false,"verified":true`, `"tfa":null`, `"admin":true`, `"two_factor":"off"`, `"token":"npm_x"`, `"readonly":false`} {
		a := c.do(couch("alice", more))
		assert.Contains(t, []int{400, 401}, a.Code, "%s: the factor is asked for all the same", more)
		assert.Empty(t, a.text("token"), more)
		a = c.do(couch("mallory", more))
		if a.Code != 201 {
			assert.Equal(t, 400, a.Code, more)
			continue
		}
		self := c.do(call{method: "GET", path: "/-/auth/v1/self", bearer: a.text("token")})
		assert.Equal(t, "mallory", self.text("username"), more)
		assert.Equal(t, "session", self.json["credential"].(map[string]any)["kind"], more)
		assert.Equal(t, 403, c.publish("plain", "1.0.0", a.text("token"), "").Code, more)
	}
	assert.Empty(t, c.host.written())
}

// PR-25: a token changes nothing of the account, with the password and a code either.
func TestTokensChangeNoAccount(t *testing.T) {
	c := newCast(t)
	for name, bearer := range map[string]string{"reader": c.reader, "bypass": c.bypass} {
		for _, change := range []string{
			`{"email":"mallory@evil.test"}`, `{"fullname":"Mallory"}`,
			`{"password":{"old":"` + password + `","new":"another password of mine"}}`,
			`{"tfa":{"mode":"disable","password":"` + password + `"}}`, `{"tfa":{"mode":"auth-only","password":"` + password + `"}}`, `{"tfa":["123456"]}`,
		} {
			a := c.do(call{method: "POST", path: "/-/npm/v1/user", bearer: bearer, body: change, otp: c.code("alice")})
			assert.Equal(t, 403, a.Code, "%s: %s", name, change)
		}
	}
	// Ranges are the operator's to set, by nobody's request.
	assert.Equal(t, 400, c.do(call{method: "POST", path: "/-/npm/v1/user", bearer: c.session, body: `{"cidr_whitelist":["192.0.2.0/24"]}`}).Code)
	assert.Equal(t, "auth-and-writes", c.do(call{method: "GET", path: "/-/auth/v1/self", bearer: c.session}).text("two_factor"))
	c.login("alice") // the password is what it was
}
