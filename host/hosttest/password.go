package hosttest

import (
	"net/http"
	"net/netip"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
)

// passwordChanged changes a password during a session that was opened with it, and during a
// login that was approved with it.
func passwordChanged(t tb, x *rig) {
	ctx, sessions := t.Context(), x.auth.Sessions()
	client := session.Client{Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "npm"}
	signIn := func(password string) session.SignIn {
		return session.SignIn{Name: x.names[first], Password: credential.NewSecret(password), Client: client, Via: "test"}
	}
	change := func(password string) {
		require.NoError(t, x.ChangePassword(ctx, x.auth, x.Creators[first], credential.NewSecret(password)))
	}
	const old, other = "correct horse battery", "staple of another kind"
	change(old)
	secret, _, err := sessions.SignIn(ctx, signIn(old))
	require.NoError(t, err, "a login with the password that was just chosen")
	x.tokens[first] = secret.Reveal()
	whoami := func() int { return x.send(ctx, first, http.MethodGet, "/-/whoami").Code }
	require.Equal(t, http.StatusOK, whoami())
	flow, err := sessions.Start(ctx, client)
	require.NoError(t, err)
	require.NoError(t, sessions.Approve(ctx, flow.PageID, signIn(old)))

	change(other)
	assert.Equal(t, http.StatusUnauthorized, whoami(), "a session that was opened with the old password: call Auth.PasswordChanged after the change")
	poll, err := sessions.Collect(ctx, flow.PollID.Reveal(), client)
	assert.True(t, err != nil || poll.State != session.Done, "a login that was approved with the old password: call Auth.PasswordChanged after the change")
	_, _, err = sessions.SignIn(ctx, signIn(old))
	assert.ErrorIs(t, err, session.ErrDenied, "a login with the old password")
	_, _, err = sessions.SignIn(ctx, signIn(other))
	assert.NoError(t, err, "a login with the new password")
}
