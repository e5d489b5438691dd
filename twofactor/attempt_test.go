package twofactor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
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
	"github.com/npmauth/npmauth/twofactor"
)

// parallel runs fn n times at once and returns what each returned.
func parallel(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errs
}

// count returns how many of errs are target; nil is success.
func count(errs []error, target error) int {
	n := 0
	for _, err := range errs {
		if target == nil && err == nil || target != nil && errors.Is(err, target) {
			n++
		}
	}
	return n
}

// OT-01: the same code twice.
func TestCodeWorksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		code := a.code()
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", code))
		assert.Equal(t, audit.Done, k.last().Outcome)
		digits := code.Reveal()
		for _, spelling := range []string{digits, digits[:3] + " " + digits[3:], digits[:3] + "-" + digits[3:], " " + digits} { // AU-38: one code
			assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s2", credential.NewSecret(spelling)), twofactor.ErrWrong)
			assert.Equal(t, audit.FactorReplayed, k.last().Type)
			assert.Equal(t, alice, k.last().User)
		}
	})
}

// OT-02: exactly one of many that present one code at once, on two nodes.
func TestCodeWorksOnceInParallel(t *testing.T) {
	k := newKit(t)
	var a *app
	synctest.Test(t, func(t *testing.T) {
		k.t = t
		a = k.enrol(alice)
	})
	k.t, a.t = t, t
	now := func() time.Time { return time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC) }
	nodes := []*twofactor.Manager{
		k.node(func(c *twofactor.Config) { c.Now = now }),
		k.node(func(c *twofactor.Config) { c.Now = now }),
	}
	code := a.at(now())
	errs := parallel(64, func(i int) error {
		return k.signIn(nodes[i%2], alice, login, "s"+strconv.Itoa(i), code)
	})
	assert.Equal(t, 1, count(errs, nil))
	assert.Equal(t, 63, count(errs, twofactor.ErrWrong), "no other error: %v", errs)
}

// OT-03: a code of an older step after a newer one.
func TestOlderStepIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		now, next := a.code(), a.at(time.Now().Add(30*time.Second))
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", next), "a clock that is fast")
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s2", now), twofactor.ErrWrong)
	})
}

// OT-07: a clock that is set back makes no old code good: neither one that was used, nor one of a
// step before it, which the app shows now. They are good once the clock is past that step.
func TestClockSetBackAcceptsNoOlderCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		time.Sleep(5 * time.Minute)
		var behind time.Duration
		now := func() time.Time { return time.Now().Add(-behind) }
		m := k.node(func(c *twofactor.Config) { c.Now = now })
		used := a.at(now())
		require.NoError(t, k.signIn(m, alice, login, "s1", used))
		behind = 90 * time.Second
		for n, code := range []credential.Secret{a.at(now()), a.at(now().Add(30 * time.Second)), used} {
			assert.ErrorIs(t, k.signIn(m, alice, login, "s2", code), twofactor.ErrWrong, n)
		}
		time.Sleep(behind)
		assert.ErrorIs(t, k.signIn(m, alice, login, "s3", a.at(now())), twofactor.ErrWrong, "the used one")
		time.Sleep(30 * time.Second)
		assert.NoError(t, k.signIn(m, alice, login, "s4", a.at(now())))
	})
}

// OT-05, OT-21: a code is valid for its user alone, and a wrong one counts against the user who
// presents it.
func TestCodeOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.HardLimit, c.SoftLimit = 1, 1 })
		a := k.enrol(alice)
		m := k.enrol(mallory)
		code := a.code()
		assert.ErrorIs(t, k.signIn(k.Manager, mallory, login, "s1", code), twofactor.ErrWrong)
		assert.ErrorIs(t, k.signIn(k.Manager, mallory, login, "s1", m.code()), twofactor.ErrLocked)
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s2", code))
	})
}

