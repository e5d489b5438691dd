package npmauth_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

func TestSelf(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	w.host.add("@bob/hidden", true, "bob")
	self := func(bearer, query string) answer {
		return w.do(call{method: "GET", path: "/-/auth/v1/self" + query, bearer: bearer})
	}
	s := w.login("alice")
	a := self(s, "")
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "alice", a.text("username"))
	assert.Equal(t, "auth-and-writes", a.text("two_factor"))
	assert.NotContains(t, a.json, "package")
	cred := a.json["credential"].(map[string]any)
	assert.Equal(t, "session", cred["kind"])
	assert.Equal(t, w.sessionID(s), cred["id"])
	assert.Nil(t, cred["grants"], "all that its user may")
	assert.Equal(t, w.clock.Now().Add(2*time.Hour).Format(time.RFC3339), cred["expires"])
	assert.NotContains(t, a.Body.String(), s)

	ci, tok := w.token("alice", token.Spec{
		Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}},
		Bypass: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	a = self(ci, "?package=plain")
	require.Equal(t, 200, a.Code, a.Body.String())
	cred = a.json["credential"].(map[string]any)
	assert.Equal(t, tok.ID, cred["id"])
	assert.Equal(t, true, cred["bypass_2fa"])
	assert.Equal(t, []any{"192.0.2.0/24"}, cred["cidr"])
	assert.Len(t, cred["grants"], 1)
	assert.Equal(t, "allow", verdictOf(a, "publish").Effect)
	assert.Empty(t, verdictOf(a, "publish").Reasons)
	require.Equal(t, 200, w.publish("plain", "1.0.0", ci, "").Code, "it is as it says")

	a = self(s, "?package=plain")
	assert.Equal(t, "challenge", verdictOf(a, "publish").Effect)
	assert.NotEmpty(t, verdictOf(a, "publish").Reasons[0].Sentence)
	assert.Equal(t, "allow", verdictOf(a, "read-packument").Effect)
	isChallenge(t, w.publish("plain", "1.0.1", s, ""))

	hidden, absent := self(s, "?package=@bob/hidden"), self(s, "?package=@bob/absent")
	assert.Equal(t, verdictOf(absent, "read-packument"), verdictOf(hidden, "read-packument"), "EN-01: what may not be seen is as what is not there")
	assert.Equal(t, "deny", verdictOf(hidden, "publish").Effect)

	assert.Equal(t, http.StatusUnauthorized, self("", "").Code)
	assert.Equal(t, http.StatusUnauthorized, self("npm_garbage", "").Code)
	for _, query := range []string{"?package=", "?package=a/b", "?package=@x", "?package=a%20b", "?package=../x"} {
		assert.Equal(t, http.StatusBadRequest, self(s, query).Code, query)
	}
	assert.Equal(t, http.StatusUnauthorized, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: ci, addr: "198.51.100.7:1"}).Code, "a token speaks for nobody from elsewhere")
}

type verdict struct {
	Effect  string
	Reasons []struct{ Code, Sentence, Remedy string }
}

func verdictOf(a answer, action string) verdict {
	var body struct {
		Package struct{ Actions map[string]verdict }
	}
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil {
		panic(err) // then the test has failed already
	}
	return body.Package.Actions[action]
}
