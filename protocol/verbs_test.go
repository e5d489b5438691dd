package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

func TestVerbsText(t *testing.T) {
	for v := range protocol.Verbs(1 << 6) {
		text, err := v.MarshalText()
		require.NoError(t, err)
		got := protocol.VerbCreate
		require.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, v, got, "%s", text)
	}
	assert.Equal(t, "all", protocol.Verbs(0).String())
	assert.Equal(t, "publish+stage+dist-tag+deprecate+unpublish+create", protocol.Verbs(1<<6-1).String())
	_, err := protocol.Verbs(1 << 6).MarshalText()
	require.Error(t, err)
	assert.Equal(t, "Verbs(64)", protocol.Verbs(1<<6).String())
	for _, bad := range []string{"", "none", "publish+", "+publish", "publish+publish", "Publish", "publish,stage", "all+publish", "publish+all", "write"} {
		v := protocol.VerbCreate
		require.Error(t, v.UnmarshalText([]byte(bad)), bad)
		assert.Zero(t, v, bad)
	}
}