// OT-06: the edges of a code's window.
func TestWindowEdges(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		ok   bool
	}{
		{29999 * time.Millisecond, true}, {30 * time.Second, true}, {59999 * time.Millisecond, true},
		{60*time.Second - time.Microsecond, true}, {60 * time.Second, false},
	} {
		t.Run(tt.wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				a := k.enrol(alice)
				code := a.code() // at the first instant of its step
				time.Sleep(tt.wait)
				err := k.signIn(k.Manager, alice, login, "s", code)
				if tt.ok {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
				}
			})
		})
	}
}

// OT-08: the hard limit, for each factor on its own. Each try comes from another credential, so
// that the soft limit does not apply.
func TestHardLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n := range 100 {
			use := bound(twofactor.Use{Credential: "c" + strconv.Itoa(n), Action: protocol.Publish})
			_, err := k.Prove(t.Context(), alice, use, a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong, n)
		}
		_, err := k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrLocked, "the right code too")
		assert.Equal(t, audit.FactorLocked, k.last().Type)
		s, err := k.Status(t.Context(), k.store, alice)
		require.NoError(t, err)
		assert.True(t, s.Locked)

		time.Sleep(1000 * time.Hour)
		_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrLocked, "no time unlocks it")

		assert.NoError(t, k.signIn(k.Manager, alice, login, "s", a.recovery[0]), "the other factor works")
		_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrLocked, "and resets only itself")
	})
}

func TestHundredthTryMaySucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for round := range 2 {
			for n := range 99 {
				use := bound(twofactor.Use{Credential: fmt.Sprint("c", round, n), Action: protocol.Publish})
				_, err := k.Prove(t.Context(), alice, use, a.wrong(n))
				require.ErrorIs(t, err, twofactor.ErrWrong)
			}
			_, err := k.Prove(t.Context(), alice, publish(widget), a.code())
			require.NoError(t, err, "a success begins a new count")
			time.Sleep(30 * time.Second)
		}
	})
}

// AU-24, RC-05: no wrong code bars the owner's recovery codes, also after those that locked the app, and
// wrong ones leave nothing in the store: whoever has the password could send them for ever.
func TestNothingBarsRecoveryCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.HardLimit, c.SoftLimit = 3, 1 })
		a := k.enrol(alice)
		long := func(n int) credential.Secret { return credential.NewSecret(fmt.Sprintf("%064x", n)) }
		for n := range 3 {
			use := bound(twofactor.Use{Credential: "c" + strconv.Itoa(n), Action: protocol.SetTwoFactor})
			_, err := k.Prove(t.Context(), alice, use, long(n))
			require.ErrorIs(t, err, twofactor.ErrWrong)
			_, err = k.Prove(t.Context(), alice, use, a.recovery[0])
			require.ErrorIs(t, err, twofactor.ErrTooMany, "it ends the credential")
		}
		for n := range 3 {
			use := bound(twofactor.Use{Credential: "t" + strconv.Itoa(n), Action: protocol.SetTwoFactor})
			_, err := k.Prove(t.Context(), alice, use, a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong)
		}
		require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s1", a.code()), twofactor.ErrLocked)
		before := k.dump()
		for n := range 200 {
			for _, wrong := range []credential.Secret{long(n), credential.NewSecret(fmt.Sprintf("%016d", n))} {
				require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s2", wrong), twofactor.ErrWrong)
			}
		}
		assert.Equal(t, before, k.dump())
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s3", a.recovery[0]))
	})
}

// A success with one factor gives a credential no more guesses at the other.
func TestSuccessForgetsItsOwnFormOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		of := bound(twofactor.Use{Credential: "c", Action: protocol.SetTwoFactor})
		prove := func(value credential.Secret) error { return k.signIn(k.Manager, alice, of, "c", value) }
		for n := range 4 {
			require.ErrorIs(t, prove(secretOf(fmt.Sprintf("%064x", n))), twofactor.ErrWrong)
		}
		require.NoError(t, prove(a.code()))
		require.ErrorIs(t, prove(secretOf(fmt.Sprintf("%064x", 4))), twofactor.ErrWrong)
		assert.ErrorIs(t, prove(a.recovery[0]), twofactor.ErrTooMany)
	})
}

