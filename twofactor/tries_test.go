package twofactor_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/twofactor"
)

// Right codes are no guesses, whatever happens to the requests: an upload that breaks off
// spends none. Wrong ones are counted as usual.
func TestRightCodesAreNoGuesses(t *testing.T) {
	for name, tt := range map[string]struct {
		use   twofactor.Use
		right func(a *app, n int) credential.Secret

		recovers bool
	}{
		"app": {use: publish(widget), right: func(a *app, _ int) credential.Secret {
			time.Sleep(30 * time.Second)
			return a.code()
		}},
		"recovery": {use: login, right: func(a *app, n int) credential.Secret { return a.recovery[n] }, recovers: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				a := k.enrol(alice)
				spend := func(code credential.Secret) error {
					if tt.use.Credential == "" {
						return k.signIn(k.Manager, alice, tt.use, "s", code)
					}
					_, err := k.Prove(t.Context(), alice, tt.use, code)
					return err
				}
				present := func() {
					t.Helper()
					for n := range len(a.recovery) { // five
						_, err := k.Begin(t.Context(), alice, tt.use, tt.right(a, n))
						require.NoError(t, err, n)
					}
				}
				present()
				for n := range 4 {
					require.ErrorIs(t, spend(a.wrong(n)), twofactor.ErrWrong)
				}
				present()
				require.ErrorIs(t, spend(a.wrong(4)), twofactor.ErrWrong)
				if err := spend(tt.right(a, 0)); tt.recovers && tt.use.Credential == "" {
					assert.NoError(t, err, "at a login nothing bars a recovery code")
				} else {
					assert.ErrorIs(t, err, twofactor.ErrTooMany, "five wrong ones are too many")
				}
			})
		})
	}
}

// Only wrong codes lock the factor.
func TestHardLimitCountsWrongCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		of := func(n int) twofactor.Use {
			return bound(twofactor.Use{Credential: "c" + strconv.Itoa(n), Action: protocol.Publish})
		}
		for n := range 99 {
			_, err := k.Prove(t.Context(), alice, of(n), a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong, n)
		}
		for n := range 20 {
			_, err := k.Begin(t.Context(), alice, of(100+n), a.code())
			require.NoError(t, err, n)
		}
		_, err := k.Prove(t.Context(), alice, of(99), a.wrong(99))
		require.ErrorIs(t, err, twofactor.ErrWrong, "the hundredth")
		_, err = k.Begin(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrLocked)
	})
}

// A used code is no longer right, and counts.
func TestReplayedCodeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		used := a.code()
		require.NoError(t, k.signIn(k.Manager, alice, login, "s", used))
		present := func(code credential.Secret) error {
			_, err := k.Prove(t.Context(), alice, publish(widget), code)
			return err
		}
		require.ErrorIs(t, present(used), twofactor.ErrWrong)
		for n := range 4 {
			require.ErrorIs(t, present(a.wrong(n)), twofactor.ErrWrong)
		}
		assert.ErrorIs(t, present(a.wrong(4)), twofactor.ErrTooMany)
	})
}
