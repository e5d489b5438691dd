package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		in := jane("111111")
		in.Via, in.Client = "couch", session.Client{
			Addr:      netip.MustParseAddr("::ffff:192.0.2.7"),
			UserAgent: "npm/\x1b[2Jé" + strings.Repeat("x", 200),
		}
		time.Sleep(time.Nanosecond)
		secret, s, err := d.SignIn(t.Context(), in)
		require.NoError(t, err)

		digest, ok := credential.Parse(secret.Reveal())
		require.True(t, ok)
		assert.True(t, strings.HasPrefix(secret.Reveal(), "npms_"))
		assert.Equal(t, digest, s.Digest)
		assert.Equal(t, protocol.UserID("u-jane"), s.User)
		assert.Equal(t, "jane", s.Name)
		assert.Equal(t, "couch", s.Via)
		assert.Equal(t, netip.MustParseAddr("192.0.2.7"), s.Addr)
		assert.LessOrEqual(t, len(s.UserAgent), 120)
		assert.True(t, strings.HasPrefix(s.UserAgent, "npm/?[2J?xxx"), "%q", s.UserAgent)
		assert.Equal(t, time.Now().UTC().Truncate(time.Microsecond), s.Created)
		assert.Equal(t, 2*time.Hour, s.Expires.Sub(s.Created))

		// The store has only the digest, and the second factor was spent for it.
		all := dump(t, d.store)
		assert.NotContains(t, all, strings.TrimPrefix(secret.Reveal(), "npms_"))
		assert.NotContains(t, all, "correct horse")
		items, err := d.store.Get(t.Context(), "test-code/111111")
		require.NoError(t, err)
		assert.Equal(t, s.ID, string(items[0].Value))
		assert.Equal(t, []string{"login done"}, d.kinds())
		assert.Equal(t, s.ID, d.last(t).Credential)
	})
}