// OT-11: of many wrong codes at once no more than the limit are verified.
func TestSoftLimitInParallel(t *testing.T) {
	k := newKit(t)
	var a *app
	synctest.Test(t, func(t *testing.T) {
		k.t = t
		a = k.enrol(alice)
	})
	now := func() time.Time { return time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC) }
	k.t, a.t = t, t
	right := a.at(now())
	nodes := []*twofactor.Manager{
		k.node(func(c *twofactor.Config) { c.Now = now }),
		k.node(func(c *twofactor.Config) { c.Now = now }),
	}
	errs := parallel(200, func(i int) error {
		code := credential.NewSecret(sixDigits(i))
		if code.Equal(right) {
			code = credential.NewSecret("999999")
		}
		_, err := nodes[i%2].Prove(t.Context(), alice, publish(widget), code)
		return err
	})
	assert.Equal(t, 5, count(errs, twofactor.ErrWrong))
	assert.Equal(t, 195, count(errs, twofactor.ErrTooMany), "%v", errs)
	_, err := nodes[0].Prove(t.Context(), alice, publish(widget), right)
	assert.ErrorIs(t, err, twofactor.ErrTooMany, "the right code comes too late for this credential")
	other := publish(widget)
	other.Credential = "session-2"
	_, err = nodes[0].Prove(t.Context(), alice, other, right)
	assert.NoError(t, err, "and in time for another")
}

// AU-24: whoever has the password and no codes closes the login to nobody else: from each network a
// code waits for the wrong ones from there, and a recovery code for none.
func TestWrongCodesOfLoginsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		thief, owner := login, login
		thief.Addr, owner.Addr = netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("192.0.2.7")
		n := 0
		wrong := func() error { n++; return k.signIn(k.Manager, alice, thief, "s", a.wrong(n)) }
		for range 5 {
			require.ErrorIs(t, wrong(), twofactor.ErrWrong)
		}
		for _, wait := range []time.Duration{30, 60, 120, 240, 480, 900, 900} {
			require.ErrorIs(t, wrong(), twofactor.ErrTooMany)
			require.ErrorIs(t, k.signIn(k.Manager, alice, thief, "s", a.code()), twofactor.ErrTooMany, "nor is a right one verified")
			near := thief
			near.Addr = netip.MustParseAddr("203.0.113.200")
			require.ErrorIs(t, k.signIn(k.Manager, alice, near, "s", a.code()), twofactor.ErrTooMany)
			time.Sleep(wait*time.Second - time.Microsecond)
			require.ErrorIs(t, wrong(), twofactor.ErrTooMany)
			time.Sleep(time.Microsecond)
			require.ErrorIs(t, wrong(), twofactor.ErrWrong, wait)
		}
		assert.NoError(t, k.signIn(k.Manager, alice, owner, "s1", a.code()))
		assert.NoError(t, k.signIn(k.Manager, alice, thief, "s2", a.recovery[0]), "which no thief has")
		// The owner's success is no more guesses for others; one's own is.
		require.ErrorIs(t, wrong(), twofactor.ErrTooMany)
		time.Sleep(15 * time.Minute)
		assert.NoError(t, k.signIn(k.Manager, alice, thief, "s3", a.code()))
		for range 5 {
			require.ErrorIs(t, wrong(), twofactor.ErrWrong)
		}
		// They are forgotten a day after the last.
		time.Sleep(24*time.Hour - time.Microsecond)
		require.ErrorIs(t, wrong(), twofactor.ErrWrong)
		require.ErrorIs(t, wrong(), twofactor.ErrTooMany)
		time.Sleep(24 * time.Hour)
		for range 5 {
			require.ErrorIs(t, wrong(), twofactor.ErrWrong)
		}
	})
}

// Attempts are counted by the present time: requests that were delayed for an hour do not make
// others forgotten, and count as what they are.
func TestSoftLimitOfHeldBackRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		early := login
		early.At = time.Now()
		time.Sleep(50 * time.Minute)
		for n := range 4 {
			require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", a.wrong(n)), twofactor.ErrWrong)
		}
		require.ErrorIs(t, k.signIn(k.Manager, alice, early, "s", a.wrong(4)), twofactor.ErrWrong)
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", a.code()), twofactor.ErrTooMany)
		assert.ErrorIs(t, k.signIn(k.Manager, alice, early, "s", a.wrong(6)), twofactor.ErrTooMany)
		time.Sleep(15 * time.Minute)
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s", a.code()))
	})
}

