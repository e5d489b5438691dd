package twofactor_test

import (
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
	"github.com/npmauth/npmauth/twofactor"
)

// A status is read through the given reader: a transaction, or the store for nil.
func TestStatusOfAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		s, err := k.Status(ctx, nil, alice)
		require.NoError(t, err)
		assert.Zero(t, s)
		k.enrol(alice)
		enrolled := twofactor.Status{Enabled: true, App: true, RecoveryLeft: 5}
		s, err = k.Status(ctx, nil, alice)
		require.NoError(t, err)
		assert.Equal(t, enrolled, s)
		require.NoError(t, store.Transact(ctx, k.store, func(tx *store.Tx) error {
			if err := k.DisableTx(ctx, tx, operator, alice); err != nil {
				return err
			}
			for r, want := range map[store.Reader]twofactor.Status{tx: {}, nil: enrolled} {
				s, err := k.Status(ctx, r, alice)
				require.NoError(t, err)
				assert.Equal(t, want, s)
			}
			return nil
		}))
	})
}

// SetModeTx changes the mode of a factor in the caller's commit.
func TestSetMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		by := audit.Actor{User: alice, Credential: session, Addr: terminal}
		set := func(mode protocol.TwoFactorMode, other error) error {
			return store.Transact(ctx, k.store, func(tx *store.Tx) error {
				if err := k.SetModeTx(ctx, tx, by, alice, mode); err != nil {
					return err
				}
				return other
			})
		}
		assert.ErrorIs(t, set(protocol.AuthOnly, nil), twofactor.ErrNoFactor)
		_, err := k.Enrol(ctx, by, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
		assert.Equal(t, by, k.last().Actor())
		assert.ErrorIs(t, set(protocol.AuthOnly, nil), twofactor.ErrNoFactor, "one that is not confirmed is none")
		assert.Equal(t, protocol.TwoFactorOff, k.mode(alice))

		k.enrol(alice)
		told := len(k.events)
		for _, mode := range []protocol.TwoFactorMode{protocol.TwoFactorOff, protocol.TwoFactorUnknown, 77} {
			assert.Error(t, set(mode, nil), "a factor is turned off by Disable")
		}
		assert.ErrorIs(t, set(protocol.AuthOnly, assert.AnError), assert.AnError)
		assert.Equal(t, protocol.AuthAndWrites, k.mode(alice))
		assert.Len(t, k.events, told)

		numbers := k.subject(alice).Numbers(policy.KindSession)
		require.NoError(t, set(protocol.AuthOnly, nil))
		assert.Equal(t, protocol.AuthOnly, k.mode(alice))
		assert.Equal(t, numbers, k.subject(alice).Numbers(policy.KindSession), "no session ends")
		e := k.last()
		assert.Equal(t, audit.FactorMode, e.Type)
		assert.Equal(t, map[string]string{"mode": "auth-only"}, e.Detail)
		assert.Equal(t, by, e.Actor())

		told = len(k.events)
		require.NoError(t, k.Disable(ctx, by, alice))
		assert.Len(t, k.events, told+1)
		assert.Zero(t, k.subject(alice).Recovered, "what people remove themselves recovers nothing")
		assert.Equal(t, audit.FactorDisabled, k.last().Type)
		assert.Equal(t, by, k.last().Actor())
		assert.ErrorIs(t, set(protocol.AuthOnly, nil), twofactor.ErrNoFactor)
	})
}

// A factor that somebody other than its user removes is a recovery of the account, in the same
// commit. An enrolment that was never confirmed was no factor.
func TestDisableByAnotherRecovers(t *testing.T) {
	for name, by := range map[string]audit.Actor{"the operator": operator, "an administrator": {User: "root", Addr: terminal}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				ctx := t.Context()
				_, err := k.Enrol(ctx, operator, alice, "alice", protocol.AuthOnly)
				require.NoError(t, err)
				require.NoError(t, k.Disable(ctx, by, alice))
				assert.Zero(t, k.subject(alice).Recovered)

				k.enrol(alice)
				time.Sleep(time.Minute)
				require.ErrorIs(t, store.Transact(ctx, k.store, func(tx *store.Tx) error {
					require.NoError(t, k.DisableTx(ctx, tx, by, alice))
					return assert.AnError
				}), assert.AnError)
				assert.Zero(t, k.subject(alice).Recovered)
				told := len(k.events)
				require.NoError(t, k.Disable(ctx, by, alice))
				assert.Equal(t, time.Now().UTC(), k.subject(alice).Recovered)
				now := time.Now().UTC()
				assert.Equal(t, []audit.Event{
					audit.Event{Time: now, Type: audit.AccountRecovered, Outcome: audit.Done, User: alice, Reasons: []string{"factor-removed"}}.From(by),
					audit.Event{Time: now, Type: audit.FactorDisabled, Outcome: audit.Done, User: alice}.From(by),
				}, k.events[told:])
			})
		})
	}
}

// SetTx does what npm profile sends, by what the account has.
func TestSetTx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		set := func(mode protocol.TwoFactorMode) (uri credential.Secret, err error) {
			err = store.Transact(ctx, k.store, func(tx *store.Tx) error {
				uri, err = k.SetTx(ctx, tx, operator, alice, "alice", mode)
				return err
			})
			return uri, err
		}
		_, err := set(protocol.TwoFactorOff)
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		_, err = set(protocol.TwoFactorUnknown)
		assert.Error(t, err)
		uri, err := set(protocol.AuthOnly)
		require.NoError(t, err)
		a := &app{t: t, secret: secretIn(t, uri)}
		_, err = k.Confirm(ctx, operator, alice, a.code())
		require.NoError(t, err)
		assert.Equal(t, protocol.AuthOnly, k.mode(alice))
		for _, mode := range []protocol.TwoFactorMode{protocol.AuthAndWrites, protocol.TwoFactorOff} {
			uri, err := set(mode)
			require.NoError(t, err)
			assert.True(t, uri.IsZero())
			assert.Equal(t, mode, k.mode(alice))
		}
		uri, err = set(protocol.AuthOnly)
		require.NoError(t, err)
		assert.False(t, uri.IsZero(), "it is enrolled anew")
	})
}