// EN-01, EN-03: the error does not tell what was wrong, and the second factor is not checked
// before the password was right.
func TestSignInRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		in      session.SignIn
		want    error
		factors int
		event   string
		reason  string
	}{
		"unknown user":       {session.SignIn{Name: "eve", Password: credential.NewSecret("x"), OTP: credential.NewSecret("111111")}, session.ErrDenied, 0, "login denied", "password"},
		"wrong password":     {session.SignIn{Name: "jane", Password: credential.NewSecret("x"), OTP: credential.NewSecret("111111")}, session.ErrDenied, 0, "login denied", "password"},
		"no password":        {session.SignIn{Name: "jane"}, session.ErrDenied, 0, "login denied", "password"},
		"nothing at all":     {session.SignIn{}, session.ErrDenied, 0, "login denied", "password"},
		"no factor":          {session.SignIn{Name: "jane", Password: credential.NewSecret("correct horse")}, session.ErrFactorRequired, 1, "login challenged", "factor"},
		"wrong factor":       {jane("222222"), session.ErrFactorRequired, 1, "login denied", "factor"},
		"users are down":     {session.SignIn{Name: "broken", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
		"user without an ID": {session.SignIn{Name: "nobody", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
		"ID is not UTF-8":    {session.SignIn{Name: "mangled", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			secret, s, err := d.SignIn(t.Context(), tt.in)
			require.Error(t, err)
			if tt.want != nil {
				assert.ErrorIs(t, err, tt.want)
			} else {
				assert.NotErrorIs(t, err, session.ErrDenied)
				assert.NotErrorIs(t, err, session.ErrFactorRequired)
			}
			assert.True(t, secret.IsZero())
			assert.Zero(t, s)
			assert.Equal(t, tt.factors, d.factors)
			assert.Subset(t, []string{"password-guesses", "serverkey"}, tables(t, d.store))
			assert.Equal(t, []string{tt.event}, d.kinds())
			assert.Equal(t, tt.reason, d.last(t).Reason())
			assert.NotContains(t, d.last(t).Detail, "name", "a password typed in the wrong place")

			// The same sentence for every refusal before the second factor.
			if errors.Is(err, session.ErrDenied) {
				assert.EqualError(t, err, "session: sign in: subject: wrong user name or password")
			}
		})
	}
}

func TestSignInWithoutFactor(t *testing.T) {
	d := open(t)
	_, s, err := d.SignIn(t.Context(), session.SignIn{Name: "joe", Password: credential.NewSecret("correct horse")})
	require.NoError(t, err)
	assert.Equal(t, protocol.UserID("u-joe"), s.User)
	assert.False(t, s.Addr.IsValid())
}

// One code creates one session, also in parallel.
func TestSignInSpendsTheFactorOnce(t *testing.T) {
	d := open(t)
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, _, err := d.SignIn(t.Context(), jane("111111"))
			if err == nil {
				opened.Add(1)
			} else {
				assert.ErrorIs(t, err, session.ErrFactorRequired)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, opened.Load())
	assert.Len(t, keys(t, d.store, "session/"), 1)
}

// A sign-in whose commit fails returns no secret and leaves the code unspent.
// tables are the tables of which there is a row.
func tables(t *testing.T, s store.Store) (names []string) {
	t.Helper()
	for _, key := range keys(t, s, "") {
		name, _, _ := strings.Cut(key, "/")
		names = append(names, name)
	}
	return slices.Compact(names)
}

func TestSignInCommitFails(t *testing.T) {
	d := open(t)
	d.store.of = "session/"
	d.store.before = errors.New("disk full")
	secret, _, err := d.SignIn(t.Context(), jane("111111"))
	require.Error(t, err)
	assert.True(t, secret.IsZero())
	assert.Equal(t, []string{"password-guesses", "serverkey"}, tables(t, d.store))
	assert.Equal(t, []string{"login failed"}, d.kinds())

	_, _, err = d.SignIn(t.Context(), jane("111111"))
	assert.NoError(t, err)

	// If the result of the commit is unknown, the secret is lost.
	d.reset()
	d.store.after = store.ErrUnknown
	secret, _, err = d.SignIn(t.Context(), jane("122222"))
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.True(t, secret.IsZero())
	assert.Equal(t, []string{"login failed"}, d.kinds(), "told of once")
	assert.Equal(t, []string{"unknown"}, d.last(t).Reasons)
	f := start(t, d)
	d.reset()
	d.store.of, d.store.after = "login/", store.ErrUnknown
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("133333")), store.ErrUnknown)
	assert.Equal(t, []string{"login.approved failed"}, d.kinds())
}

// A session counts from before the password check: a revocation of all sessions of the account
// during the check ends this one too.
func TestSignInCountsFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		d.slow = 3 * time.Second
		began := time.Now().UTC()
		_, s, err := d.SignIn(t.Context(), jane("111111"))
		require.NoError(t, err)
		assert.Equal(t, began, s.Created)
		assert.Equal(t, began.Add(2*time.Hour), s.Expires)
	})
}

func TestSignInCancelled(t *testing.T) {
	d := open(t, func(c *session.Config) {
		c.CheckPassword = func(ctx context.Context, _ protocol.UserID, _ credential.Secret) (bool, error) {
			return true, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := d.SignIn(ctx, jane("111111"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, audit.Canceled, d.last(t).Outcome, "AU-44: the client is gone, and nothing has failed")
	assert.Empty(t, d.last(t).Reasons)
}

// AU-44: what ended a sign-in is told apart: nobody's fault, a fault of ours, an attack.
func TestSignInOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		check   error
		otp     string
		outcome audit.Outcome
		reason  string
	}{
		"busy":                       {fmt.Errorf("queue: %w", subject.ErrBusy), "111111", audit.Denied, "busy"},
		"the host's table is out":    {errors.New("no connection"), "111111", audit.Failed, "error"},
		"the host's deadline is out": {context.DeadlineExceeded, "111111", audit.Failed, "error"},
		"the host cancels by itself": {context.Canceled, "111111", audit.Failed, "error"},
		"wrong password":             {session.ErrDenied, "111111", audit.Denied, "password"},
	} {
		d := open(t, func(c *session.Config) {
			c.CheckPassword = func(context.Context, protocol.UserID, credential.Secret) (bool, error) { return false, tt.check }
		})
		_, _, err := d.SignIn(t.Context(), jane(tt.otp))
		assert.ErrorIs(t, err, tt.check, name)
		assert.Equal(t, tt.outcome, d.last(t).Outcome, name)
		assert.Equal(t, tt.reason, d.last(t).Reason(), name)
	}
}

// revocations end the sessions of a user, each in its own way.
var revocations = map[string]func(ctx context.Context, d *fixture, user protocol.UserID) error{
	"everything of the account": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.RevokeAll(ctx, operator, user)
	},
	"all sessions": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.EndSessions(ctx, operator, user)
	},
	"everything of everybody": func(ctx context.Context, d *fixture, _ protocol.UserID) error {
		return d.subjects.RevokeEveryone(ctx, operator)
	},
	"the account is disabled": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.Disable(ctx, operator, user)
	},
	"another password": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return store.Transact(ctx, d.store, func(tx *store.Tx) error {
			_, err := subject.Revoke(ctx, tx, user, subject.Sessions, time.Now())
			return err
		})
	},
	"a factor is turned on": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return store.Transact(ctx, d.store, func(tx *store.Tx) error {
			if err := subject.SetTwoFactor(ctx, tx, user, protocol.AuthOnly); err != nil {
				return err
			}
			_, err := subject.Revoke(ctx, tx, user, subject.Sessions, time.Now())
			return err
		})
	},
}