// One value is one guess within a step, and a new one in the next.
func TestOneValueCountsOnceInAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		bad := a.wrong(0)
		for range 20 {
			require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", bad), twofactor.ErrWrong)
		}
		for range 4 {
			time.Sleep(30 * time.Second)
			require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", bad), twofactor.ErrWrong)
		}
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", a.wrong(1)), twofactor.ErrTooMany)
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", bad), twofactor.ErrWrong, "it was verified before")
	})
}

// OT-12: a success with the factor resets the count, not a new attempt that is never spent.
func TestOnlySuccessResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n := range 5 {
			_, err := k.Begin(t.Context(), alice, login, a.wrong(n))
			require.NoError(t, err, "reserved")
		}
		_, err := k.Begin(t.Context(), alice, login, a.code())
		assert.ErrorIs(t, err, twofactor.ErrTooMany, "counted though never verified")
	})
}

// A value without a valid form is compared with nothing, so it is not counted and reveals
// nothing; nor does it reach the store.
func TestMalformedValuesCountAsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		before := k.dump()
		for _, v := range []string{"", "12345", a.code().Reveal() + "," + a.code().Reveal(), "12345678", "npmo_" + a.code().Reveal()} {
			_, err := k.Prove(t.Context(), alice, publish(widget), credential.NewSecret(v))
			assert.ErrorIs(t, err, twofactor.ErrWrong, "%q", v)
		}
		assert.Equal(t, before, k.dump())
		_, err := k.Prove(t.Context(), alice, publish(widget), credential.NewSecret("\t"+a.code().Reveal()+" "))
		assert.NoError(t, err)
	})
}

// OT-25: a failed code of one form is not tried as another.
func TestFormsDoNotFallThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.SoftLimit, c.HardLimit = 1, 1 })
		a := k.enrol(alice)
		require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s", a.wrong(0)), twofactor.ErrWrong)
		_, err := k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrLocked)
		assert.NoError(t, k.signIn(k.Manager, alice, bound(twofactor.Use{Credential: "other", Action: protocol.SetTwoFactor}), "other", a.recovery[0]),
			"the wrong TOTP code was not charged to the recovery codes")
	})
}

// OT-13: counters are in the store.
func TestCountersSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n := range 5 {
			require.ErrorIs(t, k.signIn(k.node(), alice, login, "s", a.wrong(n)), twofactor.ErrWrong)
		}
		assert.ErrorIs(t, k.signIn(k.node(), alice, login, "s", a.code()), twofactor.ErrTooMany)
	})
}

// OT-17: a record whose key is missing or short denies.
func TestEmptyStoredKeyDenies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		items, err := k.store.Get(t.Context(), twofactor.Key(alice))
		require.NoError(t, err)
		for _, key := range []string{`""`, `null`, `"AAAA"`} {
			value := replaceKey(t, items[0].Value, key)
			_, err = k.store.Commit(t.Context(), store.Op{Key: items[0].Key, At: store.Any, Action: store.Put, Value: value})
			require.NoError(t, err)
			code := (&app{t: t, secret: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}).code() // HMAC pads a short key with zeros
			_, err = k.Prove(t.Context(), alice, publish(widget), code)
			assert.Error(t, err, key)
			_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
			assert.Error(t, err, key)
		}
	})
}

