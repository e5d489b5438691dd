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
	texts(t, policy.NoProof, "none", "totp", "recovery", "web", "key")
	texts(t, policy.Forbid, "silent", "permit", "need-proof", "forbid")
	texts(t, policy.Deny, "deny", "challenge", "allow")
}

// sets checks a set of flags in a uint8, of which all is full and some has a text: every set reads back, and nothing else
// does.
func sets[T interface {
	~uint8
	fmt.Stringer
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, all, some T, text string, bad ...string) {
	t.Helper()
	for e := range all + 1 {
		text, err := e.MarshalText()
		require.NoError(t, err)
		var got T
		require.NoError(t, P(&got).UnmarshalText(text))
		assert.Equal(t, e, got)
	}
	assert.Equal(t, "none", T(0).String())
	assert.Equal(t, text, some.String())
	_, err := (all + 1).MarshalText()
	require.Error(t, err)
	name := fmt.Sprintf("%T", all)
	assert.Equal(t, fmt.Sprintf("%s(%d)", name[strings.Index(name, ".")+1:], uint8(all+1)), (all + 1).String())
	for _, bad := range append(bad, "", "all", "none+"+all.String()) {
		got := all
		require.Error(t, P(&got).UnmarshalText([]byte(bad)), bad)
		assert.Zero(t, got, bad)
	}
}

func TestRightsText(t *testing.T) {
	sets(t, policy.RightRead|policy.RightWrite|policy.RightAdmin, policy.RightRead|policy.RightWrite, "read+write", "read+", "read+read", "Read", "read,write", "none+read")
	assert.True(t, (policy.RightRead | policy.RightWrite).Has(policy.RightRead))
	assert.False(t, policy.RightRead.Has(policy.RightRead|policy.RightWrite))
	assert.False(t, policy.RightRead.Has(0))
}
