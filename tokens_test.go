package npmauth_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// create asks for a token as npm does.
func (w *world) create(bearer, otp string, fields map[string]any) answer {
	w.t.Helper()
	body := map[string]any{"password": password, "name": "ci"}
	for k, v := range fields {
		if v == nil {
			delete(body, k)
		} else {
			body[k] = v
		}
	}
	return w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: bearer, otp: otp, body: body})
}

// rewrite replaces a text in all that a store has.
func rewrite(t *testing.T, s store.Store, text, by string) {
	t.Helper()
	items, err := s.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	n := 0
	for _, it := range items {
		if value := bytes.ReplaceAll(it.Value, []byte(text), []byte(by)); !bytes.Equal(value, it.Value) {
			_, err := s.Commit(t.Context(), store.Op{Key: it.Key, At: it.Revision, Action: store.Put, Value: value, Expires: it.Expires})
			require.NoError(t, err)
			n++
		}
	}
	require.NotZero(t, n)
}

func TestTokenLifecycle(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	fields := map[string]any{
		"description": "releases", "packages": []string{"plain,other"}, "scopes": []string{"@acme"},
		"packages_and_scopes_permission": "read-write", "expires": 30, "cidr_whitelist": []string{"192.0.2.0/24"}, "bypass_2fa": true,
	}
	isChallenge(t, w.create(s, "", fields))
	a := w.create(s, w.code("alice"), fields)
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, "no-store", a.Header().Get("Cache-Control"), "TK-34")
	secret, key := a.text("token"), a.text("key")
	assert.Regexp(t, `^npm_[0-9A-Za-z]{36}$`, secret)
	expires, err := time.Parse(time.RFC3339, a.text("expires"))
	require.NoError(t, err)
	assert.Equal(t, 30*24*time.Hour, expires.Sub(w.clock.Now()))
	assert.Equal(t, a.text("expires"), a.text("expiry"), "both spellings")
	assert.Equal(t, false, a.json["readonly"])
	assert.Equal(t, true, a.json["bypass_2fa"])

	// httptest's requests come from 192.0.2.1.
	assert.Equal(t, 200, w.publish("plain", "1.0.0", secret, "").Code)
	outside := w.do(call{method: "GET", path: "/plain", bearer: secret, addr: "198.51.100.7:999"})
	assert.Equal(t, 401, outside.Code)
	assert.Equal(t, "ipaddress", outside.Header().Get("WWW-Authenticate"))

	list := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s})
	require.Equal(t, 200, list.Code)
	objects := list.json["objects"].([]any)
	require.Len(t, objects, 1, "a session is not in the list")
	first := objects[0].(map[string]any)
	assert.Equal(t, key, first["key"])
	assert.Equal(t, secret[:8], first["token"], "a literal prefix: npm token revoke <token> looks for one")
	assert.NotContains(t, list.Body.String(), secret, "TK-27")
	assert.Equal(t, map[string]any{}, list.json["urls"], "always there")
	assert.Equal(t, 403, w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: secret}).Code, "TK-27: a token lists none")
	for _, e := range w.events.all {
		assert.NotContains(t, fmt.Sprintf("%+v", e), secret, "TK-34")
	}

	w.person("mallory")
	m := w.login("mallory")
	theirs := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: m})
	assert.EqualValues(t, 0, theirs.json["total"], "TK-27: another's are not shown: %s", theirs.Body)
	revoke := func(bearer, what, otp string) answer {
		return w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + what, bearer: bearer, otp: otp})
	}
	assert.Equal(t, 404, revoke(m, key, "").Code, "TK-24")
	assert.Equal(t, 404, revoke(m, secret, "").Code, "TK-24")
	assert.Equal(t, revoke(m, key, "").Body.String(), revoke(m, "7c9e6679-7425-40de-944b-e07fc1f90ae7", "").Body.String(), "TK-24: like what does not exist")
	for _, what := range []string{key[:1], key[:8], "%25", "*", secret[:7], secret[:9], secret[:39]} { // TK-25
		assert.Equal(t, 404, revoke(s, what, w.code("alice")).Code, what)
	}
	assert.GreaterOrEqual(t, revoke(s, "", "").Code, 400, "TK-25: nothing is not everything")
	assert.Equal(t, 200, w.publish("plain", "1.0.1", secret, "").Code)
	isChallenge(t, revoke(s, key, ""))
	assert.Equal(t, 204, revoke(s, key, w.code("alice")).Code)
	assert.Equal(t, 401, w.publish("plain", "1.0.2", secret, "").Code, "TK-20: at once")

	a = w.create(s, w.code("alice"), fields)
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, 204, revoke(s, a.text("token"), w.code("alice")).Code, "by the token itself")
	assert.Equal(t, 401, w.publish("plain", "1.0.2", a.text("token"), "").Code)
}

