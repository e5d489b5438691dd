package npmauth_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A cast is alice with her packages plain, @acme/widget and @acme/private, a session,
// and tokens of hers: reading all, and writing plain, @acme or all without a factor.
type cast struct {
	*world
	session, reader, ofPlain, ofAcme, bypass string
}

func newCast(t *testing.T, change ...func(*npmauth.Config)) cast {
	t.Helper()
	w := newWorld(t, append([]func(*npmauth.Config){trusts, stages}, change...)...)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	w.host.add("@acme/widget", false, alice)
	w.host.add("@acme/private", true, alice)
	w.host.orgs["acme "+string(alice)] = policy.OrgFacts{ID: "o-acme", Role: protocol.OrgOwner}
	make := func(bypass bool, g protocol.Grant) string {
		secret, _ := w.token("alice", token.Spec{Bypass: bypass, Grants: []protocol.Grant{g}})
		return secret
	}
	return cast{
		world: w, session: w.login("alice"),
		reader:  make(false, protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadOnly}),
		ofPlain: make(true, protocol.Grant{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}),
		ofAcme:  make(true, protocol.Grant{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}),
		bypass:  make(true, protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadWrite}),
	}
}

// What a request is rests on its method and its path, however they are written, and on
// nothing beside them.
func TestPathsAreJudgedAlike(t *testing.T) {
	c := newCast(t)
	ask := func(method, path, bearer string, body any, header map[string]string) answer {
		return c.do(call{method: method, path: path, bearer: bearer, body: body, header: header})
	}
	publish := body(t, "PUBLISH plain")

	// PC-14: names differ by case, for tokens and for whether a package exists.
	assert.Equal(t, 403, ask("PUT", "/Plain", c.ofPlain, body(t, "PUBLISH Plain"), nil).Code)
	assert.Equal(t, 403, ask("PUT", "/@Acme%2fwidget", c.ofAcme, body(t, "PUBLISH @Acme/widget"), nil).Code)
	assert.Equal(t, 400, ask("PUT", "/Plain", c.bypass, publish, nil).Code, "nor may path and body differ so")
	require.Empty(t, c.host.written())
	require.Equal(t, 200, ask("PUT", "/Plain", c.bypass, body(t, "PUBLISH Plain"), nil).Code)
	c.host.mu.Lock()
	assert.Len(t, c.host.packages[protocol.PackageName{Name: "Plain"}].versions, 1, "a new package")
	assert.Empty(t, c.host.packages[protocol.PackageName{Name: "plain"}].versions, "and not the old one")
	c.host.mu.Unlock()
	c.host.writes = nil

	// PC-15: an escaped hyphen is the reserved one and no package of that name.
	create := `{"name":"x","password":"` + password + `","packages_all":true}`
	for _, bearer := range []string{"", c.reader, c.bypass, c.session} {
		plain, escaped := ask("POST", "/-/npm/v1/tokens", bearer, create, nil), ask("POST", "/%2d/npm/v1/tokens", bearer, create, nil)
		assert.Equal(t, plain.Code, escaped.Code)
		assert.GreaterOrEqual(t, plain.Code, 401)
	}

	// PC-37: a query makes no request another one.
	assert.Equal(t, 403, ask("PUT", "/plain?write=true", c.reader, publish, nil).Code)
	assert.Equal(t, 403, ask("PUT", "/plain?write=false&access_token="+c.bypass, c.reader, publish, nil).Code)
	assert.Equal(t, "read-packument", ask("GET", "/plain?write=true", "", nil, nil).text("read"), "as npm asks before it publishes")

	// PC-38: nor does what a framework would take for the method.
	for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		assert.Equal(t, "read-packument", ask("GET", "/plain?_method=DELETE", c.bypass, nil, map[string]string{name: "PUT"}).text("read"))
		assert.Equal(t, 403, ask("PUT", "/plain", c.reader, publish, map[string]string{name: "GET"}).Code)
	}

	// PC-39: a method is what its letters are. HEAD is GET; the others are nothing of npm's.
	for _, method := range []string{"put", "Put", "PATCH", "MKCOL", "TRACE", "OPTIONS", "LINK"} {
		for _, path := range []string{"/plain", "/-/package/plain/dist-tags/latest", "/plain/-rev/1"} {
			assert.Equal(t, 404, ask(method, path, c.bypass, publish, nil).Code, "%s %s", method, path)
		}
	}
	c.host.reads = nil
	assert.Equal(t, 200, ask("HEAD", "/plain", "", nil, nil).Code)
	assert.Equal(t, 404, ask("HEAD", "/@acme%2fprivate", "", nil, nil).Code)
	assert.Equal(t, 404, ask("HEAD", "/plain/-rev/1", c.bypass, nil, nil).Code)
	assert.Equal(t, []string{"read-packument plain"}, c.host.reads)
	assert.Empty(t, c.host.written())
}