// OT-18: a record cannot make codes shorter, longer valid or of another algorithm: these are no part
// of it, and a record that names them is none.
func TestStoredFactorHasNoParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		items, err := k.store.Get(t.Context(), twofactor.Key(alice))
		require.NoError(t, err)
		for _, field := range []string{`"digits":1`, `"algorithm":"none"`, `"period":86400`, `"window":1000`} {
			value := bytes.Replace(items[0].Value, []byte(`"key":`), []byte(field+`,"key":`), 1)
			require.NotEqual(t, items[0].Value, value)
			_, err = k.store.Commit(t.Context(), store.Op{Key: items[0].Key, At: store.Any, Action: store.Put, Value: value})
			require.NoError(t, err)
			for _, code := range []credential.Secret{a.code(), a.at(time.Now().Add(-5 * time.Minute)), secretOf(a.code().Reveal()[5:])} {
				_, err = k.Prove(t.Context(), alice, publish(widget), code)
				assert.Error(t, err, field)
			}
		}
		_, err = k.store.Commit(t.Context(), store.Op{Key: items[0].Key, At: store.Any, Action: store.Put, Value: items[0].Value})
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.NoError(t, err, "none of which spent it")
	})
}

// A code is verified for the time at which it arrived, and may be spent for an hour from then.
func TestAttemptTTL(t *testing.T) {
	for _, tt := range []struct {
		ttl  time.Duration // as configured
		wait time.Duration
		want error
	}{
		{0, 59 * time.Minute, nil},
		{0, time.Hour - time.Microsecond, nil},
		{0, time.Hour, twofactor.ErrWrong},
		{0, 2 * time.Hour, twofactor.ErrWrong},
		{time.Minute, time.Minute - time.Microsecond, nil},
		{time.Minute, time.Minute, twofactor.ErrWrong},
		// A clock that was set back does not prolong the wait.
		{0, -59 * time.Minute, nil},
		{0, -time.Hour, twofactor.ErrWrong},
		{0, -24 * time.Hour, twofactor.ErrWrong},
	} {
		t.Run(fmt.Sprint(tt.ttl, tt.wait), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var set time.Duration
				k := newKit(t, func(c *twofactor.Config) {
					c.AttemptTTL = tt.ttl
					c.Now = func() time.Time { return time.Now().Add(set) }
				})
				a := k.enrol(alice)
				att, err := k.Begin(t.Context(), alice, login, a.code())
				require.NoError(t, err)
				assert.Equal(t, policy.ProofTOTP, att.Proof())
				set = tt.wait
				err = store.Transact(t.Context(), k.store, func(tx *store.Tx) error { return att.Spend(t.Context(), tx, opens(login, "s")) })
				if tt.want == nil {
					assert.NoError(t, err)
					return
				}
				assert.ErrorIs(t, err, tt.want)
				assert.Equal(t, "expired", k.last().Reason())
				set = 0
				require.NoError(t, k.signIn(k.Manager, alice, login, "s", a.code()), "it was not spent")
			})
		})
	}
}

// A reuse is checked for the arrival as well: a repeat whose body takes an hour is within the
// three minutes if its header came within them.
func TestGrantOutlivesASlowBody(t *testing.T) {
	for _, tt := range []struct {
		arrives time.Duration // after the first
		ok      bool
	}{{3*time.Minute - time.Microsecond, true}, {3 * time.Minute, false}} {
		t.Run(tt.arrives.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				code := k.enrol(alice).code()
				_, err := k.Prove(t.Context(), alice, publish(widget), code)
				require.NoError(t, err)
				time.Sleep(tt.arrives)
				use := publish(widget)
				use.At = time.Now()
				time.Sleep(30 * time.Minute)
				_, err = k.Prove(t.Context(), alice, use, code)
				if tt.ok {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
				}
			})
		})
	}
}

// AU-35: a code is verified for the time at which its request arrived, and not for when Begin
// ran.
func TestCodeIsDatedByItsArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		use, code := publish(widget), a.code()
		use.At = time.Now()
		time.Sleep(95 * time.Second)
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		require.ErrorIs(t, err, twofactor.ErrWrong, "without a date it is of now")
		_, err = k.Prove(t.Context(), alice, use, code)
		assert.NoError(t, err)

		// Nor is a present code valid for a request that came earlier.
		early := publish(plain)
		early.At = time.Now()
		time.Sleep(5 * time.Minute)
		_, err = k.Prove(t.Context(), alice, early, a.code())
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