// benign are changes of an account that concern neither its sessions nor its password.
var benign = map[string]func(ctx context.Context, d *fixture, user protocol.UserID) error{
	"ranges": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.SetCIDRs(ctx, operator, user, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	},
	"many depend on it": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.SetHighImpact(ctx, operator, user, true)
	},
	"all tokens": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.RevokeTokens(ctx, operator, user)
	},
	"recovered": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return d.subjects.Recovered(ctx, operator, user)
	},
	"the factor is for writes, too": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		return store.Transact(ctx, d.store, func(tx *store.Tx) error {
			return subject.SetTwoFactor(ctx, tx, user, protocol.AuthAndWrites)
		})
	},
	"disabled for a moment": func(ctx context.Context, d *fixture, user protocol.UserID) error {
		if err := d.subjects.Disable(ctx, operator, user); err != nil {
			return err
		}
		return d.subjects.Enable(ctx, operator, user)
	},
}

// moments are points at which a sign-in or an approval can be interrupted: each makes fn run
// there once.
var moments = map[string]func(d *fixture, f *storetest.Faulty, fn func()){
	"while the password is checked": func(d *fixture, _ *storetest.Faulty, fn func()) { d.inPassword = fn },
	"while the factor is begun":     func(d *fixture, _ *storetest.Faulty, fn func()) { d.inFactor = fn },
	"after what was judged":         func(d *fixture, _ *storetest.Faulty, fn func()) { d.inAlive = fn },
	"before the commit":             func(_ *fixture, f *storetest.Faulty, fn func()) { f.Inject(commitOf(fn)) },
}

// commitOf makes fn run just before the commit that creates a session or decides a flow.
func commitOf(fn func()) storetest.Fault {
	return storetest.Fault{On: storetest.Commits, Do: fn, If: func(c storetest.Call) bool {
		return slices.ContainsFunc(c.Ops, func(op store.Op) bool {
			return op.Action == store.Put && (strings.HasPrefix(op.Key, "session/") || strings.HasPrefix(op.Key, "login/"))
		})
	}}
}

// openFaulty returns a fixture on a store that can be made to fail.
func openFaulty(t *testing.T) (*fixture, *storetest.Faulty) {
	t.Helper()
	f := storetest.NewFaulty(store.NewMemory())
	return openOn(t, &counting{Store: f}), f
}

// logins are both ways to sign in: for a session at once, and for one that is created later.
var logins = map[string]func(t *testing.T, d *fixture, in session.SignIn) error{
	"sign-in": func(t *testing.T, d *fixture, in session.SignIn) error {
		_, _, err := d.SignIn(t.Context(), in)
		return err
	},
	"approval": func(t *testing.T, d *fixture, in session.SignIn) error {
		f := start(t, d)
		d.reset()
		if err := d.Approve(t.Context(), f.PageID, in); err != nil {
			return err
		}
		if collect(t, d, f, terminal).State != session.Done {
			return errors.New("approved, and not collected")
		}
		return nil
	},
}

