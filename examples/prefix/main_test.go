package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// The registry keeps the host's side of the contract, below its path.
func TestHost(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	hosttest.Run(t, func(*testing.T) hosttest.Registry {
		g := newRegistry("http://registry.example/npm/")
		return hosttest.Registry{
			Handler: g, BaseURL: g.base, Packages: g, Users: users{map[string]string{"ada": people["ada"], "bob": people["ada"]}, hasher},
			Creators: [2]protocol.UserID{"ada", "bob"},
			Without: []protocol.Action{
				protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll,
				protocol.WriteOwners, protocol.Star, protocol.Search, protocol.ListPackages,
			},
			Remove: func(_ context.Context, name protocol.PackageName) error {
				g.mu.Lock()
				defer g.mu.Unlock()
				delete(g.packages, name)
				return nil
			},
		}
	})
}