func TestAttemptsOnlyComeFromBegin(t *testing.T) {
	k := newKit(t)
	for name, att := range map[string]*twofactor.Attempt{"nil": nil, "zero": {}} {
		assert.Equal(t, policy.NoProof, att.Proof(), name)
		err := store.Transact(t.Context(), k.store, func(tx *store.Tx) error { return att.Spend(t.Context(), tx, publish(widget)) })
		assert.Error(t, err, name)
	}
	assert.Empty(t, k.events)
}

func TestUsesThatNothingHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for name, use := range map[string]twofactor.Use{
			"zero":             {},
			"no action":        {Credential: session},
			"no credential":    {Action: protocol.Publish},
			"login with one":   {Action: protocol.Login, Credential: session},
			"carry of publish": {Action: protocol.Publish, Credential: session, Carry: true},
		} {
			_, err := k.Begin(t.Context(), alice, use, a.code())
			assert.Error(t, err, name)
			_, err = k.Prove(t.Context(), alice, use, a.code())
			assert.Error(t, err, name)
		}
		_, err := k.Prove(t.Context(), alice, login, a.code())
		assert.Error(t, err, "a login owns its commit")
		_, err = k.Begin(t.Context(), "", login, a.code())
		assert.Error(t, err, "no user")

		att, err := k.Begin(t.Context(), alice, publish(widget), a.code())
		require.NoError(t, err)
		for name, change := range map[string]func(u *twofactor.Use){
			"another credential": func(u *twofactor.Use) { u.Credential = "session-2" },
			"another action":     func(u *twofactor.Use) { u.Action = protocol.Unpublish },
			"another package":    func(u *twofactor.Use) { u.Package = plain },
			"another change":     func(u *twofactor.Use) { *u = bound(*u, "1.0.0") },
			"no change":          func(u *twofactor.Use) { u.Change = protocol.Digest{} },
			"nobody":             func(u *twofactor.Use) { u.Credential = "" },
			"carried":            func(u *twofactor.Use) { u.Carry = true },
		} {
			other := publish(widget)
			change(&other)
			err = store.Transact(t.Context(), k.store, func(tx *store.Tx) error { return att.Spend(t.Context(), tx, other) })
			assert.Error(t, err, name)
			assert.NotErrorIs(t, err, twofactor.ErrWrong, "a mistake of the caller")
		}
		_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.NoError(t, err, "none of which spent it")
	})
}

// RC-01: one recovery code, many at once.
func TestRecoveryCodeWorksOnceInParallel(t *testing.T) {
	k := newKit(t)
	var a *app
	synctest.Test(t, func(t *testing.T) {
		k.t = t
		a = k.enrol(alice)
	})
	k.t = t
	errs := parallel(64, func(i int) error {
		return k.signIn(k.Manager, alice, login, "s"+strconv.Itoa(i), a.recovery[0])
	})
	assert.Equal(t, 1, count(errs, nil))
	assert.Equal(t, 63, count(errs, twofactor.ErrWrong), "%v", errs)
}

// RC-02: all recovery codes at once, each works once.
func TestAllRecoveryCodesInParallel(t *testing.T) {
	k := newKit(t)
	var a *app
	synctest.Test(t, func(t *testing.T) {
		k.t = t
		a = k.enrol(alice)
	})
	k.t = t
	errs := parallel(20, func(i int) error {
		return k.signIn(k.Manager, alice, login, "s"+strconv.Itoa(i), a.recovery[i%5])
	})
	assert.Equal(t, 5, count(errs, nil), "%v", errs)
	s, err := k.Status(t.Context(), k.store, alice)
	require.NoError(t, err)
	assert.Zero(t, s.RecoveryLeft)
}

// RC-04: recovery codes end with the factor that they belong to, also those with which an attempt was
// begun before it was removed, and a new factor has new ones.
func TestRecoveryCodesEndWithTheFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		old := k.enrol(alice)
		begun, err := k.Begin(ctx, alice, login, old.recovery[0])
		require.NoError(t, err)
		require.NoError(t, k.Disable(ctx, audit.Actor{User: alice}, alice))
		fresh := k.enrol(alice)
		assert.ErrorIs(t, store.Transact(ctx, k.store, func(tx *store.Tx) error { return begun.Spend(ctx, tx, opens(login, "s1")) }), twofactor.ErrWrong)
		for n, code := range old.recovery {
			assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s"+strconv.Itoa(n), code), twofactor.ErrWrong)
		}
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s9", fresh.recovery[0]))
	})
}