// AU-01, AU-03, AU-04: a revocation of an account's sessions ends those that are being created,
// at whatever moment it comes, and their second factor is not spent.
func TestSignInIsOvertaken(t *testing.T) {
	for way, login := range logins {
		for moment, at := range moments {
			for name, revoke := range revocations {
				for _, in := range []session.SignIn{joe, jane("111111"), jane("1r")} {
					t.Run(strings.Join([]string{way, moment, name, in.Name, in.OTP.Reveal()}, ": "), func(t *testing.T) {
						d, faulty := openFaulty(t)
						user := protocol.UserID("u-" + in.Name)
						came := false
						at(d, faulty, func() {
							came = true
							require.NoError(t, revoke(t.Context(), d, user))
						})
						err := login(t, d, in)
						require.True(t, came)
						assert.ErrorIs(t, err, session.ErrDenied)
						assert.Equal(t, []string{"login denied"}, d.kinds())
						assert.Empty(t, keys(t, d.store, "session/"))
						assert.Empty(t, keys(t, d.store, "login/"))
						assert.Empty(t, keys(t, d.store, "test-code/"))
						sub, err := subject.Get(t.Context(), d.store, user)
						require.NoError(t, err)
						assert.Zero(t, sub.Recovered)
					})
				}
			}
		}
	}
}

// Any other change of the account does not affect a sign-in.
func TestSignInGoesOnAfterABenignChange(t *testing.T) {
	for way, login := range logins {
		for moment, at := range moments {
			for name, change := range benign {
				t.Run(strings.Join([]string{way, moment, name}, ": "), func(t *testing.T) {
					d, faulty := openFaulty(t)
					require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
						return subject.SetTwoFactor(t.Context(), tx, "u-jane", protocol.AuthOnly)
					}))
					at(d, faulty, func() { require.NoError(t, change(t.Context(), d, "u-jane")) })
					require.NoError(t, login(t, d, jane("1r"))) // which writes the row, too
					list, _, err := d.List(t.Context(), "u-jane", "", 10)
					require.NoError(t, err)
					assert.Len(t, list, 1)
					assert.Len(t, keys(t, d.store, "test-code/"), 1)
					assert.Equal(t, "login done", d.kinds()[len(d.kinds())-1])
					sub, err := subject.Get(t.Context(), d.store, "u-jane")
					require.NoError(t, err)
					assert.NotZero(t, sub.Recovered)
				})
			}
		}
	}
}

// AU-04: a second factor that is turned on or off meanwhile refuses the sign-in, even if no
// session ends by it.
func TestSignInWhileAFactorComesOrGoes(t *testing.T) {
	for moment, at := range moments {
		for _, mode := range []protocol.TwoFactorMode{protocol.AuthOnly, protocol.TwoFactorOff} {
			t.Run(moment+": "+mode.String(), func(t *testing.T) {
				d, faulty := openFaulty(t)
				set := func(mode protocol.TwoFactorMode) {
					require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
						return subject.SetTwoFactor(t.Context(), tx, "u-joe", mode)
					}))
				}
				in := joe
				if mode == protocol.TwoFactorOff {
					set(protocol.AuthOnly)
					in.OTP = credential.NewSecret("111111")
				}
				at(d, faulty, func() { set(mode) })
				_, _, err := d.SignIn(t.Context(), in)
				assert.ErrorIs(t, err, session.ErrFactorRequired)
				assert.Empty(t, keys(t, d.store, "session/"))
				assert.Empty(t, keys(t, d.store, "test-code/"))
			})
		}
	}
}

