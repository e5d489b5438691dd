package twofactor_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

func TestEnrolAndConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.Issuer = "npm.acme.test" })
		ctx := t.Context()
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Zero(t, s)

		uri, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthOnly)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(uri.Reveal(), "otpauth://totp/npm.acme.test:alice?secret="))
		assert.Equal(t, audit.FactorPending, k.last().Type)
		a := &app{t: t, secret: secretIn(t, uri)}
		assert.Len(t, a.secret, 32, "160 bits")

		// OT-14: not confirmed, not active.
		s, err = k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Status{Pending: true, PendingMode: protocol.AuthOnly}, s)
		assert.Equal(t, protocol.TwoFactorOff, k.mode(alice))
		_, err = k.Begin(ctx, alice, login, a.code())
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)

		code := a.code()
		codes, err := k.Confirm(ctx, operator, alice, code)
		require.NoError(t, err)
		require.Len(t, codes, 5)
		for _, c := range codes {
			assert.Equal(t, twofactor.FormRecovery, twofactor.FormOf(c.Reveal()))
			assert.NotContains(t, k.dump(), c.Reveal(), "only digests are kept")
		}
		s, err = k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Status{Enabled: true, App: true, RecoveryLeft: 5}, s)
		assert.Equal(t, protocol.AuthOnly, k.mode(alice))
		assert.Equal(t, audit.FactorEnrolled, k.last().Type)
		assert.Equal(t, "auth-only", k.last().Detail["mode"])

		// T7: the code that confirmed is used.
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", code), twofactor.ErrWrong)
		time.Sleep(30 * time.Second)
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s", a.code()))
	})
}

// OT-14: an enrolment that is not confirmed in ten minutes is gone, and a second enrolment ends
// the first.
func TestEnrolmentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		first, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		second, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		a, b := &app{t: t, secret: secretIn(t, first)}, &app{t: t, secret: secretIn(t, second)}
		_, err = k.Confirm(ctx, operator, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrWrong)

		time.Sleep(10*time.Minute - time.Microsecond)
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.True(t, s.Pending, "last instant")
		time.Sleep(time.Microsecond)
		s, err = k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Zero(t, s, "at expiry")
		_, err = k.Confirm(ctx, operator, alice, b.code())
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
	})
}

func TestConfirmMayBeTriedTenTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		uri, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		a := &app{t: t, secret: secretIn(t, uri)}
		for n := range 10 {
			_, err = k.Confirm(ctx, operator, alice, a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong, n)
		}
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Zero(t, s)
		_, err = k.Confirm(ctx, operator, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		assert.Equal(t, protocol.TwoFactorOff, k.mode(alice))
	})
}

func TestConfirmWithTheTenthTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		uri, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		a := &app{t: t, secret: secretIn(t, uri)}
		for n := range 9 {
			_, err = k.Confirm(t.Context(), operator, alice, a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong, n)
		}
		_, err = k.Confirm(t.Context(), operator, alice, a.code())
		assert.NoError(t, err)
	})
}

// A try is counted for one enrolment, and confirms no other.
func TestConfirmationIsOfOneEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		first, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		c, err := k.BeginConfirm(ctx, alice, (&app{t: t, secret: secretIn(t, first)}).code(), time.Time{})
		require.NoError(t, err)
		second, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		err = store.Transact(ctx, k.store, func(tx *store.Tx) error { _, err := c.Apply(ctx, tx, operator); return err })
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)

		// Tries for the first are not guesses at the second, even with its own code.
		b := &app{t: t, secret: secretIn(t, second)}
		third, err := k.BeginConfirm(ctx, alice, b.code(), time.Time{})
		require.NoError(t, err)
		require.NoError(t, k.Disable(ctx, operator, alice))
		_, err = k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		err = store.Transact(ctx, k.store, func(tx *store.Tx) error { _, err := third.Apply(ctx, tx, operator); return err })
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		assert.Equal(t, protocol.TwoFactorOff, k.mode(alice))
	})
}

// OT-15: a session alone cannot replace an active factor.
func TestEnrolRefusesAnEnrolledAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		_, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthAndWrites)
		assert.ErrorIs(t, err, twofactor.ErrEnrolled)
		_, err = k.Confirm(t.Context(), operator, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrEnrolled)
	})
}

// AU-04: sessions that were opened without the factor end with the commit that turns it on, by
// their numbers.
func TestConfirmEndsAllSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		by := audit.Actor{User: alice, Credential: session, Addr: terminal}
		uri, err := k.Enrol(ctx, by, alice, "alice", protocol.AuthOnly)
		require.NoError(t, err)
		a := &app{t: t, secret: secretIn(t, uri)}
		before := k.subject(alice)

		_, err = k.Confirm(ctx, by, alice, a.wrong(0))
		require.ErrorIs(t, err, twofactor.ErrWrong)
		assert.Equal(t, before, k.subject(alice))
		assert.Equal(t, audit.Denied, k.last().Outcome)
		assert.Equal(t, by, k.last().Actor())

		c, err := k.BeginConfirm(ctx, alice, a.code(), time.Time{})
		require.NoError(t, err)
		assert.Equal(t, before, k.subject(alice), "not before it is applied")
		told := len(k.events)
		err = store.Transact(ctx, k.store, func(tx *store.Tx) error {
			if _, err := c.Apply(ctx, tx, by); err != nil {
				return err
			}
			return assert.AnError
		})
		require.ErrorIs(t, err, assert.AnError)
		assert.Equal(t, before, k.subject(alice))
		assert.Len(t, k.events, told)

		var codes []credential.Secret
		err = store.Transact(ctx, storetest.ConflictNth(k.store, 1, 3), func(tx *store.Tx) (err error) {
			codes, err = c.Apply(ctx, tx, by)
			return err
		})
		require.NoError(t, err, "the try was not used up")
		assert.Len(t, codes, 5)
		after := k.subject(alice)
		assert.False(t, after.Alive(policy.KindSession, before.Numbers(policy.KindSession)))
		assert.True(t, after.Alive(policy.KindToken, before.Numbers(policy.KindToken)))
		assert.Equal(t, protocol.AuthOnly, after.TwoFactor)
		assert.Len(t, k.events, told+1)
		assert.Equal(t, audit.FactorEnrolled, k.last().Type)
		assert.Equal(t, by, k.last().Actor())
	})
}

