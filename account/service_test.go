package account_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

func TestServiceAccount(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	joe, err := d.Create(ctx, operator, account.NewUser{Name: "joe", Password: secret(good)})
	require.NoError(t, err)
	admins := []protocol.UserID{jane.ID}
	ci, err := d.Create(ctx, operator, account.NewUser{Name: "ci", Service: true, Administrators: admins})
	require.NoError(t, err)
	admins[0] = joe.ID
	assert.True(t, ci.Service)
	assert.False(t, jane.Service)
	got, err := d.ByID(ctx, ci.ID)
	require.NoError(t, err)
	assert.Equal(t, ci, got)
	assert.Equal(t, []protocol.UserID{jane.ID}, got.Administrators)

	administers := func(admin protocol.UserID, name string) bool {
		_, yes, err := d.Administers(ctx, admin, name)
		require.NoError(t, err)
		return yes
	}
	user, yes, err := d.Administers(ctx, jane.ID, "ci")
	require.NoError(t, err)
	assert.True(t, yes)
	assert.Equal(t, host.User{ID: ci.ID, Name: ci.Name, Created: ci.Created, Service: true}, user)
	assert.False(t, administers(joe.ID, "ci"))
	assert.False(t, administers("", "ci"))
	assert.False(t, administers(ci.ID, "ci"))
	for _, name := range []string{"joe", "nobody", "", "ci:x"} {
		_, yes, err := d.Administers(ctx, jane.ID, name)
		assert.ErrorIs(t, err, account.ErrNoUser, name)
		assert.False(t, yes)
	}

	_, err = d.SetAdministrators(ctx, operator, ci.ID, []protocol.UserID{joe.ID})
	require.NoError(t, err)
	assert.True(t, administers(joe.ID, "ci"))
	assert.False(t, administers(jane.ID, "ci"))
	_, err = d.ReplaceProfile(ctx, operator, ci.ID, account.Profile{FullName: "CI"})
	require.NoError(t, err)
	assert.True(t, administers(joe.ID, "ci"), "another change keeps them")
	_, err = d.SetAdministrators(ctx, operator, ci.ID, nil)
	require.NoError(t, err)
	assert.False(t, administers(joe.ID, "ci"))
}

func TestServiceAccountRefuses(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	ci, err := d.Create(ctx, operator, account.NewUser{Name: "ci", Service: true})
	require.NoError(t, err)

	for name, nu := range map[string]account.NewUser{
		"with a password":                {Name: "x", Service: true, Password: secret(good)},
		"with a hash":                    {Name: "x", Service: true, Hash: "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
		"with any password":              {Name: "x", Service: true, AnyPassword: true},
		"a person with administrators":   {Name: "x", Password: secret(good), Administrators: []protocol.UserID{jane.ID}},
		"a person with no administrator": {Name: "x", Password: secret(good), Administrators: []protocol.UserID{}},
	} {
		_, err := d.Create(ctx, operator, nu)
		assert.ErrorIs(t, err, account.ErrService, name)
	}
	many := make([]protocol.UserID, account.MaxAdministrators+1)
	for name, admins := range map[string][]protocol.UserID{
		"twice": {jane.ID, jane.ID}, "nobody": {"nobody"}, "no ID": {""}, "a service account": {ci.ID}, "too many": many,
	} {
		_, err := d.Create(ctx, operator, account.NewUser{Name: "x", Service: true, Administrators: admins})
		assert.ErrorIs(t, err, account.ErrAdministrators, name)
		_, err = d.SetAdministrators(ctx, operator, ci.ID, admins)
		assert.ErrorIs(t, err, account.ErrAdministrators, name)
	}
	_, err = d.SetAdministrators(ctx, operator, jane.ID, nil)
	assert.ErrorIs(t, err, account.ErrService)
	_, err = d.SetAdministrators(ctx, operator, "nobody", nil)
	assert.ErrorIs(t, err, account.ErrNoUser)
	_, err = d.Create(ctx, operator, account.NewUser{Name: "ci", Password: secret(good)})
	assert.ErrorIs(t, err, account.ErrNameTaken)

	// A service account has no password, and can get none.
	for _, pw := range []string{"", good} {
		right, err := d.CheckPassword(ctx, ci.ID, secret(pw))
		require.NoError(t, err)
		assert.False(t, right)
	}
	assert.ErrorIs(t, d.ResetPassword(ctx, operator, ci.ID, secret(good)), account.ErrService)
	assert.ErrorIs(t, d.SetPassword(ctx, operator, ci.ID, secret(""), secret(good)), account.ErrWrongPassword)
	right, err := d.CheckPassword(ctx, ci.ID, secret(good))
	require.NoError(t, err)
	assert.False(t, right)

	// A program that does not know service accounts does not take one for a person.
	items, err := st.List(ctx, "user/", "", 10)
	require.NoError(t, err)
	for _, it := range items {
		if it.Key == "user/"+string(jane.ID) {
			assert.NotContains(t, string(it.Value), "service")
		} else {
			assert.Contains(t, string(it.Value), `"service":true`)
		}
	}
}

// A name that the host uses is taken, and a created account is recorded.
func TestTakenNamesAndEvents(t *testing.T) {
	var events []audit.Event
	broken := errors.New("down")
	d := newDirectory(t, account.DirectoryConfig{
		Store: store.NewMemory(),
		Taken: func(_ context.Context, name string) (bool, error) {
			if name == "unknown" {
				return false, broken
			}
			return name == "acme", nil
		},
		Events: audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) { events = append(events, e) })}),
	})
	create := func(name string, service bool) (account.User, error) {
		nu := account.NewUser{Name: name, Service: service}
		if !service {
			nu.Password = secret(good)
		}
		return d.Create(t.Context(), operator, nu)
	}
	_, err := create("acme", false)
	assert.ErrorIs(t, err, account.ErrNameTaken)
	_, err = create("acme", true)
	assert.ErrorIs(t, err, account.ErrNameTaken)
	_, err = create("unknown", false)
	assert.ErrorIs(t, err, broken)
	assert.Empty(t, events)

	alice, err := create("alice", false)
	require.NoError(t, err)
	ci, err := create("ci", true)
	require.NoError(t, err)
	_, err = d.SetAdministrators(t.Context(), operator, ci.ID, []protocol.UserID{alice.ID})
	require.NoError(t, err)
	_, err = d.SetAdministrators(t.Context(), operator, alice.ID, nil)
	assert.Error(t, err)
	var told []string
	for _, e := range events {
		told = append(told, fmt.Sprint(e.Type, " ", e.User == ci.ID, " ", e.Detail))
	}
	assert.Equal(t, []string{"account.created false map[]", "account.created true map[service:true]", "account.administrators true map[administrators:1]"}, told)
}
