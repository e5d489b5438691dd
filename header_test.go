package npmauth_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
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
				delete(c.host.packages, policy.PackageName{Scope: "acme", Name: "new"})
			}
			for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
				a := c.do(call{method: rt.method, path: rt.path, body: body(t, rt.body), header: map[string]string{"Authorization": scheme + " " + bearer}})
				codes = append(codes, a.Code)
				delete(c.host.packages, policy.PackageName{Scope: "acme", Name: "new"})
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

	// With both lengths the body is chunked and ends there: the rest is no request.
	whole := string(body(t, "PUBLISH plain"))
	chunked := "2\r\n{}\r\n0\r\n\r\n" + "PUT /plain HTTP/1.1\r\nHost: npm.acme.test\r\nAuthorization: Bearer " + c.bypass + "\r\nContent-Length: " + "0" + "\r\n\r\n" + whole
	status, _ := raw(t, srv, "POST /-/v1/login HTTP/1.1\r\nHost: npm.acme.test\r\nContent-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked)
	assert.Contains(t, []int{200, 400}, status)
	status, _ = raw(t, srv, "POST /-/v1/login HTTP/1.1\r\nHost: npm.acme.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
	assert.Equal(t, 400, status)
	status, _ = raw(t, srv, "POST /-/v1/login HTTP/1.1\r\nHost: npm.acme.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n{}")
	assert.GreaterOrEqual(t, status, 400)
	assert.Empty(t, c.host.written())
}
