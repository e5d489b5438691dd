package trust_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/trust"
)

func TestKindText(t *testing.T) {
	for k := trust.KindUnknown; k <= trust.KindCustom; k++ {
		text, err := k.MarshalText()
		require.NoError(t, err)
		got := trust.KindCustom
		require.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, k, got)
	}
	_, err := trust.Kind(9).MarshalText()
	assert.Error(t, err)
	k := trust.KindGitHub
	assert.Error(t, k.UnmarshalText([]byte("GitHub")))
	assert.Equal(t, trust.KindUnknown, k)
}