// PC-19, PC-20: a dist-tag has two paths, and both are judged as what they are.
func TestTagsByEitherPath(t *testing.T) {
	for _, path := range []string{"/-/package/@acme%2fwidget/dist-tags/latest", "/@acme%2fwidget/latest", "/@acme/widget/latest"} {
		c := newCast(t)
		tag := func(bearer, otp string) answer {
			return c.do(call{method: "PUT", path: path, bearer: bearer, otp: otp, body: `"1.0.0"`})
		}
		assert.Equal(t, 401, tag("", "").Code, path)
		assert.Equal(t, 403, tag(c.reader, "").Code, path)
		assert.Equal(t, 403, tag(c.ofPlain, "").Code, path)
		isChallenge(t, tag(c.session, ""))
		require.Empty(t, c.host.written(), path)
		assert.Equal(t, 200, tag(c.session, c.code("alice")).Code, path)
		assert.Equal(t, 200, tag(c.ofAcme, "").Code, path)
		write := `set-dist-tag @acme/widget latest {"Tags":{"latest":"1.0.0"},"Version":"1.0.0"}`
		assert.Equal(t, []string{write, write}, c.host.written(), path)
	}
}

// PC-23, PC-25: what is unpublished is the path's package, whatever the file's name,
// and a whole package is another matter than one version.
func TestUnpublishIsOfThePathsPackage(t *testing.T) {
	c := newCast(t)
	for path, write := range map[string]string{
		"/@acme/widget/-/widget-1.0.0.tgz/-rev/4-x": `unpublish @acme/widget 1.0.0 {"Tarballs":["1.0.0"]}`,
		"/@acme%2fwidget/-rev/5":                    `unpublish-all @acme/widget 5 {}`,
	} {
		remove := func(bearer, otp string) answer {
			return c.do(call{method: "DELETE", path: path, bearer: bearer, otp: otp})
		}
		c.host.writes = nil
		assert.Equal(t, 401, remove("", "").Code, path)
		assert.Equal(t, 403, remove(c.reader, "").Code, path)
		assert.Equal(t, 403, remove(c.ofPlain, "").Code, path)
		isChallenge(t, remove(c.session, ""))
		require.Empty(t, c.host.written(), path)
		assert.Equal(t, 200, remove(c.ofAcme, "").Code, path)
		assert.Equal(t, []string{write}, c.host.written())

		id := c.host.packages[protocol.PackageName{Scope: "acme", Name: "widget"}].id
		require.NoError(t, c.auth.SetPackage(t.Context(), id, policy.Settings{Publish: protocol.FactorOnly}))
		assert.Equal(t, 403, remove(c.bypass, "").Code, "a token that bypasses is no factor where the package says so")
		require.NoError(t, c.auth.SetPackage(t.Context(), id, policy.Settings{Publish: protocol.FactorOrBypass}))
	}
}