// RC-06: a recovery code in capitals or in groups is the same code, and used with it. No two codes are
// one: each letter stands for itself.
func TestSpellingsOfARecoveryCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n, spell := range []func(string) string{
			strings.ToUpper,
			func(s string) string { return s[:16] + " " + s[16:32] + "-" + s[32:] },
			func(s string) string { return "\t" + s + " " },
		} {
			code := a.recovery[n].Reveal()
			other := strings.NewReplacer("0", "o", "1", "l").Replace(code)
			if other != code {
				assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "other", secretOf(other)), twofactor.ErrWrong)
			}
			require.NoError(t, k.signIn(k.Manager, alice, login, "s"+strconv.Itoa(n), secretOf(spell(code))), spell(code))
			assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "later", secretOf(code)), twofactor.ErrWrong)
		}
	})
}

// RC-07: the event of a recovery code says how many are left, down to the last one.
func TestRecoveryCodesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n, code := range a.recovery {
			require.NoError(t, k.signIn(k.Manager, alice, login, "s"+strconv.Itoa(n), code))
			e := k.last()
			assert.Equal(t, audit.RecoveryUsed, e.Type)
			assert.Equal(t, strconv.Itoa(4-n), e.Detail["left"])
			s, err := k.Status(t.Context(), nil, alice)
			require.NoError(t, err)
			assert.Equal(t, 4-n, s.RecoveryLeft)
		}
		require.NoError(t, k.signIn(k.Manager, alice, login, "s", a.code()), "the app stays")
		assert.NotContains(t, k.last().Detail, "left")
	})
}

// RC-03: the code is spent in the commit of what it allows.
func TestRecoveryCodeIsNotLostWithoutItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		att, err := k.Begin(t.Context(), alice, login, a.recovery[0])
		require.NoError(t, err)
		crash := errors.New("crash")
		err = store.Transact(t.Context(), k.store, func(tx *store.Tx) error {
			if err := att.Spend(t.Context(), tx, opens(login, "s")); err != nil {
				return err
			}
			return crash
		})
		require.ErrorIs(t, err, crash)
		s, err := k.Status(t.Context(), k.store, alice)
		require.NoError(t, err)
		assert.Equal(t, 5, s.RecoveryLeft)
		require.NoError(t, k.signIn(k.Manager, alice, login, "s", credential.NewSecret(" "+upper(a.recovery[0].Reveal()))), "in either case")
		assert.Equal(t, audit.RecoveryUsed, k.last().Type)
		s, err = k.Status(t.Context(), k.store, alice)
		require.NoError(t, err)
		assert.Equal(t, 4, s.RecoveryLeft)
		assert.ErrorIs(t, k.signIn(k.Manager, alice, login, "s2", a.recovery[0]), twofactor.ErrWrong)
	})
}

// Every failure of the store is a refusal, and none of the errors for the client.
func TestBrokenStoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := k.Prove(ctx, alice, publish(widget), a.code())
		require.Error(t, err)
		assert.NotErrorIs(t, err, twofactor.ErrWrong)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// The commit that spends a recovery code records that the account was recovered; no other proof
// does.
func TestRecoveredStandsWithTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		time.Sleep(time.Minute)
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", a.code()))
		require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s2", secretOf(strings.Repeat("0", 64))), twofactor.ErrWrong)
		assert.Zero(t, k.subject(alice).Recovered)

		att, err := k.Begin(ctx, alice, login, a.recovery[0])
		require.NoError(t, err)
		fail := errors.New("boom")
		require.ErrorIs(t, store.Transact(ctx, k.store, func(tx *store.Tx) error {
			if err := att.Spend(ctx, tx, opens(login, "s3")); err != nil {
				return err
			}
			return fail
		}), fail)
		assert.Zero(t, k.subject(alice).Recovered)
		require.NoError(t, k.signIn(k.Manager, alice, login, "s4", a.recovery[0]), "the code was not spent")
		assert.Equal(t, time.Now().UTC(), k.subject(alice).Recovered)
	})
}

