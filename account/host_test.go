package account_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// Only people sign in, and an outage is no wrong password.
func TestSignIn(t *testing.T) {
	ctx := t.Context()
	st := storetest.NewFaulty(store.NewMemory())
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	ci, err := d.Create(ctx, operator, account.NewUser{Name: "ci", Service: true, Administrators: []protocol.UserID{jane.ID}})
	require.NoError(t, err)

	user, err := d.SignIn(ctx, "jane")
	require.NoError(t, err)
	assert.Equal(t, subject.User{ID: jane.ID, Name: "jane"}, user)
	assert.NoError(t, d.Alive(ctx, jane.ID))
	for _, name := range []string{"", "ci", "nobody", "Jane", "jane\x00"} {
		user, err := d.SignIn(ctx, name)
		assert.ErrorIs(t, err, subject.ErrDenied, "%q", name)
		assert.Zero(t, user, "%q", name)
	}
	for _, id := range []protocol.UserID{"", ci.ID, "nobody"} {
		assert.ErrorIs(t, d.Alive(ctx, id), subject.ErrDenied, "%q", id)
	}

	away := errors.New("away")
	st.Inject(storetest.Fault{Times: storetest.Always, Err: away})
	_, err = d.SignIn(ctx, "jane")
	assert.ErrorIs(t, err, away)
	assert.NotErrorIs(t, err, subject.ErrDenied)
	assert.ErrorIs(t, d.Alive(ctx, jane.ID), away)
}
