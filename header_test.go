package npmauth_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
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
	list := c.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: c.session})
	assert.EqualValues(t, 4, list.json["total"], "the cast's, and none that was made")
}
