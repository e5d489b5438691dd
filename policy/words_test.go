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
	texts(t, policy.KindUnknown, "unknown", "session", "token", "publisher", "foreign")
	texts(t, policy.NoProof, "none", "totp", "recovery", "web")
	texts(t, policy.Forbid, "silent", "permit", "need-proof", "forbid")
	texts(t, policy.Deny, "deny", "challenge", "allow")
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
