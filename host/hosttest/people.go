package hosttest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
)

// passwordPrepared prepares two changes of one password, of which only the first is to be
// written, and one that starts from a wrong password.
func passwordPrepared(t tb, x *rig) {
	const old, one, two = "correct horse battery", "staple of another kind", "staple of a third kind"
	ctx, id := t.Context(), x.Creators[first]
	is := func(text string) bool {
		ok, err := x.Users.CheckPassword(ctx, id, credential.NewSecret(text))
		require.NoError(t, err)
		return ok
	}
	prepare := func(from, to string) (host.Write, error) {
		return passwordsOf(x.Registry).ChangePassword(ctx, id, credential.NewSecret(from), credential.NewSecret(to))
	}
	require.NoError(t, x.ChangePassword(ctx, x.auth, id, credential.NewSecret(old)))
	_, err := prepare("not "+old, one)
	assert.ErrorIs(t, err, host.ErrWrongPassword, "ChangePassword from a wrong password is host.ErrWrongPassword, and not %v", err)
	write, err := prepare(old, one)
	require.NoError(t, err)
	late, err := prepare(old, two)
	require.NoError(t, err)
	assert.True(t, is(old) && !is(one) && !is(two), "ChangePassword must change nothing: that is its Write's")
	require.NoError(t, write(ctx))
	assert.True(t, is(one) && !is(old), "a Write must change the password")
	err = late(ctx)
	assert.ErrorIs(t, err, host.ErrWrongPassword, "a Write onto another password than the one that was checked is host.ErrWrongPassword, and not %v", err)
	assert.True(t, is(one), "of two changes of one password one must happen")
}

// profilePrepared prepares a change of a profile, and writes it.
func profilePrepared(t tb, x *rig) {
	ctx, id, profiles := t.Context(), x.Creators[first], profilesOf(x.Registry)
	was, err := profiles.Profile(ctx, id)
	require.NoError(t, err)
	want := was
	want.Email, want.EmailVerified = "npmauth-host-test@registry.example", false
	write, err := profiles.SetProfile(ctx, id, was, want)
	require.NoError(t, err, "a Profiles changes at least the address")
	now, err := profiles.Profile(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, was, now, "SetProfile must change nothing: that is its Write's")
	require.NoError(t, write(ctx))
	now, err = profiles.Profile(ctx, id)
	require.NoError(t, err)
	now.Updated = want.Updated
	assert.Equal(t, want, now, "the profile after its Write: an address that is new is not verified")
	u, err := x.Users.User(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, want.Email, u.Email, "Users.User must know the address that Profiles does")
}

func passwordsOf(reg Registry) host.Passwords {
	p, _ := plain(reg.Users).(host.Passwords)
	return p
}

func profilesOf(reg Registry) host.Profiles {
	p, _ := plain(reg.Users).(host.Profiles)
	return p
}

// plain is users as the registry gave them.
func plain(users host.Users) host.Users {
	if w, ok := users.(watchedUsers); ok {
		return w.Users
	}
	return users
}
