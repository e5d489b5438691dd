package npmauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// HS-04, G-07: a token is judged by what it is, whichever way it was carried.
func TestCarriersAreJudgedAlike(t *testing.T) {
	c := newCast(t, func(cfg *npmauth.Config) { cfg.AllowBasicToken = true })
	for name, bearer := range map[string]string{"reader": c.reader, "one package": c.ofPlain, "scope": c.ofAcme, "session": c.session} {
		for _, rt := range []route{
			{"GET", "/-/whoami", ""}, {"GET", "/@acme%2fprivate", ""}, {"PUT", "/plain", "PUBLISH plain"}, {"PUT", "/@acme%2fwidget", "PUBLISH @acme/widget"},
			{"PUT", "/@acme%2fnew", "PUBLISH @acme/new"}, {"PUT", "/plain/next", `"1.0.0"`}, {"GET", "/-/npm/v1/tokens", ""},
			{"POST", "/-/npm/v1/tokens", `{"name":"x","password":"` + password + `","packages_all":true}`},
		} {
			var codes []int
			for _, user := range []string{"", "alice", "mallory"} {
				r := httptest.NewRequest(rt.method, rt.path, strings.NewReader(string(body(t, rt.body))))
				r.Header.Set("Content-Type", "application/json")
				r.SetBasicAuth(user, bearer)
				rec := httptest.NewRecorder()
				c.handler.ServeHTTP(rec, r)
				codes = append(codes, rec.Code)
				delete(c.host.packages, protocol.PackageName{Scope: "acme", Name: "new"})
			}
			for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
				a := c.do(call{method: rt.method, path: rt.path, body: body(t, rt.body), header: map[string]string{"Authorization": scheme + " " + bearer}})
				codes = append(codes, a.Code)
				delete(c.host.packages, protocol.PackageName{Scope: "acme", Name: "new"})
			}
			for _, code := range codes {
				assert.Equal(t, codes[0], code, "%s: %s %s: %v", name, rt.method, rt.path, codes)
			}
		}
	}
	assert.NotEmpty(t, c.host.written())
}

// HS-11, HS-12: what one reader takes for a header is none to another, and none of it
// reaches us as one.
func TestSmuggledHeaders(t *testing.T) {
	c := newCast(t)
	srv := httptest.NewServer(c.handler)
	defer srv.Close()
	whoami := func(headers string) int {
		status, _ := raw(t, srv, "GET /-/whoami HTTP/1.1\r\nHost: npm.acme.test\r\nConnection: close\r\n"+headers+"\r\n")
		return status
	}
	require.Equal(t, 200, whoami("Authorization: Bearer "+c.session+"\r\n"))
	assert.Contains(t, []int{400, 401}, whoami("X: 1\r\n Authorization: Bearer "+c.session+"\r\n"), "a folded line belongs to the one before")
	assert.Contains(t, []int{400, 401}, whoami("X: 1\r\n\tAuthorization: Bearer "+c.session+"\r\n"))
	assert.Equal(t, 400, whoami("Authorization : Bearer "+c.session+"\r\n"))
	assert.Equal(t, 400, whoami("Authorization: Bearer "+c.session+"\r\nAuthorization: Bearer "+c.reader+"\r\n"))
	assert.Equal(t, 401, whoami("Authorization_: Bearer "+c.session+"\r\n"))

	// Where a length and chunks disagree the chunks count, and our bound is on them. A proxy
	// that counts the other way must refuse such a request.
	create := func(headers, body string) int {
		status, _ := raw(t, srv, "POST /-/npm/v1/tokens HTTP/1.1\r\nHost: npm.acme.test\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer "+
			c.session+"\r\n"+headers+"\r\n"+body)
		return status
	}
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	whole := `{"password":"` + password + `","packages_all":true}`
	const both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"
	assert.Equal(t, 401, create("Transfer-Encoding: chunked\r\n", chunked(whole)), "a factor is asked for")
	assert.Contains(t, []int{400, 401}, create(both, chunked(whole)))
	assert.Equal(t, 400, create(both, chunked("{}")+whole), "what follows is no part of it")
	assert.Contains(t, []int{400, 413}, create(both, chunked(`{"name":"`+strings.Repeat("x", 70<<10)+`"}`)))
	assert.Equal(t, 400, create("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"))
	assert.GreaterOrEqual(t, create("Transfer-Encoding: chunked, identity\r\n", chunked(whole)), 400)
	assert.GreaterOrEqual(t, create("Transfer-Encoding: xchunked\r\n", chunked(whole)), 400)
	// What follows the chunks is no header.
	trailed := fmt.Sprintf("%x\r\n%s\r\n0\r\nNpm-Otp: %s\r\n\r\n", len(whole), whole, c.code("alice"))
	assert.Equal(t, 401, create("Transfer-Encoding: chunked\r\nTrailer: Npm-Otp\r\n", trailed), "a factor is asked for")
	list := c.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: c.session})
	assert.EqualValues(t, 4, list.json["total"], "the cast's, and none that was made")
}

// AU-52, JB-10: a body that is encoded in any of its lines is read by nobody: refused, wherever it
// would change something. One that says that it is not encoded is.
func TestEncodedBodies(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			w := u.world(t)
			p := u.prepare(w)
			if p.call.body == nil {
				return
			}
			for _, lines := range [][]string{{"gzip"}, {"identity", "gzip"}, {"identity, br"}, {"", "x-nobody-knows"}} {
				w.host.reads = nil
				c := p.call
				c.lines = http.Header{"Content-Encoding": lines}
				a := w.do(c)
				assert.False(t, p.done(), "%q", lines)
				assert.Empty(t, w.host.written(), "%q", lines)
				switch {
				case u.refused == notOffered:
					assert.Equal(t, 403, a.Code, "%q", lines)
				case u.refused != "":
					assert.GreaterOrEqual(t, a.Code, 400, "%q", lines)
				default:
					assert.Equal(t, 415, a.Code, "%q: %s", lines, a.Body)
				}
			}
			c := p.call
			c.lines = http.Header{"Content-Encoding": {"", "identity, Identity", "identity"}}
			a := w.do(c)
			assert.Equal(t, u.refused == "", a.Code < 400, "%d %s", a.Code, a.Body)
		})
	}
}

