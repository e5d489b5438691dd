package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// The registry keeps the host's side of the contract.
func TestHost(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	hosttest.Run(t, func(t *testing.T) hosttest.Registry {
		r := newRegistry(t)
		r.people.directory, err = account.NewDirectory(account.DirectoryConfig{Store: store.NewMemory(), Hasher: hasher})
		require.NoError(t, err)
		var ids [2]protocol.UserID
		for i, name := range []string{"ada", "bob"} {
			user, err := r.people.directory.Create(t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret("pw"), AnyPassword: true})
			require.NoError(t, err)
			ids[i] = user.ID
		}
		require.NoError(t, r.db.putOrg(t.Context(), "acme", ids[0], false))
		known := facts{db: r.db, people: r.people, tarballs: r.tarballs, evidence: true}
		return hosttest.Registry{
			// A name that is free again is for another in these tests, and not here.
			Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				r.ServeHTTP(w, req)
				_, err := r.db.db.Exec(`DELETE FROM former`)
				assert.NoError(t, err)
			}),
			Packages: known, Documents: known, Orgs: known, Users: r.people.directory, Creators: ids,
			ChangePassword: func(ctx context.Context, auth *npmauth.Auth, id protocol.UserID, pw credential.Secret) error {
				if err := r.people.directory.ResetPassword(ctx, audit.Actor{}, id, pw); err != nil {
					return err
				}
				return auth.PasswordChanged(ctx, id)
			},
			Private: protocol.PackageName{Scope: "acme", Name: "npmauth-host-test"},
			Staging: true, Evidence: true,
		}
	})
}
