package session_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// TK-35: A login is approved with a session only while the session and its account are as they were
// when the session was checked, and from where its account may use one.
func TestApproveBySession(t *testing.T) {
	ranges := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for name, tt := range map[string]struct {
		change func(t *testing.T, d *fixture, s session.Session)
		want   error // nil: it does no harm
	}{
		"nothing": {func(*testing.T, *fixture, session.Session) {}, nil},
		"it is logged out": {func(t *testing.T, d *fixture, s session.Session) {
			_, err := d.Logout(t.Context(), operator, s.Digest)
			require.NoError(t, err)
		}, session.ErrNoSession},
		"it is ended": {func(t *testing.T, d *fixture, s session.Session) {
			require.NoError(t, d.End(t.Context(), operator, s.User, s.ID))
		}, session.ErrNoSession},
		"all are revoked, as by a new password": {func(t *testing.T, d *fixture, s session.Session) {
			require.NoError(t, d.subjects.EndSessions(t.Context(), operator, s.User))
		}, session.ErrNoSession},
		"the account is disabled": {func(t *testing.T, d *fixture, s session.Session) {
			require.NoError(t, d.subjects.Disable(t.Context(), operator, s.User))
		}, session.ErrNoSession},
		"the host disables the account": {func(_ *testing.T, d *fixture, s session.Session) {
			d.set(func() { d.gone[s.User] = true })
		}, session.ErrDenied},
		"the second factor is turned off": {func(t *testing.T, d *fixture, s session.Session) {
			setMode(t, d, s.User, protocol.TwoFactorOff)
		}, session.ErrFactorRequired},
		"the second factor is for less": {func(t *testing.T, d *fixture, s session.Session) {
			setMode(t, d, s.User, protocol.AuthOnly)
		}, nil},
		"its account may use none there": {func(t *testing.T, d *fixture, s session.Session) {
			require.NoError(t, d.subjects.SetCIDRs(t.Context(), operator, s.User, ranges))
		}, session.ErrNoSession},
	} {
		for when, hook := range map[string]func(d *fixture, fn func()){
			"before":        func(_ *fixture, fn func()) { fn() },
			"before commit": func(d *fixture, fn func()) { d.set(func() { d.inFactor = fn }) },
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				d := open(t)
				setMode(t, d, "u-jane", protocol.AuthAndWrites)
				secret, s, err := d.SignIn(t.Context(), jane("111111"))
				require.NoError(t, err)
				f := start(t, d)
				hook(d, func() { tt.change(t, d, s) })
				err = d.Approve(t.Context(), f.PageID, session.SignIn{Session: secret, OTP: credential.NewSecret("111112"), Client: browser})
				r, gone := d.Page(t.Context(), f.PageID)
				require.NoError(t, gone)
				if tt.want == nil {
					require.NoError(t, err)
					assert.Equal(t, session.Done, r.State)
					return
				}
				require.Error(t, err)
				if when == "before commit" {
					assert.ErrorIs(t, err, tt.want)
				}
				assert.Equal(t, session.Pending, r.State)
				assert.Empty(t, keys(t, d.store, "test-code/111112"), "the code is not spent")
				assert.Equal(t, audit.Denied, d.last(t).Outcome)
			})
		}
	}
}

// TK-35: and so with the session of an account without a second factor, which takes the password, too.
func TestApproveBySessionWithPassword(t *testing.T) {
	for when, hook := range map[string]func(d *fixture, fn func()){
		"while the password is checked": func(d *fixture, fn func()) { d.inPassword = fn },
		"before the factor":             func(d *fixture, fn func()) { d.inFactor = fn },
		"before the commit":             func(d *fixture, fn func()) { d.inAlive = fn },
	} {
		for name, change := range map[string]func(t *testing.T, d *fixture, s session.Session){
			"nothing": func(*testing.T, *fixture, session.Session) {},
			"it is ended": func(t *testing.T, d *fixture, s session.Session) {
				require.NoError(t, d.End(t.Context(), operator, s.User, s.ID))
			},
			"it is logged out": func(t *testing.T, d *fixture, s session.Session) {
				_, err := d.Logout(t.Context(), operator, s.Digest)
				require.NoError(t, err)
			},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				d := open(t)
				secret, s, err := d.SignIn(t.Context(), joe)
				require.NoError(t, err)
				f := start(t, d)
				met := false
				d.set(func() { hook(d, func() { met = true; change(t, d, s) }) })
				in := session.SignIn{Session: secret, Password: joe.Password, Client: browser}
				err = d.Approve(t.Context(), f.PageID, in)
				require.True(t, met)
				r, gone := d.Page(t.Context(), f.PageID)
				require.NoError(t, gone)
				if name == "nothing" {
					require.NoError(t, err)
					assert.Equal(t, session.Done, r.State)
					p, err := d.CheckPassword(t.Context(), in)
					require.NoError(t, err)
					assert.Len(t, p.Subject.Evidence, 3, "the session's row is among it")
					return
				}
				require.ErrorIs(t, err, session.ErrNoSession)
				assert.Equal(t, session.Pending, r.State)
			})
		}
	}
}

func setMode(t *testing.T, d *fixture, user protocol.UserID, mode protocol.TwoFactorMode) {
	t.Helper()
	require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
		return subject.SetTwoFactor(t.Context(), tx, user, mode)
	}))
}

// A session that the program's own login began is as good as a password for ten minutes, and one
// that a password began is not, nor one that a clock which went back has made young.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		approve := func(secret credential.Secret) error {
			return d.Approve(t.Context(), start(t, d).PageID, session.SignIn{Session: secret, Client: browser})
		}
		secret, s, err := d.Admit(t.Context(), session.User{ID: "u-joe", Name: "joe"}, browser)
		require.NoError(t, err)
		assert.False(t, s.Fresh(s.Created.Add(-time.Nanosecond)))
		require.NoError(t, approve(secret))
		time.Sleep(session.FreshFor - time.Millisecond)
		require.NoError(t, approve(secret))
		time.Sleep(time.Millisecond)
		assert.ErrorIs(t, approve(secret), session.ErrDenied)

		by, _, err := d.SignIn(t.Context(), joe)
		require.NoError(t, err)
		assert.ErrorIs(t, approve(by), session.ErrDenied)

		// No password makes a session of that kind.
		claims := joe
		claims.Via = session.ViaHost
		_, _, err = d.SignIn(t.Context(), claims)
		require.ErrorContains(t, err, "for Admit alone")
		require.ErrorContains(t, d.Approve(t.Context(), start(t, d).PageID, claims), "for Admit alone")

		// Whom it admits must be one whom a record names.
		for _, id := range []protocol.UserID{"", "u-\xff"} {
			_, _, err := d.Admit(t.Context(), session.User{ID: id, Name: "joe"}, browser)
			require.Error(t, err)
			assert.NotErrorIs(t, err, session.ErrDenied)
		}
		assert.Len(t, keys(t, d.store, "session/"), 2)
	})
}