// N-02: a package and a version are judged as two, and are never taken apart from a text
// in which they are joined.
func TestNamesAreNotJoined(t *testing.T) {
	c := newCast(t)
	c.host.add("rails-html", false, c.ids["alice"])
	c.host.add("rails-html-sanitizer", true, "somebody else")
	of, _ := c.token("alice", token.Spec{Bypass: true, Grants: []protocol.Grant{{
		Target: protocol.OnePackage, Package: protocol.PackageName{Name: "rails-html"}, Permission: protocol.ReadWrite,
	}}})
	publish := string(hosttest.PublishBody(protocol.PackageName{Name: "rails-html"}, "1.4.2"))
	for name, body := range map[string]string{
		"version":            strings.ReplaceAll(publish, "1.4.2", "sanitizer-1.4.2"),
		"attachment":         strings.ReplaceAll(publish, "rails-html-1.4.2.tgz", "rails-html-sanitizer-1.4.2.tgz"),
		"name of a version":  strings.Replace(publish, `"versions":{"1.4.2":{"`, `"versions":{"1.4.2":{"_id":"rails-html-sanitizer@1.4.2","`, 1),
		"key of the version": strings.Replace(publish, `"versions":{"1.4.2"`, `"versions":{"sanitizer-1.4.2"`, 1),
	} {
		require.NotEqual(t, publish, body, name)
		assert.Equal(t, 400, c.do(call{method: "PUT", path: "/rails-html", bearer: of, body: body}).Code, name)
	}
	for _, path := range []string{"/rails-html/-/rails-html-sanitizer-1.4.2.tgz", "/rails-html/-/rails-html-sanitizer-1.4.2.tgz/-rev/1", "/rails-html/-/sanitizer-1.4.2.tgz/-rev/1"} {
		assert.Equal(t, 400, c.do(call{method: "GET", path: path, bearer: of}).Code, path)
		assert.Equal(t, 400, c.do(call{method: "DELETE", path: path, bearer: of}).Code, path)
	}
	assert.Equal(t, 404, c.do(call{method: "GET", path: "/rails-html-sanitizer/-/rails-html-sanitizer-1.4.2.tgz", bearer: of}).Code)
	assert.Equal(t, 404, c.do(call{method: "DELETE", path: "/rails-html-sanitizer/-/rails-html-sanitizer-1.4.2.tgz/-rev/1", bearer: of}).Code)
	assert.Empty(t, c.host.written())
	assert.Equal(t, 200, c.do(call{method: "PUT", path: "/rails-html", bearer: of, body: publish}).Code)
}

// raw sends bytes over a connection and returns the answer's status, 0 if there is none.
func raw(t *testing.T, srv *httptest.Server, text string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer a.Body.Close()
	data, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a.StatusCode, string(data)
}

// PC-36: what HTTP lets stand in the place of a path is a path or refused, and names no
// package by its host.
func TestRequestTargets(t *testing.T) {
	c := newCast(t)
	srv := httptest.NewServer(c.handler)
	defer srv.Close()
	send := func(method, target, bearer, body string) int {
		status, _ := raw(t, srv, method+" "+target+" HTTP/1.1\r\nHost: npm.acme.test\r\nAuthorization: Bearer "+bearer+
			"\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
		return status
	}
	publish := string(body(t, "PUBLISH plain"))
	assert.Equal(t, 404, send("PUT", "*", c.bypass, publish), "nothing of npm's")
	assert.Equal(t, 404, send("DELETE", "*", c.bypass, ""))
	assert.Equal(t, 400, send("PUT", "plain", c.bypass, publish))
	assert.Equal(t, 404, send("PUT", "http:plain", c.bypass, publish))
	assert.Equal(t, 404, send("PUT", "http://plain", c.bypass, publish), "a host is no package")
	assert.GreaterOrEqual(t, send("CONNECT", "plain:443", c.bypass, ""), 400)
	assert.GreaterOrEqual(t, send("CONNECT", "/plain", c.bypass, ""), 400)
	assert.Equal(t, 403, send("PUT", "http://evil.test/@acme%2fwidget", c.ofPlain, string(body(t, "PUBLISH @acme/widget"))))
	assert.Equal(t, 400, send("PUT", "http://plain/../plain", c.bypass, publish))
	require.Empty(t, c.host.written())
	assert.Equal(t, 200, send("PUT", "http://evil.test/plain", c.ofPlain, publish), "a server takes the absolute form: RFC 9112, section 3.2.2")
	assert.Equal(t, []string{"publish plain@2.0.0"}, c.host.written())
	assert.Equal(t, 200, send("OPTIONS", "*", "", ""), "net/http answers it")
	assert.Len(t, c.host.written(), 1)
}
