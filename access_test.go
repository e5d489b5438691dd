package npmauth_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// npm access set mfa=… is served here, and the setting bites at the next request.
func TestSecondFactorSetting(t *testing.T) {
	w, bypass := documented(t)
	w.enrol("alice", protocol.AuthOnly)
	w.enrol("bob", protocol.AuthOnly)
	s := w.login("alice")
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	set := func(bearer, otp, body string) answer {
		return w.do(call{method: "POST", path: "/-/package/plain/access", bearer: bearer, otp: otp, body: body})
	}
	get := func(bearer string) answer {
		return w.do(call{method: "GET", path: "/-/package/plain/access", bearer: bearer})
	}
	const publish, automation = `{"publish_requires_tfa":true,"automation_token_overrides_tfa":false}`, `{"publish_requires_tfa":true,"automation_token_overrides_tfa":true}`

	assert.JSONEq(t, `{"access":"public","public":true}`, get("").Body.String(), "the setting is for those who write")
	both := `{"access":"public","public":true,"publish_requires_tfa":true,"automation_token_overrides_tfa":true,"keys_only":false}`
	assert.JSONEq(t, both, get(s).Body.String(), "npm's default of new packages")

	isChallenge(t, set(s, "", publish))
	isChallenge(t, set(rw, "", publish))
	for who, bearer := range map[string]string{"nobody": "", "bob": w.login("bob"), "a token that bypasses": bypass} {
		a := set(bearer, "", publish)
		assert.Contains(t, []int{401, 403}, a.Code, who)
		assert.NotContains(t, a.text("error"), "one-time pass", who)
	}
	assert.JSONEq(t, both, get(s).Body.String())

	proof := w.approve(set(s, "", publish), "alice", "mfa=publish")
	isChallenge(t, set(s, proof, automation)) // approved for the other
	require.Equal(t, 200, set(s, proof, publish).Code)
	assert.JSONEq(t, `{"access":"public","public":true,"publish_requires_tfa":true,"automation_token_overrides_tfa":false,"keys_only":false}`, get(s).Body.String())
	a := w.publish("plain", "3.0.0", bypass, "")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "does not allow writing with tokens")
	assert.Contains(t, set(rw, w.code("alice"), automation).text("error"), "does not allow writing with tokens")
	require.Equal(t, 200, set(s, w.code("alice"), automation).Code)
	assert.Equal(t, 200, w.publish("plain", "3.0.0", bypass, "").Code)
	require.Equal(t, 200, set(rw, w.code("alice"), `{"publish_requires_tfa":true}`).Code, "as npm 6 and pnpm send it")
	assert.Equal(t, 403, w.publish("plain", "4.0.0", bypass, "").Code, "the stricter of the two")
	assert.Equal(t, []string{"publish plain@3.0.0"}, w.host.written(), "the host has no part in it")
}

// mfa=none is refused until an operator leaves out the rule, and then asks for nothing.
func TestNoSecondFactorSetting(t *testing.T) {
	const none = `{"publish_requires_tfa":false}`
	set := func(w *world) answer {
		w.enrol("alice", protocol.AuthOnly)
		return w.do(call{method: "POST", path: "/-/package/plain/access", bearer: w.login("alice"), otp: w.code("alice"), body: none})
	}
	w, _ := documented(t)
	a := set(w)
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "can no longer be set")

	w, _ = documented(t, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().Without("mfa-none") })
	require.Equal(t, 200, set(w).Code)
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	assert.Equal(t, 200, w.publish("plain", "3.0.0", rw, "").Code)
	a = w.do(call{method: "GET", path: "/-/package/plain/access", bearer: rw})
	assert.JSONEq(t, `{"access":"public","public":true,"publish_requires_tfa":false,"automation_token_overrides_tfa":false,"keys_only":false}`, a.Body.String())

	// An operator sets it as an import does, for packages that had it before.
	w, _ = documented(t)
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Publish: protocol.NoFactor}))
	rw, _ = w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	assert.Equal(t, 200, w.publish("plain", "3.0.0", rw, "").Code)
}