// AU-71: what npm token list shows of a token revokes it, where it is of one token only.
func TestRevokeByWhatIsListed(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.person("mallory")
	s, m := w.login("alice"), w.login("mallory")
	secret, first := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	_, second := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	revoke := func(bearer, what, otp string) answer {
		return w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + what, bearer: bearer, otp: otp})
	}
	live := func() (n int) {
		for _, err := range w.auth.Tokens().Of(t.Context(), w.ids["alice"]) {
			require.NoError(t, err)
			n++
		}
		return n
	}

	more := revoke(s, secret[:12], "")
	assert.Equal(t, 404, more.Code, "no challenge: no code is spent on it")
	assert.Contains(t, more.text("error"), "no more", "or it would seem to have ended")
	assert.Equal(t, 404, revoke(m, first.Hint, "").Code, "TK-24")

	rewrite(t, w.store, second.Hint, first.Hint)
	both := revoke(s, first.Hint, "")
	assert.Equal(t, 409, both.Code, "no challenge: no code is spent on it")
	assert.Contains(t, both.text("error"), "npm token list")
	assert.Equal(t, 409, revoke(s, first.Hint, w.code("alice")).Code)
	require.Equal(t, 2, live())

	require.NoError(t, w.auth.Tokens().Revoke(t.Context(), audit.Actor{}, w.ids["alice"], second.ID, ""))
	asked := revoke(s, first.Hint, "")
	isChallenge(t, asked)
	assert.NotContains(t, asked.Body.String(), first.Hint)
	assert.Equal(t, 204, revoke(s, first.Hint, w.code("alice")).Code)
	assert.Zero(t, live())
	assert.Equal(t, 404, revoke(s, first.Hint, "").Code)
}

func TestTokenPaging(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	for i := range 12 {
		w.clock.Add(time.Second)
		w.token("alice", token.Spec{Name: fmt.Sprint("t", i), Grants: grantAll(protocol.ReadOnly)})
	}
	s := w.login("alice")
	seen, next := map[string]bool{}, "/-/npm/v1/tokens?page=0&perPage=5"
	for pages := 0; next != ""; pages++ {
		require.Less(t, pages, 4)
		a := w.do(call{method: "GET", path: strings.TrimPrefix(next, base), bearer: s})
		require.Equal(t, 200, a.Code)
		assert.EqualValues(t, 12, a.json["total"])
		for _, o := range a.json["objects"].([]any) {
			seen[o.(map[string]any)["name"].(string)] = true
		}
		next, _ = a.json["urls"].(map[string]any)["next"].(string)
	}
	assert.Len(t, seen, 12)
	for _, query := range []string{"?page=-1&perPage=1e9", "?page=999999999999999999999&perPage=0", "?page=0&perPage=1000000", "?page=1&page=0&perPage=-5"} { // TK-28
		a := w.do(call{method: "GET", path: "/-/npm/v1/tokens" + query, bearer: s})
		assert.Equal(t, 200, a.Code, query)
		assert.LessOrEqual(t, len(a.json["objects"].([]any)), 100, query)
	}
	r := httptest.NewRequest("GET", "http://evil.test/-/npm/v1/tokens?page=0&perPage=5", nil)
	r.Header.Set("Authorization", "Bearer "+s)
	r.Header.Set("X-Forwarded-Host", "evil.test")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	assert.Contains(t, rec.Body.String(), `"next":"`+base+`/-/npm/v1/tokens?`, "TK-28: on the base URL")
	assert.NotContains(t, rec.Body.String(), "evil.test")
}