// AU-05: the commit that spends a value records the event: once when it ran several times, and
// not at all when it did not happen.
func TestSpendIsToldOf(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   storetest.Fault
		other   error // what another part of the commit returns
		events  []audit.Outcome
		reasons []string
		spent   bool
	}{
		"done":          {storetest.Fault{On: storetest.Lists}, nil, []audit.Outcome{audit.Done}, nil, true},
		"run again":     {storetest.Fault{On: storetest.Commits, Times: 5, Err: store.ErrConflict}, nil, []audit.Outcome{audit.Done}, nil, true},
		"refused":       {storetest.Fault{On: storetest.Lists}, assert.AnError, nil, nil, false},
		"not committed": {storetest.Fault{On: storetest.Commits}, storetest.ErrFault, nil, nil, false},
		"unknown":       {storetest.Fault{On: storetest.Commits, After: true}, store.ErrUnknown, []audit.Outcome{audit.Failed}, []string{"unknown"}, true},
	} {
		for _, recovery := range []bool{false, true} {
			t.Run(fmt.Sprint(name, recovery), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t)
					ctx := t.Context()
					a := k.enrol(alice)
					value, want := a.code(), audit.FactorUsed
					if recovery {
						value, want = a.recovery[0], audit.RecoveryUsed
					}
					use := login
					use.Addr = terminal
					att, err := k.Begin(ctx, alice, use, value)
					require.NoError(t, err)
					k.events = nil
					runs := 0
					err = store.Transact(ctx, storetest.NewFaulty(k.store, tt.fault), func(tx *store.Tx) error {
						runs++
						if err := att.Spend(ctx, tx, opens(use, "s")); err != nil {
							return err
						}
						if errors.Is(tt.other, assert.AnError) {
							return tt.other
						}
						return nil
					})
					assert.ErrorIs(t, err, tt.other)
					assert.Equal(t, 1+tt.fault.Times, runs)
					var got []audit.Outcome
					for _, e := range k.events {
						got = append(got, e.Outcome)
						assert.Equal(t, want, e.Type)
						assert.Equal(t, tt.reasons, e.Reasons)
						assert.Equal(t, terminal, e.Addr)
						assert.Equal(t, alice, e.User)
					}
					assert.Equal(t, tt.events, got)
					err = k.signIn(k.Manager, alice, login, "s2", value)
					if tt.spent {
						assert.ErrorIs(t, err, twofactor.ErrWrong)
					} else {
						assert.NoError(t, err)
					}
				})
			})
		}
	}
}

// A refusal is recorded once, too, with the IP address that it came from.
func TestRefusalIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		use := publish(widget)
		use.Addr = browser
		for n := range 6 {
			k.events = nil
			_, err := k.Prove(t.Context(), alice, use, a.wrong(n))
			require.Error(t, err)
			require.Len(t, k.events, 1)
			e := k.last()
			assert.Equal(t, audit.Denied, e.Outcome)
			assert.Equal(t, audit.Actor{User: alice, Credential: session, Addr: browser}, e.Actor())
			if n == 5 {
				assert.Equal(t, audit.FactorLocked, e.Type)
			}
		}
	})
}

// The log of the store gets the event in the commit that spends the value.
func TestSpendIsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		log, err := audit.NewLog(audit.LogConfig{Store: k.store})
		require.NoError(t, err)
		m := k.node(func(c *twofactor.Config) { c.Events = audit.NewRecorder(audit.RecorderConfig{Log: log}) })
		require.ErrorIs(t, k.signIn(m, alice, login, "s", a.wrong(0)), twofactor.ErrWrong)
		require.NoError(t, k.signIn(m, alice, login, "s", a.recovery[0]))
		rows := keysOf(t, k.store, "audit/")
		require.Len(t, rows, 1, "and not what was refused")
		items, err := k.store.Get(ctx, rows[0])
		require.NoError(t, err)
		assert.Contains(t, string(items[0].Value), string(audit.RecoveryUsed))
	})
}
