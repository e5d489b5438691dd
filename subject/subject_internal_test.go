package subject

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// An unknown mode must not pass for none, nor a stored word for another.
func TestModeWords(t *testing.T) {
	for mode := range protocol.TwoFactorMode(10) {
		text, err := formatMode(mode)
		if mode == protocol.TwoFactorUnknown || mode > protocol.AuthAndWrites {
			assert.Error(t, err)
			continue
		}
		require.NoError(t, err)
		back, err := parseMode(text)
		require.NoError(t, err)
		assert.Equal(t, mode, back)
	}
	for _, bad := range []string{"off", "disable", "AUTH-ONLY", " ", "auth_only"} {
		mode, err := parseMode(bad)
		assert.Error(t, err)
		assert.Equal(t, protocol.TwoFactorUnknown, mode)
	}
}
