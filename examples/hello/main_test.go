package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// It is short: that is the point of it.
func TestShort(t *testing.T) {
	text, err := os.ReadFile("main.go")
	require.NoError(t, err)
	assert.LessOrEqual(t, strings.Count(string(text), "\n"), 100)
}

func TestHello(t *testing.T) {
	g := &registry{base: "http://hello.example/", packages: map[protocol.PackageName]*pkg{}}
	auth, err := npmauth.New(npmauth.Config{BaseURL: g.base, Store: store.NewMemory(), Packages: g})
	require.NoError(t, err)
	bearers := map[string]string{"": ""}
	for _, name := range []string{"alice", "bob"} {
		user, err := auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret("correct horse battery")})
		require.NoError(t, err)
		secret, _, err := auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{
			User: user.ID, Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
		})
		require.NoError(t, err)
		bearers[name] = secret.Reveal()
	}
	handler := auth.Wrap(g)
	do := func(who, method, path, body string) (status int, answer string) {
		r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
		if who != "" {
			r.Header.Set("Authorization", "Bearer "+bearers[who])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	publish := func(who, version, more string) int {
		status, _ := do(who, "PUT", "/@acme%2fwidget", fmt.Sprintf(`{"name":"@acme/widget","dist-tags":{"latest":%[1]q},"versions":{%[1]q:{"name":"@acme/widget","version":%[1]q,"dist":{}}}%[2]s,`+
			`"_attachments":{"@acme/widget-%[1]s.tgz":{"content_type":"application/octet-stream","data":"AAEC","length":3}}}`, version, more))
		return status
	}

	status, _ := do("", "GET", "/@acme%2fwidget", "")
	assert.Equal(t, 404, status)
	assert.Equal(t, 401, publish("", "1.0.0", ""))
	assert.Equal(t, 403, publish("alice", "1.0.0", `,"access":"restricted"`))
	assert.Equal(t, 400, publish("alice", "1.0.0", `,"surprise":1`))
	assert.Equal(t, 200, publish("alice", "1.0.0", ""))
	assert.Equal(t, 403, publish("alice", "1.0.0", ""), "twice")
	assert.Equal(t, 403, publish("bob", "1.0.1", ""), "another's package")
	assert.Equal(t, 200, publish("alice", "1.0.1", ""))
	status, doc := do("", "GET", "/@acme%2fwidget", "")
	assert.Equal(t, 200, status)
	assert.JSONEq(t, `{"name":"@acme/widget","dist-tags":{"latest":"1.0.1"},"versions":{
		"1.0.0":{"name":"@acme/widget","version":"1.0.0","dist":{"tarball":"http://hello.example/@acme/widget/-/widget-1.0.0.tgz"}},
		"1.0.1":{"name":"@acme/widget","version":"1.0.1","dist":{"tarball":"http://hello.example/@acme/widget/-/widget-1.0.1.tgz"}}}}`, doc)
	status, tarball := do("bob", "GET", "/@acme/widget/-/widget-1.0.0.tgz", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "\x00\x01\x02", tarball)
	for _, path := range []string{"/@acme/widget/-/widget-1.0.2.tgz", "/@acme/widget/1.0.0", "/-/v1/search"} {
		status, _ = do("bob", "GET", path, "")
		assert.Equal(t, 404, status, path)
	}
}
