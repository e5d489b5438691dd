package protocol_test

import (
	"encoding"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// texts checks an enumeration of uint8: its words, that they decode, and that nothing else
// does.
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
	texts(t, protocol.NoAccess, "no-access", "read-only", "read-write", "read-write-stage-only")
	texts(t, protocol.NoTarget, "none", "all", "package", "scope", "org")
	texts(t, protocol.TwoFactorUnknown, "unknown", "off", "auth-only", "auth-and-writes")
	texts(t, protocol.FactorOnly, "automation", "publish", "none")
	texts(t, protocol.NoRole, "none", "member", "admin", "owner")
}

func TestActionText(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for _, a := range protocol.Actions() {
		text, err := a.MarshalText()
		require.NoError(t, err)
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, string(text))
		assert.Equal(t, a.String(), string(text))
		assert.False(t, seen[a.String()], "%v twice", a)
		seen[a.String()] = true
		var b protocol.Action
		require.NoError(t, b.UnmarshalText(text))
		assert.Equal(t, a, b)
	}
	past := protocol.Actions()[len(protocol.Actions())-1] + 1
	assert.Equal(t, "unknown", past.String())
	_, err := past.MarshalText()
	require.Error(t, err)
	a := protocol.Publish
	require.Error(t, a.UnmarshalText([]byte("PUBLISH")))
	assert.Equal(t, protocol.Unknown, a)
}

func TestActionKinds(t *testing.T) {
	past := protocol.Action(255)
	assert.True(t, protocol.Unknown.Write(), "what nobody knows is a write")
	assert.True(t, past.Write())
	assert.False(t, past.OfPackage())
	assert.False(t, past.Repeats() || past.AcrossPackages() || protocol.Unknown.Repeats() || protocol.Unknown.AcrossPackages())
	for _, a := range protocol.Actions() {
		name := a.String()
		reads := strings.HasPrefix(name, "read-") || strings.HasPrefix(name, "list-") ||
			a == protocol.Ping || a == protocol.Search || a == protocol.Audit || a == protocol.Whoami || a == protocol.AuthPage || a == protocol.CheckTrust
		assert.Equal(t, !reads, a.Write(), name)
		// AU-11: a code may be reused across packages for these actions and no others.
		across := a == protocol.Publish || a == protocol.SetDistTag || a == protocol.RemoveDistTag
		assert.Equal(t, across, a.AcrossPackages(), name)
		account := a == protocol.CreateToken || a == protocol.ManageService || a == protocol.SetTwoFactor || a == protocol.AddFactor || a == protocol.RemoveFactor || a == protocol.WriteProfile || a == protocol.SetPassword
		assert.Equal(t, !account, a.Repeats(), name)
	}
	assert.True(t, protocol.Publish.OfPackage())
	assert.True(t, protocol.ExchangeToken.OfPackage())
	assert.False(t, protocol.RejectStaged.OfPackage())
	for _, a := range protocol.Actions() {
		name := a.String()
		assert.Equal(t, strings.Contains(name, "team") || strings.Contains(name, "org"), a.OfOrg(), name)
		assert.False(t, a.OfOrg() && a.OfPackage(), name)
	}
	assert.False(t, past.OfOrg())
}