// What changes access is read here, and the host is told what of it was allowed.
func TestAccessIsHandedOver(t *testing.T) {
	for name, tt := range map[string]struct {
		method, path, body string
		write              string
		code               int
	}{
		"visibility": {"POST", "/-/package/plain/access", `{"access":"restricted"}`, `set-access plain  {"Access":"restricted"}`, 0},
		"add owner":  {"PUT", "/-/package/plain/owners", `{"user":"carol"}`, `write-owners plain  {"AddedOwners":["carol"]}`, 0},
		"rm owner":   {"DELETE", "/-/package/plain/owners/bob", ``, `write-owners plain bob {"RemovedOwners":["bob"]}`, 0},
		"org set":    {"PUT", "/-/org/acme/user", `{"user":"@bob","role":"admin"}`, `write-org  acme {"Member":"bob","Role":"admin"}`, 0},
		"developer":  {"PUT", "/-/org/@acme/user", `{"user":"bob","role":"developer"}`, `write-org  acme {"Member":"bob","Role":"member"}`, 0},
		"no role":    {"PUT", "/-/org/acme/user", `{"user":"bob"}`, `write-org  acme {"Member":"bob","Role":"member"}`, 0},
		"org rm":     {"DELETE", "/-/org/acme/user", `{"user":"bob"}`, `write-org  acme {"Member":"bob","Removes":true}`, 0},
		"team":       {"PUT", "/-/org/acme/team", `{"name":"devs","description":"x"}`, `write-team  acme {"Team":"devs"}`, 0},
		"Yarn 1":     {"PUT", "/team/@acme", `{"team":"devs"}`, `write-team  acme {"Team":"devs"}`, 0},
		"no team":    {"DELETE", "/-/team/acme/devs", ``, `write-team  acme:devs {"Removes":true}`, 0},
		"member":     {"PUT", "/-/team/acme/devs/user", `{"user":"bob"}`, `write-team-member  acme:devs {"Member":"bob"}`, 0},
		"grant":      {"PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-write"}`, `grant-team plain acme:devs {"Permission":"read-write"}`, 0},
		"revoke":     {"DELETE", "/-/team/acme/devs/package", `{"package":"plain"}`, `grant-team plain acme:devs {"Removes":true}`, 0},

		"both":                  {"POST", "/-/package/plain/access", `{"access":"public","publish_requires_tfa":true}`, "", 400},
		"keys and access":       {"POST", "/-/package/plain/access", `{"access":"public","keys_only":false}`, "", 400},
		"publishers and access": {"POST", "/-/package/plain/access", `{"access":"public","publishers_only":false}`, "", 400},
		"no publishers":         {"POST", "/-/package/plain/access", `{"publishers_only":null}`, "", 400},
		"staging and access":    {"POST", "/-/package/plain/access", `{"access":"public","stage_only":false}`, "", 400},
		"no staging":            {"POST", "/-/package/plain/access", `{"stage_only":null,"approvals":null,"other_approver":null}`, "", 400},
		"too many approvals":    {"POST", "/-/package/plain/access", `{"approvals":6}`, "", 400},
		"far too many":          {"POST", "/-/package/plain/access", `{"approvals":256}`, "", 400},
		"fewer than none":       {"POST", "/-/package/plain/access", `{"approvals":-1}`, "", 400},
		"half an approval":      {"POST", "/-/package/plain/access", `{"approvals":1.5}`, "", 400},
		"approvals in words":    {"POST", "/-/package/plain/access", `{"approvals":"2"}`, "", 400},
		"no keys":               {"POST", "/-/package/plain/access", `{"keys_only":null}`, "", 400},
		"keys in words":         {"POST", "/-/package/plain/access", `{"keys_only":"true"}`, "", 400},
		"neither":               {"POST", "/-/package/plain/access", `{}`, "", 400},
		"another word":          {"POST", "/-/package/plain/access", `{"access":"private"}`, "", 400},
		"overrides nothing":     {"POST", "/-/package/plain/access", `{"publish_requires_tfa":false,"automation_token_overrides_tfa":true}`, "", 400},
		"half":                  {"POST", "/-/package/plain/access", `{"automation_token_overrides_tfa":true}`, "", 400},
		"unknown field":         {"POST", "/-/package/plain/access", `{"access":"public","force":true}`, "", 400},
		"no user":               {"PUT", "/-/org/acme/user", `{"role":"admin"}`, "", 400},
		"bad user":              {"PUT", "/-/org/acme/user", `{"user":"a/b"}`, "", 400},
		"bad role":              {"PUT", "/-/org/acme/user", `{"user":"bob","role":"none"}`, "", 400},
		"bad team":              {"PUT", "/-/org/acme/team", `{"name":"a/b"}`, "", 400},
		"two names":             {"PUT", "/-/org/acme/team", `{"name":"a","team":"b"}`, "", 400},
		"bad permission":        {"PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-write-stage-only"}`, "", 400},
		"no permission":         {"PUT", "/-/team/acme/devs/package", `{"package":"plain"}`, "", 400},
		"bad package":           {"PUT", "/-/team/acme/devs/package", `{"package":"../plain","permissions":"read-only"}`, "", 400},
		"no package":            {"PUT", "/-/team/acme/devs/package", `{"permissions":"read-only"}`, "", 400},
		"another's package":     {"PUT", "/-/team/acme/devs/package", `{"package":"theirs","permissions":"read-only"}`, "", 403},
		"absent package":        {"PUT", "/-/team/acme/devs/package", `{"package":"absent","permissions":"read-only"}`, "", 403},
		"another's org":         {"PUT", "/-/org/other/user", `{"user":"bob"}`, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := documented(t)
			w.host.add("theirs", false, w.ids["bob"])
			w.enrol("alice", protocol.AuthOnly)
			w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
			w.host.orgs["other "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-2"}
			send := func(bearer, otp string) answer {
				return w.do(call{method: tt.method, path: tt.path, bearer: bearer, otp: otp, body: tt.body})
			}
			s := w.login("alice")
			a := send(s, "")
			if tt.write == "" {
				assert.Equal(t, tt.code, a.Code, "%s", a.Body)
				assert.NotEmpty(t, a.text("error"))
				assert.Empty(t, w.host.written())
				return
			}
			isChallenge(t, a)
			a = send(s, w.code("alice"))
			require.Equal(t, 200, a.Code, "%s", a.Body)
			assert.Equal(t, []string{tt.write}, w.host.written())
			bob := send(w.login("bob"), "")
			assert.Contains(t, []int{403, 404}, bob.Code, "%s", bob.Body)
			assert.Equal(t, 401, send("", "").Code)
			assert.Len(t, w.host.written(), 1)
		})
	}
}