// TestTokenRequests is what a body may and may not say: PR-08, PR-09, PR-10.
func TestTokenRequests(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.enrol("alice", protocol.AuthOnly)
	s, bob := w.login("alice"), w.login("bob")
	for name, fields := range map[string]map[string]any{
		"PR-08 wildcard":          {"packages": []string{"*"}},
		"PR-08 scope wildcard":    {"packages": []string{"@acme*"}},
		"PR-08 scope glob":        {"packages": []string{"@acme/**"}},
		"PR-08 at":                {"packages": []string{"@"}},
		"PR-08 scope of two":      {"scopes": []string{"@acme/widget"}},
		"PR-08 empty scope":       {"scopes": []string{"@"}},
		"PR-09 nothing":           {},
		"PR-09 null":              {"packages": []string(nil), "scopes": []string(nil), "packages_and_scopes_permission": "read-write"},
		"PR-09 empty lists":       {"packages": []string{}, "scopes": []string{}, "orgs": []string{}},
		"PR-10 unknown":           {"packages_all": true, "packages_and_scopes_permission": "admin"},
		"PR-10 letters":           {"packages_all": true, "packages_and_scopes_permission": "RW"},
		"PR-10 space":             {"packages_all": true, "packages_and_scopes_permission": "read-write "},
		"all and a list":          {"packages_all": true, "packages": []string{"plain"}},
		"no access":               {"packages": []string{"plain"}, "packages_and_scopes_permission": "no-access"},
		"permission alone":        {"packages_and_scopes_permission": "read-write"},
		"org permission alone":    {"packages_all": true, "orgs_permission": "read-write"},
		"write too long":          {"packages_all": true, "packages_and_scopes_permission": "read-write", "expires": 91},
		"no days":                 {"packages_all": true, "expires": 0},
		"JB-13 negative":          {"packages_all": true, "expires": -1},
		"fraction":                {"packages_all": true, "expires": 1.5},
		"JB-13 overflow":          {"packages_all": true, "expires": 9223372036854775807},
		"no date":                 {"packages_all": true, "expires": "2026-02-30"},
		"the past":                {"packages_all": true, "expires": "2020-01-01"},
		"both spellings":          {"packages_all": true, "expires": 3, "expiry": 3},
		"bad CIDR":                {"packages_all": true, "cidr_whitelist": []string{"10.0.0.1"}},
		"bypass without write":    {"packages_all": true, "bypass_2fa": true},
		"readonly and read-write": {"packages_all": true, "readonly": true, "packages_and_scopes_permission": "read-write"},
		"HS-15 name of two lines": {"packages_all": true, "name": "a\r\nSet-Cookie: x"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.create(s, "", fields)
			assert.Equal(t, 400, a.Code, a.Body.String())
			assert.NotEmpty(t, a.text("error"))
		})
	}
	wrong := w.create(bob, "", map[string]any{"packages_all": true, "password": "not the password"})
	assert.Equal(t, 401, wrong.Code)
	assert.Empty(t, wrong.Header().Get("WWW-Authenticate"), "or npm shows words of its own")

	a := w.create(bob, "", map[string]any{"packages_all": true, "name": nil})
	require.Equal(t, 201, a.Code, "without a second factor a password makes read-only tokens: %s", a.Body)
	assert.Equal(t, true, a.json["readonly"], "a request without a permission is for reading")
	a = w.create(bob, "", map[string]any{"packages_all": true, "packages_and_scopes_permission": "read-write"})
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "npm profile enable-2fa")
	a = w.create(bob, "", map[string]any{"readonly": true, "cidr_whitelist": []string{}})
	assert.Equal(t, 201, a.Code, "as npm 10 and older ask: %s", a.Body)
	isChallenge(t, w.create(s, "", map[string]any{"readonly": false}))
	a = w.create(s, w.code("alice"), map[string]any{"readonly": false, "name": nil})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, false, a.json["readonly"])
	code := w.code("alice")
	require.Equal(t, 201, w.create(s, code, map[string]any{"packages_all": true}).Code)
	isChallenge(t, w.create(s, code, map[string]any{"packages_all": true}))
}

