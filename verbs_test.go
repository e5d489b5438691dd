package npmauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A token may be narrowed to some of what read-write means, and stays so.
func TestTokenVerbs(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	fields := map[string]any{
		"packages_all": true, "packages_and_scopes_permission": "read-write", "bypass_2fa": true, "verbs": []string{"dist-tag", "deprecate"},
	}
	a := w.create(s, w.code("alice"), fields)
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, []any{"dist-tag", "deprecate"}, a.json["verbs"])
	secret, key := a.text("token"), a.text("key")
	assert.Equal(t, 403, w.publish("plain", "1.0.0", secret, "").Code)
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: secret, body: `"1.0.0"`}).Code)

	self := func(bearer string) answer {
		return w.do(call{method: "GET", path: "/-/auth/v1/self?package=plain", bearer: bearer})
	}
	said := self(secret)
	for action, effect := range map[string]string{
		"publish": "deny", "set-dist-tag": "allow", "remove-dist-tag": "allow", "deprecate": "allow",
		"unpublish": "deny", "unpublish-all": "deny", "write-owners": "deny", "set-access": "deny",
		"read-packument": "allow", "read-access": "allow", "read-visibility": "allow", "read-collaborators": "allow",
	} {
		v := verdictOf(said, action)
		assert.Equal(t, effect, v.Effect, action)
		assert.Equal(t, effect == "deny", len(v.Reasons) > 0, action)
	}
	grants := said.json["credential"].(map[string]any)["grants"].([]any)
	assert.Equal(t, "dist-tag+deprecate", grants[0].(map[string]any)["verbs"])

	next := w.do(call{
		method: "POST", path: "/-/auth/v1/tokens/" + key + "/rotate", bearer: s, otp: w.code("alice"),
		body: `{"password":"` + password + `"}`,
	})
	require.Equal(t, 201, next.Code, next.Body.String())
	assert.Equal(t, []any{"dist-tag", "deprecate"}, next.json["verbs"])
	assert.Equal(t, 403, w.publish("plain", "1.0.0", next.text("token"), "").Code)

	list := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s})
	for _, o := range list.json["objects"].([]any) {
		assert.Equal(t, []any{"dist-tag", "deprecate"}, o.(map[string]any)["verbs"])
	}
}

func TestTokenVerbsInRequests(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	const write, read = "read-write", "read-only"
	for name, tt := range map[string]struct {
		fields   map[string]any
		sentence string // "": it is made
	}{
		"one":            {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"publish"}}, ""},
		"with a comma":   {map[string]any{"scopes": []string{"@acme"}, "packages_and_scopes_permission": write, "verbs": []string{"publish,create"}}, ""},
		"null":           {map[string]any{"packages_all": true, "packages_and_scopes_permission": read, "verbs": nil}, ""},
		"old spelling":   {map[string]any{"packages_all": true, "readonly": false, "verbs": []string{"publish"}}, ""},
		"none":           {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{}}, "each once"},
		"empty":          {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{""}}, "each once"},
		"all":            {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"all"}}, "each once"},
		"unknown":        {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"publish", "delete"}}, "each once"},
		"case":           {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"Publish"}}, "each once"},
		"twice":          {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"publish", "publish"}}, "each once"},
		"plus":           {map[string]any{"packages_all": true, "packages_and_scopes_permission": write, "verbs": []string{"publish+stage"}}, "each once"},
		"only reads":     {map[string]any{"packages_all": true, "packages_and_scopes_permission": read, "verbs": []string{"publish"}}, "verbs need"},
		"stages":         {map[string]any{"packages_all": true, "packages_and_scopes_permission": "read-write-stage-only", "verbs": []string{"stage"}}, "verbs need"},
		"says nothing":   {map[string]any{"packages_all": true, "verbs": []string{"publish"}}, "verbs need"},
		"orgs alone":     {map[string]any{"orgs": []string{"acme"}, "orgs_permission": write, "verbs": []string{"publish"}}, "verbs need"},
		"creates a name": {map[string]any{"packages": []string{"plain"}, "packages_and_scopes_permission": write, "verbs": []string{"create"}}, "create needs"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.create(s, w.code("alice"), tt.fields)
			if tt.sentence == "" {
				assert.Equal(t, 201, a.Code, a.Body.String())
				return
			}
			assert.Equal(t, 400, a.Code)
			assert.Contains(t, a.text("error"), tt.sentence)
		})
	}
}

// What a list says of a token's verbs is never less than the token may.
func TestShownVerbs(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	scope := func(name string, v protocol.Verbs) protocol.Grant {
		return protocol.Grant{Target: protocol.OneScope, Scope: name, Permission: protocol.ReadWrite, Verbs: v}
	}
	for name, tt := range map[string]struct {
		grants []protocol.Grant
		want   any
	}{
		"reads":           {grantAll(protocol.ReadOnly), nil},
		"all":             {grantAll(protocol.ReadWrite), nil},
		"one all":         {[]protocol.Grant{scope("a", protocol.VerbPublish), scope("b", 0)}, nil},
		"both":            {[]protocol.Grant{scope("a", protocol.VerbPublish), scope("b", protocol.VerbCreate)}, []any{"publish", "create"}},
		"and an org":      {[]protocol.Grant{scope("a", protocol.VerbStage), {Target: protocol.OneOrg, Scope: "a", Permission: protocol.ReadWrite}}, []any{"stage"}},
		"and one to read": {[]protocol.Grant{scope("a", protocol.VerbStage), {Target: protocol.OneScope, Scope: "b", Permission: protocol.ReadOnly}}, []any{"stage"}},
	} {
		_, tok := w.token("alice", token.Spec{Grants: tt.grants})
		list := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s})
		for _, o := range list.json["objects"].([]any) {
			if o := o.(map[string]any); o["key"] == tok.ID {
				assert.Contains(t, o, "verbs", name)
				assert.Equal(t, tt.want, o["verbs"], name)
			}
		}
	}
}
