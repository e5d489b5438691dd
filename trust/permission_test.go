package trust_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
)

func TestPermissions(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  trust.Permissions
		verbs protocol.Verbs
	}{
		{[]string{"createPackage"}, trust.CreatePackage, protocol.VerbPublish | protocol.VerbStage},
		{[]string{"createStagedPackage"}, trust.CreateStagedPackage, protocol.VerbStage},
		{[]string{"setDistTag"}, trust.SetDistTag, protocol.VerbDistTag},
		{[]string{"deprecate"}, trust.Deprecate, protocol.VerbDeprecate},
		{[]string{"createPackage", "createStagedPackage"}, trust.CreatePackage | trust.CreateStagedPackage, protocol.VerbPublish | protocol.VerbStage},
		{[]string{"createStagedPackage", "setDistTag"}, trust.CreateStagedPackage | trust.SetDistTag, protocol.VerbStage | protocol.VerbDistTag},
		{[]string{"setDistTag", "deprecate"}, trust.SetDistTag | trust.Deprecate, protocol.VerbDistTag | protocol.VerbDeprecate},
	} {
		got, err := trust.ParsePermissions(tt.words)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
		assert.Equal(t, tt.words, got.Words())
		verbs, err := got.Verbs()
		require.NoError(t, err)
		assert.Equal(t, tt.verbs, verbs)
		assert.NotZero(t, verbs, "no verbs are all")
	}
	got, err := trust.ParsePermissions([]string{"deprecate", "setDistTag", "createPackage"})
	require.NoError(t, err)
	assert.Equal(t, []string{"createPackage", "setDistTag", "deprecate"}, got.Words())

	const npms = "permissions is required and must contain at least one valid route"
	for _, words := range [][]string{nil, {}, {""}, {"publish"}, {"createpackage"}, {"createPackage "}, {"Deprecate"}, {"createPackage", "deletePackage"}} {
		got, err := trust.ParsePermissions(words)
		assert.EqualError(t, err, npms, "%q", words)
		assert.Zero(t, got)
	}
	_, err = trust.ParsePermissions([]string{"createPackage", "createPackage"})
	assert.EqualError(t, err, "permissions has a word twice.")
}

// Bits that are no permission must not become all verbs, nor none.
func TestPermissionsWithoutMeaning(t *testing.T) {
	for _, p := range []trust.Permissions{0, 16, 17, 255} {
		verbs, err := p.Verbs()
		assert.Error(t, err)
		assert.Zero(t, verbs)
		q := named(t, "oidc")
		q.publisher.Permissions = p
		assert.EqualError(t, q.publisher.Validate(), "permissions is required and must contain at least one valid route")
		assert.NotEmpty(t, q.match(t))
	}
}