// TestTokenRights: what was stored is enforced, PR-01 to PR-03, PR-07, PR-12, PR-15, PR-16, PR-19, PR-20, TK-08.
func TestTokenRights(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	open, locked := w.host.add("plain", false, alice), w.host.add("locked", false, alice)
	_ = open
	w.host.add("@acme/widget", false, alice)
	w.host.add("@acme/private", true, alice)
	w.host.add("@acme-evil/x", false, alice)
	require.NoError(t, w.auth.SetPackage(t.Context(), locked, policy.Settings{Publish: protocol.FactorOnly}))
	scope := []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}
	ro, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	by, byRecord := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	acme, _ := w.token("alice", token.Spec{Grants: scope, Bypass: true})
	plain, _ := w.token("alice", token.Spec{Bypass: true, Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}}})
	org, _ := w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}}})
	s := w.login("alice")

	for name, bearer := range map[string]string{"PR-01": ro, "PR-02": rw, "PR-03": by} {
		assert.Equal(t, 403, w.create(bearer, w.code("alice"), map[string]any{"packages_all": true}).Code, name)
		assert.Equal(t, 403, w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: bearer}).Code, name)
		assert.Equal(t, 403, w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: bearer, body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`}).Code, "PR-25 "+name)
	}
	assert.Equal(t, 403, w.publish("plain", "1.0.0", ro, "").Code)
	isChallenge(t, w.publish("plain", "1.0.0", rw, "")) // PR-19
	isChallenge(t, w.publish("locked", "1.0.0", s, ""))
	assert.Equal(t, 403, w.publish("locked", "1.0.0", rw, "").Code, "PR-19")
	assert.Equal(t, 403, w.publish("locked", "1.0.0", rw, w.code("alice")).Code, "PR-19")
	a := w.publish("locked", "1.0.0", by, "")
	assert.Equal(t, 403, a.Code, "PR-20")
	assert.Equal(t, 200, w.publish("plain", "1.0.0", by, "").Code)
	assert.Equal(t, 200, w.publish("@acme/widget", "1.0.0", acme, "").Code)
	assert.Equal(t, 200, w.publish("@acme/new", "1.0.0", acme, "").Code, "PR-14: a scope covers what is not there yet")
	for _, name := range []string{"@acme-evil/x", "@acmefoo/x", "acme", "plain"} {
		assert.Equal(t, 403, w.publish(name, "1.0.0", acme, "").Code, "PR-07: %s", name)
	}
	assert.Equal(t, 200, w.publish("plain", "1.0.1", plain, "").Code)
	assert.Equal(t, 403, w.publish("brand-new", "1.0.0", plain, "").Code, "PR-14: a list of packages creates none")
	assert.Equal(t, 403, w.publish("@acme/widget", "1.0.1", org, "").Code, "PR-15")

	get := func(path, bearer string) answer { return w.do(call{method: "GET", path: path, bearer: bearer}) }
	missing := get("/@acme%2fnothing", "")
	hidden := get("/@acme%2fprivate", plain)
	assert.Equal(t, missing.Body.String(), hidden.Body.String(), "PR-16")
	assert.Equal(t, 404, hidden.Code, "PR-16")
	assert.Equal(t, 200, get("/@acme%2fprivate", ro).Code)
	assert.Equal(t, 200, get("/@acme%2fprivate", s).Code)

	w.host.mu.Lock()
	w.host.packages[protocol.PackageName{Name: "plain"}].rights = nil
	w.host.mu.Unlock()
	assert.Equal(t, 403, w.publish("plain", "1.0.2", by, "").Code, "PR-12: at the next request")

	w.clock.Add(byRecord.Expires.Sub(w.clock.Now()) - time.Nanosecond)
	assert.Equal(t, 200, get("/-/whoami", by).Code, "TK-08: the last instant")
	w.clock.Add(time.Nanosecond)
	assert.Equal(t, 401, get("/-/whoami", by).Code, "TK-08: expired")
	assert.Equal(t, 404, get("/@acme%2fprivate", by).Code, "TK-08: expired")
}

// A token's CIDR ranges hold for the address that the trusted proxy reports, and
// for no other's word: P-02.
func TestTokenAddresses(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	six, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}})
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: six, header: map[string]string{"X-Forwarded-For": "2001:db8::1"}}).Code)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: six, addr: "[2001:db8::1]:1"}).Code)
	four, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: four, addr: "[::ffff:10.1.2.3]:1"}).Code, "IP-06")
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: four, addr: "unknown"}).Code)
	spoofed := w.do(call{method: "GET", path: "/-/whoami", bearer: four, header: map[string]string{"X-Forwarded-For": "10.0.0.1"}})
	assert.Equal(t, 401, spoofed.Code, "IP-01")
	assert.Equal(t, "ipaddress", spoofed.Header().Get("WWW-Authenticate"), "IP-01")
}

// npm token revoke <token> has the token in its path, which must go nowhere else.
func TestRevokedSecretIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	s := w.login("alice")
	secret, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	a := w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + secret, bearer: s})
	isChallenge(t, a)
	_, _, page := w.open(a.text("authUrl"))
	assert.NotContains(t, page.Body.String(), secret)
	assert.Contains(t, page.Body.String(), tok.ID)
	for after := ""; ; {
		items, err := w.store.List(t.Context(), "", after, 100)
		require.NoError(t, err)
		for _, it := range items {
			assert.NotContains(t, string(it.Value), secret, it.Key)
			after = it.Key
		}
		if len(items) < 100 {
			break
		}
	}
	p := w.submit(a.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")})
	require.Less(t, p.Code, 400)
	proof := w.poll(a.text("doneUrl"), "GET").text("token")
	assert.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + secret, bearer: s, otp: proof}).Code)
}

func TestReadOnlyTokenForOrgs(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	a := w.create(s, "", map[string]any{"orgs": []string{"acme"}, "orgs_permission": "read-write", "readonly": true})
	assert.Equal(t, 400, a.Code, a.Body.String())
}

func TestTokenRotation(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.person("mallory")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	old, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 5})
	rotate := func(bearer, otp, key string, fields map[string]any) answer {
		body := map[string]any{"password": password}
		for k, v := range fields {
			body[k] = v
		}
		return w.do(call{method: "POST", path: "/-/auth/v1/tokens/" + key + "/rotate", bearer: bearer, otp: otp, body: body})
	}
	isChallenge(t, rotate(s, "", tok.ID, nil))
	for name, a := range map[string]answer{
		"wrong password": rotate(s, w.code("alice"), tok.ID, map[string]any{"password": "x"}),
		"anonymous":      rotate("", "", tok.ID, nil),
	} {
		assert.Equal(t, 401, a.Code, name)
	}
	assert.Equal(t, 403, rotate(old, w.code("alice"), tok.ID, nil).Code, "no token makes a token, not even its own next")
	assert.Equal(t, 404, rotate(w.login("mallory"), "", tok.ID, nil).Code)
	assert.Equal(t, 404, rotate(s, w.code("alice"), "tok-unknown", nil).Code)
	for _, fields := range []map[string]any{
		{"grace": -1}, {"grace": 169}, {"grace": 1 << 40}, {"grace": 1.5}, {"expires": 0}, {"expires": 91}, {"permissions": "read-write"}, {"bypass_2fa": true},
	} {
		assert.Equal(t, 400, rotate(s, w.code("alice"), tok.ID, fields).Code, "%v", fields)
	}
	require.Equal(t, 200, whoami(w, old), "nothing has happened so far")

	a := rotate(s, w.code("alice"), tok.ID, map[string]any{"grace": 1})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	fresh := a.text("token")
	assert.NotEqual(t, tok.ID, a.text("key"))
	for _, bearer := range []string{old, fresh} {
		assert.Equal(t, 200, w.publish("plain", "1.0.0", bearer, "").Code)
	}
	// AU-48: once more is refused, before anything is spent on it, and says what to do.
	again := rotate(s, "", tok.ID, map[string]any{"grace": 1})
	assert.Equal(t, 409, again.Code, again.Body.String())
	assert.Equal(t, "already-rotated", again.text("code"))
	assert.Contains(t, again.text("error"), "to "+a.text("key")+". If you do not have the new token, revoke that one and rotate this one again.")
	objects := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s}).json["objects"].([]any)
	require.Len(t, objects, 2)
	assert.Subset(t, objects[0], map[string]any{"key": a.text("key"), "replaces": tok.ID, "replaced_by": nil})
	assert.Subset(t, objects[1], map[string]any{"key": tok.ID, "replaces": nil, "replaced_by": a.text("key")})
	w.clock.Add(30 * time.Second) // a code is for one change
	require.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + a.text("key"), bearer: s, otp: w.code("alice")}).Code)
	w.clock.Add(30 * time.Second)
	a = rotate(s, w.code("alice"), tok.ID, map[string]any{"grace": 1})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, 401, whoami(w, fresh))
	fresh = a.text("token")
	w.clock.Add(45 * time.Minute)
	assert.Contains(t, w.do(call{method: "GET", path: "/-/whoami", bearer: old}).Header().Get("Npm-Notice"), ". It was rotated: use the new token.")

	w.clock.Add(15 * time.Minute)
	assert.Equal(t, 401, whoami(w, old))
	assert.Equal(t, 200, whoami(w, fresh))
	assert.Equal(t, 401, rotate(s, "", a.text("key"), map[string]any{"grace": 0}).Code)

	// A proof for one token's next is none for another, nor for a new one.
	s = w.login("alice")
	key := a.text("key")
	asked := rotate(s, "", key, nil)
	isChallenge(t, asked)
	require.Less(t, w.submit(asked.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	proof := w.poll(asked.text("doneUrl"), "GET").text("token")
	_, other := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	isChallenge(t, rotate(s, proof, other.ID, nil))
	isChallenge(t, w.create(s, proof, map[string]any{"packages_all": true, "packages_and_scopes_permission": "read-write"}))
	isChallenge(t, rotate(s, proof, key, map[string]any{"grace": 0}))
	assert.Equal(t, 201, rotate(s, proof, key, nil).Code)
	assert.Equal(t, 200, whoami(w, fresh), "for a day")
}

func TestRevokeAllTokens(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	var secrets []string
	for range 20 {
		secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		secrets = append(secrets, secret)
		require.Equal(t, 200, whoami(w, secret))
	}
	bobs, _ := w.token("bob", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	revoke := func(bearer, otp string) answer {
		return w.do(call{method: "DELETE", path: "/-/auth/v1/tokens", bearer: bearer, otp: otp})
	}
	assert.Equal(t, 401, revoke("", "").Code)
	assert.Equal(t, "session-only", revoke(secrets[0], "").text("code"))
	isChallenge(t, revoke(s, ""))
	assert.Equal(t, 400, w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/", bearer: s, otp: w.code("alice")}).Code, "no token is not all of them")
	require.Equal(t, 200, whoami(w, secrets[0]))

	// A proof that a page gave for this is none for one token, nor the other way round.
	_, spare := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	a := revoke(s, "")
	_, _, page := w.open(a.text("authUrl"))
	assert.Contains(t, page.Body.String(), "all your tokens")
	require.Less(t, w.submit(a.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	proof := w.poll(a.text("doneUrl"), "GET").text("token")
	isChallenge(t, w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + spare.ID, bearer: s, otp: proof}))

	require.Equal(t, 204, revoke(s, proof).Code)
	for _, secret := range secrets {
		assert.Equal(t, 401, whoami(w, secret))
	}
	assert.Equal(t, 200, whoami(w, s), "sessions go on")
	assert.Equal(t, 200, whoami(w, bobs))
	list := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s})
	assert.EqualValues(t, 0, list.json["total"])
	revoked := 0
	for _, e := range w.events.all {
		if e.Type == audit.TokenRevoked && e.User == w.ids["alice"] {
			revoked++
			assert.Equal(t, "all", e.Reason())
		}
	}
	assert.Equal(t, 1, revoked, "one write, of which one event tells")
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	assert.Equal(t, 200, whoami(w, secret), "made in the same instant")
	assert.Equal(t, 204, revoke(w.login("bob"), "").Code, "who has no factor shows none")
}

// afterParam is where in the order of the tokens a page begins.
var afterParam = regexp.MustCompile(`after=[^&]+&`)

// A page that is full and the last has none after it.
func TestTokenPagesEnd(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.TwoFactorOff)
	for range 4 {
		w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	}
	for query, next := range map[string]string{
		"?perPage=3":        "?page=1&perPage=3",
		"?perPage=4":        "",
		"?perPage=5":        "",
		"?page=0&perPage=2": "?page=1&perPage=2",
		"?page=1&perPage=2": "",
		"?page=2&perPage=2": "",
	} {
		a := w.do(call{method: "GET", path: "/-/npm/v1/tokens" + query, bearer: s})
		require.Equal(t, 200, a.Code)
		if next != "" {
			next = base + "/-/npm/v1/tokens" + next
		}
		got, _ := a.json["urls"].(map[string]any)["next"].(string)
		assert.Equal(t, next, afterParam.ReplaceAllString(got, ""), query)
	}
}

// To revoke all tokens is one commit, which happens although the client hangs up: somebody
// whose tokens were stolen may press Ctrl-C and believe them dead.
func TestRevokeAllTokensGoesOn(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	s := w.alice(protocol.TwoFactorOff)
	const n = 60
	for range n {
		w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	before := st.Count(storetest.Commits)
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 1, Do: cancel})
	r := httptest.NewRequestWithContext(ctx, "DELETE", "/-/auth/v1/tokens", nil)
	r.Header.Set("Authorization", "Bearer "+s)
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
	require.Error(t, ctx.Err())
	assert.Equal(t, 1, st.Count(storetest.Commits)-before)
	assert.Zero(t, w.tokens("alice"))
	assert.True(t, w.events.has(audit.TokenRevoked))
}