// The code of an enrolment is verified for its arrival as well.
func TestConfirmationIsDatedByItsArrival(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration // until it is counted, and again until it is applied
		want error
	}{{45 * time.Minute / 2, nil}, {30*time.Minute - time.Microsecond, nil}, {30 * time.Minute, twofactor.ErrNoFactor}} {
		t.Run(tt.wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				ctx := t.Context()
				uri, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthOnly)
				require.NoError(t, err)
				code, at := (&app{t: t, secret: secretIn(t, uri)}).code(), time.Now()
				time.Sleep(tt.wait)
				_, err = k.BeginConfirm(ctx, alice, code, time.Time{})
				require.ErrorIs(t, err, twofactor.ErrNoFactor, "by now there is none that waits")
				c, err := k.BeginConfirm(ctx, alice, code, at)
				require.NoError(t, err)
				time.Sleep(tt.wait)
				err = store.Transact(ctx, k.store, func(tx *store.Tx) error { _, err := c.Apply(ctx, tx, operator); return err })
				if tt.want == nil {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, tt.want)
				}
			})
		})
	}
}

func TestOneOfManyConfirmsWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		uri, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		code := (&app{t: t, secret: secretIn(t, uri)}).code()
		errs := parallel(8, func(int) error {
			_, err := k.node().Confirm(t.Context(), operator, alice, code)
			return err
		})
		assert.Equal(t, 1, count(errs, nil))
		assert.Equal(t, 7, count(errs, twofactor.ErrEnrolled), "%v", errs)
	})
}

func TestEnrolRefusesWhatItCannotUse(t *testing.T) {
	k := newKit(t)
	for name, call := range map[string]func() error{
		"mode off": func() error {
			_, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.TwoFactorOff)
			return err
		},
		"mode unknown": func() error {
			_, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.TwoFactorUnknown)
			return err
		},
		"no user":  func() error { _, err := k.Enrol(t.Context(), operator, "", "alice", protocol.AuthOnly); return err },
		"no label": func() error { _, err := k.Enrol(t.Context(), operator, alice, "", protocol.AuthOnly); return err },
		"long label": func() error {
			_, err := k.Enrol(t.Context(), operator, alice, strings.Repeat("a", 257), protocol.AuthOnly)
			return err
		},
		"confirm nothing": func() error {
			_, err := k.Confirm(t.Context(), operator, alice, credential.NewSecret("123456"))
			return err
		},
		"confirm no code": func() error { _, err := k.Confirm(t.Context(), operator, alice, credential.Secret{}); return err },
		"confirm no user": func() error {
			_, err := k.Confirm(t.Context(), operator, "", credential.NewSecret("123456"))
			return err
		},
	} {
		assert.Error(t, call(), name)
	}
	assert.Empty(t, k.dump(), "nothing was written")
}

// The factor and its mode are written in one commit.
func TestConfirmWritesTheSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		uri, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		// A row that cannot be decoded is not overwritten.
		_, err = k.store.Commit(t.Context(), store.Op{Key: subject.Key(alice), Action: store.Put, Value: []byte(`{"v":99,"d":{}}`)})
		require.NoError(t, err)
		_, err = k.Confirm(t.Context(), operator, alice, (&app{t: t, secret: secretIn(t, uri)}).code())
		assert.ErrorIs(t, err, store.ErrSchema)
		_, err = k.Status(t.Context(), k.store, alice)
		assert.ErrorIs(t, err, store.ErrSchema)
		items, err := k.store.Get(t.Context(), subject.Key(alice))
		require.NoError(t, err)
		_, err = k.store.Commit(t.Context(), store.Op{Key: subject.Key(alice), Action: store.Delete, At: items[0].Revision})
		require.NoError(t, err)
		s, err := k.Status(t.Context(), k.store, alice)
		require.NoError(t, err)
		assert.False(t, s.Enabled)
	})
}

func TestDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		disable := func() error { return k.Disable(ctx, operator, alice) }
		assert.ErrorIs(t, disable(), twofactor.ErrNoFactor)

		_, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		require.NoError(t, disable(), "an enrolment that waits")
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Zero(t, s)

		a := k.enrol(alice)
		require.NoError(t, disable())
		assert.Equal(t, protocol.TwoFactorOff, k.mode(alice))
		_, err = k.Begin(ctx, alice, login, a.code())
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		_, err = k.Begin(ctx, alice, login, a.recovery[0])
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
	})
}

// The code for disabling is spent in the commit that disables.
func TestSpendAndDisableInOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		use := bound(twofactor.Use{Credential: session, Action: protocol.SetTwoFactor})
		att, err := k.Begin(ctx, alice, use, a.recovery[2])
		require.NoError(t, err)
		require.NoError(t, store.Transact(ctx, k.store, func(tx *store.Tx) error {
			if err := att.Spend(ctx, tx, use); err != nil {
				return err
			}
			return k.DisableTx(ctx, tx, operator, alice)
		}))
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Zero(t, s)
	})
}