// An approval for one member is none for another.
func TestAccessTakesAFactorForThisMember(t *testing.T) {
	w, _ := documented(t)
	w.enrol("alice", protocol.AuthOnly)
	w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	s := w.login("alice")
	set := func(body, proof string) answer {
		return w.do(call{method: "PUT", path: "/-/org/acme/user", bearer: s, otp: proof, body: body})
	}
	proof := w.approve(set(`{"user":"bob","role":"admin"}`, ""), "alice", "<dt>Organization</dt><dd><bdi>acme</bdi></dd>", "<dt>Adds the user</dt><dd><bdi>bob</bdi></dd>", "<dt>As</dt><dd><bdi>admin</bdi></dd>")
	for _, other := range []string{`{"user":"mallory","role":"admin"}`, `{"user":"bob","role":"owner"}`} {
		isChallenge(t, set(other, proof))
	}
	assert.Equal(t, 200, set(`{"user":"bob","role":"admin"}`, proof).Code)
}

// Tokens reach the organizations they name and no others, and none that bypasses a
// second factor manages any.
func TestOrgTokens(t *testing.T) {
	w, bypass := documented(t)
	w.enrol("alice", protocol.AuthOnly)
	for _, org := range []string{"acme", "other"} {
		w.host.orgs[org+" "+string(w.ids["alice"])] = policy.OrgFacts{ID: protocol.OrgID(org), Role: protocol.OrgOwner}
	}
	org := func(p protocol.Permission) string {
		s, _ := w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: p}}})
		return s
	}
	ro, rw := org(protocol.ReadOnly), org(protocol.ReadWrite)
	list := func(bearer, org string) int {
		return w.do(call{method: "GET", path: "/-/org/" + org + "/user", bearer: bearer}).Code
	}
	assert.Equal(t, []int{200, 200, 403, 403, 403}, []int{list(ro, "acme"), list(rw, "acme"), list(ro, "other"), list(rw, "other"), list(bypass, "acme")})
	set := func(bearer, otp string) answer {
		return w.do(call{method: "PUT", path: "/-/org/acme/user", bearer: bearer, otp: otp, body: `{"user":"bob"}`})
	}
	assert.Contains(t, set(ro, "").text("error"), "only read this organization")
	isChallenge(t, set(rw, ""))
	assert.Equal(t, 200, set(rw, w.code("alice")).Code)
	// PR: an organization's token publishes nothing of it.
	assert.Equal(t, 403, w.publish("plain", "3.0.0", rw, w.code("alice")).Code)

	w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "acme", Role: protocol.OrgMember}
	assert.Contains(t, set(rw, "").text("error"), "role in this organization", "live rights")
	delete(w.host.orgs, "acme "+string(w.ids["alice"]))
	assert.Equal(t, 404, list(ro, "acme"))
}

// An organization may demand a second factor of its members.
func TestOrgRequiresFactor(t *testing.T) {
	w, bypass := documented(t)
	w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "acme", Role: protocol.OrgOwner, RequireFactor: true}
	s := w.login("alice")
	a := w.do(call{method: "GET", path: "/-/org/acme/user", bearer: s})
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "requires a second factor")
	w.host.demand("plain")
	a = w.publish("plain", "3.0.0", bypass, "")
	assert.Equal(t, 403, a.Code, "not even by a token made before")
	assert.Contains(t, a.text("error"), "requires a second factor")
	w.enrol("alice", protocol.AuthOnly)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/org/acme/user", bearer: w.login("alice")}).Code)
	assert.Equal(t, 200, w.publish("plain", "3.0.0", bypass, "").Code)
}

// Of the anonymous nothing is read, whatever they want to change.
func TestAccessBodiesOfTheAnonymousAreNotRead(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthOnly)
	for _, c := range []call{
		{method: "POST", path: "/-/package/plain/access"}, {method: "PUT", path: "/-/package/plain/owners"},
		{method: "PUT", path: "/-/org/acme/user"}, {method: "DELETE", path: "/-/org/acme/user"}, {method: "PUT", path: "/-/org/acme/team"},
		{method: "PUT", path: "/-/team/acme/devs/user"}, {method: "PUT", path: "/-/team/acme/devs/package"}, {method: "DELETE", path: "/-/team/acme/devs/package"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, unread{t})
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		assert.Equal(t, 401, rec.Code, "%s %s: %s", c.method, c.path, rec.Body)
	}
	assert.Empty(t, w.host.written())
}