// AU-52: what passes the guard unread, as the body of a hook where a policy permits that,
// is not encoded either. What is read only is: npm compresses what npm audit sends.
func TestEncodedBodiesOfTheHost(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().Without("not-offered").With(policy.Rule{
			ID: "hooks", Doc: "d", Sentence: "s", Actions: []protocol.Action{protocol.WriteHooks}, Kinds: []policy.Kind{policy.KindToken, policy.KindSession},
			Judge: func(*policy.Request) policy.Verdict { return policy.Permit },
		})
	})
	s := w.alice(protocol.AuthAndWrites)
	hook := call{method: "POST", path: "/-/npm/v1/hooks/hook", body: "{}", bearer: s}
	require.Equal(t, 200, w.do(hook).Code)
	require.Len(t, w.host.written(), 1)
	hook.lines = http.Header{"Content-Encoding": {"identity", "gzip"}}
	assert.Equal(t, 415, w.do(hook).Code)
	assert.Len(t, w.host.written(), 1)

	audit := call{method: "POST", path: "/-/npm/v1/security/advisories/bulk", body: "\x1f\x8b", lines: http.Header{"Content-Encoding": {"gzip"}}}
	assert.Equal(t, 200, w.do(audit).Code)
	assert.Len(t, w.host.reads, 1)
}

// JB-12: two media types are none.
func TestSeveralContentTypes(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			w := u.world(t)
			p := u.prepare(w)
			if p.call.body == nil || !u.own || u.refused != "" || u.action == protocol.ReportLeak { // which is a signed text
				return
			}
			good := "application/json"
			if p.call.header["Content-Type"] != "" {
				good = p.call.header["Content-Type"]
			}
			for _, lines := range [][]string{{good, "text/plain"}, {good, good}, {"", good}, {good + ", " + good}} {
				c := p.call
				c.lines = http.Header{"Content-Type": lines}
				assert.Equal(t, 415, w.do(c).Code, "%q", lines)
				assert.False(t, p.done(), "%q", lines)
			}
			assert.Less(t, w.do(p.call).Code, 400)
		})
	}
}

// What a client says of itself in several lines it does not say: which kind of login it wants, and
// that its command is the one that creates an account.
func TestSeveralHints(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	login := func(kinds ...string) int {
		return w.do(call{method: "POST", path: "/-/v1/login", body: "{}", lines: http.Header{"Npm-Auth-Type": kinds}}).Code
	}
	assert.Equal(t, 404, login("legacy"))
	for _, kinds := range [][]string{nil, {"web"}, {"legacy", "web"}, {"web", "legacy"}, {"legacy", "legacy"}} {
		assert.Equal(t, 200, login(kinds...), "%q", kinds)
	}
	create := func(name string, lines http.Header) int {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, lines: lines, body: map[string]any{
			"_id": "org.couchdb.user:" + name, "name": name, "password": password, "email": name + "@acme.test", "type": "user", "roles": []string{}, "date": "2026-03-01T12:00:00.000Z",
		}}).Code
	}
	for _, commands := range [][]string{nil, {"login"}, {"adduser", "login"}, {"login", "adduser"}, {"adduser", "adduser"}, {"", ""}} {
		assert.Equal(t, 401, create("bob", http.Header{"Npm-Command": commands, "Referer": {"login"}}), "%q", commands)
	}
	assert.Equal(t, 401, create("bob", http.Header{"Npm-Command": {"", ""}, "Referer": {"adduser"}}))
	assert.Equal(t, 401, create("bob", http.Header{"Referer": {"adduser", "adduser"}}))
	assert.Equal(t, 201, create("bob", http.Header{"Npm-Command": {"adduser"}}))
	assert.Equal(t, 201, create("carol", http.Header{"Referer": {"adduser [REDACTED]"}}))
}

// HS-01, HS-06: of credentials that are repeated none counts, in whatever order.
func TestSeveralCredentials(t *testing.T) {
	c := newCast(t)
	publish := publishOf("plain", "3.0.0")
	good := c.code("alice")
	for _, lines := range []http.Header{
		{"Authorization": {"Bearer " + c.bypass, "Bearer " + c.reader}},
		{"Authorization": {"Bearer " + c.reader, "Bearer " + c.bypass}},
		{"Authorization": {"", "Bearer " + c.bypass}},
		{"Authorization": {"Bearer " + c.session}, "Npm-Otp": {"000000", good}},
		{"Authorization": {"Bearer " + c.session}, "Npm-Otp": {good, "000000"}},
		{"Authorization": {"Bearer " + c.session}, "Npm-Otp": {good, ""}},
		{"Authorization": {"Bearer " + c.session}, "Npm-Otp": {"", good}},
	} {
		publish.lines = lines
		assert.Equal(t, 400, c.do(publish).Code, "%q", lines)
	}
	assert.Empty(t, c.host.written())
	publish.lines = http.Header{"Authorization": {"Bearer " + c.session}, "Npm-Otp": {good}}
	assert.Equal(t, 200, c.do(publish).Code, "and none of it was an attempt")
}
