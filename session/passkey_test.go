package session_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// A passkey approves a login without name, password and code, for the page at which it has signed, and
// only while its account is as it should be.
func TestPasskey(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, d *fixture, factors *twofactor.Manager)
		want   error // nil: it does no harm
	}{
		"nothing": {func(*testing.T, *fixture, *twofactor.Manager) {}, nil},
		"all sessions are ended": {func(t *testing.T, d *fixture, _ *twofactor.Manager) {
			require.NoError(t, d.subjects.EndSessions(t.Context(), operator, "u-jane"))
		}, session.ErrDenied},
		"the account is disabled": {func(t *testing.T, d *fixture, _ *twofactor.Manager) {
			require.NoError(t, d.subjects.Disable(t.Context(), operator, "u-jane"))
		}, session.ErrDenied},
		"the host disables the account": {func(_ *testing.T, d *fixture, _ *twofactor.Manager) {
			d.set(func() { d.gone["u-jane"] = true })
		}, session.ErrDenied},
		"the second factor is turned off": {func(t *testing.T, _ *fixture, factors *twofactor.Manager) {
			require.NoError(t, factors.Disable(t.Context(), operator, "u-jane"))
		}, session.ErrFactorRequired},
		"another factor is removed": {func(t *testing.T, d *fixture, factors *twofactor.Manager) {
			require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
				return factors.RemoveFactorTx(t.Context(), tx, operator, "u-jane", "green")
			}))
		}, nil},
		"the key is removed": {func(t *testing.T, d *fixture, factors *twofactor.Manager) {
			require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
				return factors.RemoveFactorTx(t.Context(), tx, operator, "u-jane", "blue")
			}))
		}, session.ErrFactorRequired},
	} {
		for when, hook := range map[string]func(d *fixture, fn func()){
			"in between": func(_ *fixture, fn func()) { fn() }, "before the commit": func(d *fixture, fn func()) { d.set(func() { d.inAlive = fn }) },
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				var factors *twofactor.Manager
				d := open(t, func(cfg *session.Config) {
					keys, err := keystest.Keys(twofactor.KeysConfig{Store: cfg.Store})
					require.NoError(t, err)
					factors, err = twofactor.New(twofactor.Config{Store: cfg.Store, Keys: keys})
					require.NoError(t, err)
					cfg.Passkey = func(ctx context.Context, f subject.Factor) (session.User, subject.Spend, error) {
						id, spend, err := factors.Passkey(ctx, f)
						if err != nil {
							err = fmt.Errorf("%w: %w", session.ErrFactorRequired, err)
						}
						return session.User{ID: id, Name: "jane"}, spend, err
					}
				})
				for _, id := range []string{"blue", "green"} {
					options, err := factors.BeginRegistration(t.Context(), "u-jane", "jane")
					require.NoError(t, err)
					require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
						_, _, err := factors.AddKeyTx(t.Context(), tx, operator, "u-jane", id, keystest.Make(options, id))
						return err
					}))
				}
				sign := func(page string) credential.Secret {
					options, err := factors.PasskeyOptions(t.Context(), page)
					require.NoError(t, err)
					return twofactor.KeyValue(keystest.Sign(options, "blue"))
				}
				f := start(t, d)
				err := d.Approve(t.Context(), f.PageID, session.SignIn{Passkey: sign("another"), Client: browser})
				require.ErrorIs(t, err, session.ErrFactorRequired)
				require.ErrorIs(t, d.Approve(t.Context(), f.PageID, session.SignIn{Passkey: credential.NewSecret("1"), Client: browser}), session.ErrFactorRequired)
				last := d.last(t)
				assert.Equal(t, []string{"passkey"}, last.Reasons)
				assert.Empty(t, last.User, "nothing says whose it is")

				value := sign(f.PageID)
				hook(d, func() { tt.change(t, d, factors) })
				err = d.Approve(t.Context(), f.PageID, session.SignIn{Passkey: value, Client: browser})
				r, gone := d.Page(t.Context(), f.PageID)
				require.NoError(t, gone)
				if tt.want != nil {
					// Sessions that end before the passkey is presented are none of its.
					if name != "all sessions are ended" || when != "in between" {
						require.Error(t, err)
						assert.Equal(t, session.Pending, r.State)
						assert.Equal(t, audit.Denied, d.last(t).Outcome)
						return
					}
				}
				require.NoError(t, err)
				assert.Equal(t, session.Done, r.State)
				assert.Empty(t, d.checked, "no password was asked for")
				// Once, and for this page.
				_, _, err = d.SignIn(t.Context(), session.SignIn{Passkey: value, Page: f.PageID, Client: browser})
				require.ErrorIs(t, err, session.ErrFactorRequired)
				secret, s, err := d.SignIn(t.Context(), session.SignIn{Passkey: sign("here"), Page: "here", Client: browser, Via: "browser"})
				require.NoError(t, err)
				assert.Equal(t, "jane", s.Name)
				_, err = d.Verify(t.Context(), secret)
				require.NoError(t, err)
			})
		}
	}
	// Without passkeys there are none.
	d := open(t)
	_, _, err := d.SignIn(t.Context(), session.SignIn{Passkey: credential.NewSecret("webauthn.e30"), Client: browser})
	require.ErrorIs(t, err, session.ErrDenied)
}
