package npmauth

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// noPackages is a host without packages.
type noPackages struct{}

func (noPackages) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{}, nil
}

// However many users have tokens, what is remembered of them has a bound.
func TestReachIsBounded(t *testing.T) {
	a, err := New(Config{BaseURL: "https://registry.example/", Store: store.NewMemory(), Packages: noPackages{}})
	require.NoError(t, err)
	r := a.newReach(protocol.PackageName{Name: "widget"}, policy.RightWrite)
	for i := range 3 * maxReached {
		_, err := r.user(t.Context(), protocol.UserID(fmt.Sprint("u", i)))
		require.NoError(t, err)
		require.LessOrEqual(t, len(r.users), maxReached)
	}
	assert.NotEmpty(t, r.users)
}
