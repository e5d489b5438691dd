package policy_test

import (
	"encoding"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

// texts checks an enumeration of uint8: its words, that they read back, and that
// nothing else does.
func texts[T interface {
	~uint8
	fmt.Stringer
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, strictest T, words ...string) {
	t.Run(fmt.Sprintf("%T", strictest), func(t *testing.T) {
		for i, w := range words {
			assert.Equal(t, w, T(i).String())
			text, err := T(i).MarshalText()
			require.NoError(t, err)
			assert.Equal(t, w, string(text))
			var v T
			require.NoError(t, P(&v).UnmarshalText(text))
			assert.Equal(t, T(i), v)
		}
		_, err := T(len(words)).MarshalText()
		assert.Error(t, err)
		assert.NotPanics(t, func() { _ = T(255).String() })
		for _, bad := range []string{"", " ", words[1] + " ", " " + words[1], strings.ToUpper(words[1]), words[0] + words[1], "0", "1"} {
			v := T(1)
			assert.Error(t, P(&v).UnmarshalText([]byte(bad)), "%q", bad)
			assert.Equal(t, strictest, v, "%q", bad)
		}
	})
}

func TestWords(t *testing.T) {
	texts(t, policy.NoAccess, "no-access", "read-only", "read-write", "read-write-stage-only")
	texts(t, policy.NoTarget, "none", "all", "package", "scope", "org")
	texts(t, policy.KindUnknown, "unknown", "session", "token", "publisher", "foreign")
	texts(t, policy.TwoFactorUnknown, "unknown", "off", "auth-only", "auth-and-writes")
	texts(t, policy.FactorOnly, "automation", "publish", "none")
	texts(t, policy.NoRole, "none", "member", "admin", "owner")
	texts(t, policy.NoProof, "none", "totp", "recovery", "web")
	texts(t, policy.Forbid, "silent", "permit", "need-proof", "forbid")
	texts(t, policy.Deny, "deny", "challenge", "allow")
	texts(t, policy.ClassNone, "none", "login", "publish", "tag", "deprecate", "unpublish", "owners", "access", "team",
		"token-create", "token-revoke", "two-factor", "profile", "trust", "stage")
}

func TestActionText(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for _, a := range policy.Actions() {
		text, err := a.MarshalText()
		require.NoError(t, err)
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, string(text))
		assert.Equal(t, a.String(), string(text))
		assert.False(t, seen[a.String()], "%v twice", a)
		seen[a.String()] = true
		var b policy.Action
		require.NoError(t, b.UnmarshalText(text))
		assert.Equal(t, a, b)
	}
	past := policy.Actions()[len(policy.Actions())-1] + 1
	assert.Equal(t, "unknown", past.String())
	_, err := past.MarshalText()
	require.Error(t, err)
	a := policy.Publish
	require.Error(t, a.UnmarshalText([]byte("PUBLISH")))
	assert.Equal(t, policy.Unknown, a)
}

func TestActionKinds(t *testing.T) {
	past := policy.Action(255)
	assert.True(t, policy.Unknown.Write(), "what nobody knows is a write")
	assert.True(t, past.Write())
	assert.False(t, past.OfPackage())
	assert.Equal(t, policy.ClassNone, past.Class())
	assert.Equal(t, policy.ClassNone, policy.Unknown.Class())
	assert.Equal(t, policy.ClassNone, policy.WritePackument.Class(), "nothing is shared before the body is known")
	assert.Equal(t, policy.Unpublish.Class(), policy.UnpublishAll.Class(), "npm's unpublish is two requests")
	assert.Equal(t, policy.SetDistTag.Class(), policy.RemoveDistTag.Class())
	assert.NotEqual(t, policy.Publish.Class(), policy.WriteOwners.Class())

	classes := map[policy.Class]bool{}
	for _, a := range policy.Actions() {
		name := a.String()
		reads := strings.HasPrefix(name, "read-") || strings.HasPrefix(name, "list-") ||
			a == policy.Ping || a == policy.Search || a == policy.Audit || a == policy.Whoami || a == policy.AuthPage
		assert.Equal(t, !reads, a.Write(), name)
		classes[a.Class()] = true
		if a.Class() != policy.ClassNone && a != policy.ReadTrust {
			assert.True(t, a.Write(), "%s has a class and changes nothing", name)
		}
	}
	assert.Len(t, classes, 15, "every class is of some action")
	assert.True(t, policy.Publish.OfPackage())
	assert.True(t, policy.ExchangeToken.OfPackage())
	assert.False(t, policy.RejectStaged.OfPackage())
	for _, a := range policy.Actions() {
		name := a.String()
		assert.Equal(t, strings.Contains(name, "team") || strings.Contains(name, "org"), a.OfOrg(), name)
		assert.False(t, a.OfOrg() && a.OfPackage(), name)
		if a.OfOrg() && a.Write() {
			assert.Equal(t, policy.ClassTeam, a.Class(), name)
		}
	}
	assert.False(t, past.OfOrg())
}

func TestRightsText(t *testing.T) {
	for r := range policy.Rights(8) {
		text, err := r.MarshalText()
		require.NoError(t, err)
		var got policy.Rights
		require.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, r, got)
	}
	assert.Equal(t, "none", policy.Rights(0).String())
	assert.Equal(t, "read+write", (policy.RightRead | policy.RightWrite).String())
	_, err := policy.Rights(8).MarshalText()
	require.Error(t, err)
	assert.Equal(t, "Rights(8)", policy.Rights(8).String())
	for _, bad := range []string{"", "all", "read+", "read+read", "Read", "read,write", "none+read"} {
		r := policy.RightAdmin
		require.Error(t, r.UnmarshalText([]byte(bad)), bad)
		assert.Zero(t, r, bad)
	}
	assert.True(t, (policy.RightRead | policy.RightWrite).Has(policy.RightRead))
	assert.False(t, policy.RightRead.Has(policy.RightRead|policy.RightWrite))
	assert.False(t, policy.RightRead.Has(0))
}
