package npmauth_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// IP-07, IP-10: a network holds addresses of its own family, and none that is not known.
func TestNetworksHoldTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	within := func(cidr, addr string) bool {
		t.Helper()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix(cidr)}})
		a := w.do(call{method: "GET", path: "/-/whoami", bearer: bearer, addr: addr})
		if a.Code != 200 {
			assert.Equal(t, 401, a.Code)
			assert.Equal(t, "ipaddress", a.Header().Get("WWW-Authenticate"))
		}
		return a.Code == 200
	}
	assert.True(t, within("0.0.0.0/0", "203.0.113.9:1"))
	assert.True(t, within("0.0.0.0/0", "[::ffff:203.0.113.9]:1"))
	assert.False(t, within("0.0.0.0/0", "[2001:db8::1]:1"), "IP-07")
	assert.True(t, within("::/0", "[2001:db8::1]:1"))
	assert.False(t, within("::/0", "203.0.113.9:1"), "IP-07")
	assert.False(t, within("::/0", "[::ffff:203.0.113.9]:1"), "IP-07: written as IPv6 it is still IPv4")
	assert.False(t, within("10.0.0.0/8", "[64:ff9b::a01:203]:1"), "IP-12")
	assert.True(t, within("fe80::/10", "[fe80::1%eth0]:1"), "IP-08")
	for _, addr := range []string{"@", "unknown", "/run/npm.sock", ":80", "10.0.0.1", "[::1]"} { // IP-10
		assert.False(t, within("0.0.0.0/0", addr), addr)
		assert.False(t, within("::/0", addr), addr)
	}
}

// IP-11: a token's ranges hold at every address of the protocol.
func TestRangesHoldEverywhere(t *testing.T) {
	c := newCast(t)
	c.host.add("@acme/private", true, c.ids["alice"])
	bearer, tok := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	before := dump(t, c.store)
	served := 0
	for _, rt := range routes {
		ask := func(addr string) answer {
			k := call{method: rt.method, path: strings.Replace(rt.path, "TOKENID", tok.ID, 1), bearer: bearer, addr: addr}
			if rt.body != "" {
				k.body = body(t, rt.body)
			}
			return c.do(k)
		}
		path, _, _ := strings.Cut(strings.Replace(rt.path, "TOKENID", tok.ID, 1), "?")
		op, err := protocol.Classify(rt.method, path)
		require.NoError(t, err)
		a := ask("203.0.113.9:1")
		switch op.Action {
		case protocol.Ping, protocol.Login, protocol.LegacyLogin, protocol.LegacyUpdate, protocol.AuthPage, protocol.ReportLeak:
			continue // no credential is looked at
		}
		assert.Contains(t, []int{400, 401, 403, 404}, a.Code, "%s %s", rt.method, rt.path)
		assert.NotEqual(t, "alice", a.text("username"), rt.path)
		assert.Empty(t, c.host.written(), "%s %s", rt.method, rt.path)
		if op.Action == protocol.Logout { // of another token, which is none
			continue
		}
		if inside := ask("192.0.2.7:1"); inside.Code < 300 {
			served++
			assert.Equal(t, 401, a.Code, "%s %s", rt.method, rt.path)
			assert.Equal(t, "ipaddress", a.Header().Get("WWW-Authenticate"), "%s %s", rt.method, rt.path)
		}
		c.host.writes = nil
		c.host.add("plain", false, c.ids["alice"])
	}
	assert.Greater(t, served, 10)
	assert.Empty(t, changes(before, dump(t, c.store)))
	assert.Empty(t, c.host.written())
}

// IP-02, IP-03: behind a proxy that is trusted, the client is who it speaks for and
// nobody whom that one speaks for.
func TestForwardedAddresses(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
	w.person("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	ask := func(addr string, forwarded ...string) int {
		r := httptest.NewRequest("GET", "/-/whoami", nil)
		r.Header.Set("Authorization", "Bearer "+bearer)
		r.Header["X-Forwarded-For"] = forwarded
		r.RemoteAddr = addr
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code
	}
	const proxy, other = "192.0.2.1:443", "192.0.2.2:443"
	assert.Equal(t, 200, ask(proxy, "10.0.0.1"))
	assert.Equal(t, 401, ask(other, "10.0.0.1"), "IP-01")
	assert.Equal(t, 401, ask(proxy, "10.0.0.1, 203.0.113.9"), "IP-02")
	assert.Equal(t, 401, ask(proxy, "10.0.0.1", "203.0.113.9"), "IP-03")
	assert.Equal(t, 200, ask(proxy, "203.0.113.9", "10.0.0.1"), "IP-03")
	assert.Equal(t, 200, ask(proxy, "10.0.0.1:99"), "AU-36")
	assert.Equal(t, 200, ask(proxy, "203.0.113.9:1, [::ffff:10.0.0.1]:99"), "AU-36")
	assert.Equal(t, 401, ask(proxy, "10.0.0.1:99, 203.0.113.9:1"), "AU-36")
	for _, garbage := range []string{"unknown", "_hidden", "10.0.0.1:", "[::1]:1", "10.1", "0x7f.1", "010.0.0.1", "10.0.0.1,", ""} { // IP-05
		assert.Equal(t, 401, ask(proxy, garbage), garbage)
		assert.Equal(t, 401, ask(proxy, "10.0.0.1, "+garbage), garbage)
	}
}

// AU-36: where the proxies write Forwarded it is what they say and X-Forwarded-For is what anybody
// says, also in a request that has both.
func TestForwardedHeader(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.TrustedProxies, cfg.Forwarded = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, true
	})
	w.person("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	ask := func(addr string, header map[string]string) int {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer, addr: addr, header: header}).Code
	}
	const proxy, other = "192.0.2.1:443", "192.0.2.2:443"
	const inside, outside = `for="10.0.0.1:47011";proto=https`, "for=203.0.113.9"
	assert.Equal(t, 200, ask(proxy, map[string]string{"Forwarded": inside}))
	assert.Equal(t, 200, ask(proxy, map[string]string{"Forwarded": outside + ", " + inside}))
	assert.Equal(t, 401, ask(proxy, map[string]string{"Forwarded": inside + ", " + outside}))
	assert.Equal(t, 401, ask(other, map[string]string{"Forwarded": inside}))
	assert.Equal(t, 200, ask(proxy, map[string]string{"Forwarded": inside, "X-Forwarded-For": "203.0.113.9"}))
	assert.Equal(t, 401, ask(proxy, map[string]string{"Forwarded": outside, "X-Forwarded-For": "10.0.0.1"}))
	assert.Equal(t, 401, ask(proxy, map[string]string{"X-Forwarded-For": "10.0.0.1"}))
	for _, garbage := range []string{"for=unknown", "for=_hidden", "proto=https", "10.0.0.1", "for=10.0.0.1;for=10.0.0.1", `for="10.0.0.1`} { // IP-05
		assert.Equal(t, 401, ask(proxy, map[string]string{"Forwarded": garbage}), garbage)
	}
}