// An account that changes before every commit is not tried for ever.
func TestSignInIsJudgedThreeTimes(t *testing.T) {
	d, faulty := openFaulty(t)
	changes := 0
	fault := commitOf(func() {
		changes++
		require.NoError(t, d.subjects.SetHighImpact(t.Context(), operator, "u-jane", changes%2 == 1))
	})
	fault.Times = storetest.Always
	faulty.Inject(fault)
	_, _, err := d.SignIn(t.Context(), jane("111111"))
	assert.ErrorIs(t, err, store.ErrConflict)
	assert.NotErrorIs(t, err, session.ErrDenied)
	assert.Equal(t, 3, changes)
	assert.Empty(t, keys(t, d.store, "session/"))
	assert.Equal(t, []string{"login failed"}, d.kinds())
	faulty.Mend()
	_, _, err = d.SignIn(t.Context(), jane("111111"))
	assert.NoError(t, err)

	// Twice is not too often.
	fault.Times = 2
	faulty.Inject(fault)
	_, _, err = d.SignIn(t.Context(), jane("122222"))
	assert.NoError(t, err)
}

// The host is called last before each commit.
func TestSignInAsksTheHostLast(t *testing.T) {
	d, faulty := openFaulty(t)
	faulty.Inject(commitOf(func() {
		d.set(func() { d.gone["u-jane"] = true })
		require.NoError(t, d.subjects.SetHighImpact(t.Context(), operator, "u-jane", true))
	}))
	_, _, err := d.SignIn(t.Context(), jane("111111"))
	assert.ErrorIs(t, err, session.ErrDenied)
	assert.Empty(t, keys(t, d.store, "session/"))
}

// The result of CheckPassword is checked by the commits of others, too.
func TestCheckPassword(t *testing.T) {
	d := open(t)
	require.NoError(t, d.subjects.EndSessions(t.Context(), operator, "u-jane"))
	sub, err := subject.Get(t.Context(), d.store, "u-jane")
	require.NoError(t, err)
	d.inPassword = func() { require.NoError(t, d.subjects.EndSessions(t.Context(), operator, "u-jane")) }
	check := func(name, password string) (session.Person, error) {
		return d.CheckPassword(t.Context(), session.SignIn{Name: name, Password: credential.NewSecret(password), Client: browser})
	}
	p, err := check("jane", "correct horse")
	require.NoError(t, err)
	assert.Equal(t, session.Person{User: session.User{ID: "u-jane", Name: "jane"}, Subject: sub}, p, "as it was before")

	for _, name := range []string{"jane", "eve", ""} {
		_, err := check(name, "x")
		assert.ErrorIs(t, err, session.ErrDenied)
		e := d.last(t)
		assert.Equal(t, []any{audit.Login, audit.Denied, []string{"password"}, browser.Addr}, []any{e.Type, e.Outcome, e.Reasons, e.Addr})
	}
	assert.Equal(t, []protocol.UserID{"u-jane", "u-jane", "", ""}, d.checked, "each costs a hash")
	require.NoError(t, d.subjects.Disable(t.Context(), operator, "u-jane"))
	_, err = check("jane", "correct horse")
	assert.ErrorIs(t, err, session.ErrDenied)
	assert.Len(t, d.checked, 5, "so does one that is disabled")
}

// The events of a login have the IP address.
func TestLoginsHaveAnAddress(t *testing.T) {
	d := open(t)
	in := jane("111111")
	_, s, err := d.SignIn(t.Context(), in)
	require.NoError(t, err)
	e := d.last(t)
	assert.Equal(t, browser.Addr, e.Addr)
	assert.Equal(t, []any{protocol.UserID("u-jane"), protocol.UserID("u-jane"), s.ID, ""}, []any{e.User, e.By, e.Credential, e.ByCredential})

	in.Password = credential.NewSecret("x")
	_, _, err = d.SignIn(t.Context(), in)
	require.ErrorIs(t, err, session.ErrDenied)
	assert.Equal(t, browser.Addr, d.last(t).Addr)

	f := start(t, d)
	assert.Equal(t, terminal.Addr, d.last(t).Addr)
	require.NoError(t, d.Deny(t.Context(), f.PageID, session.Client{Addr: netip.MustParseAddr("::ffff:192.0.2.8")}))
	e = d.last(t)
	assert.Equal(t, browser.Addr, e.Addr)
	assert.Equal(t, terminal.Addr.String(), e.Detail["asked_from"])
	f = start(t, d)
	require.NoError(t, d.Approve(t.Context(), f.PageID, jane("122222")))
	assert.Equal(t, browser.Addr, d.last(t).Addr)
}
