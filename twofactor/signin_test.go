package twofactor_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// begin begins the second factor of a sign-in of alice, and runs the Spend in a commit.
func (k *kit) begin(f subject.Factor) error {
	k.t.Helper()
	ctx := k.t.Context()
	spend, err := k.SignIn(ctx, k.subject(alice), f)
	if err != nil {
		require.Nil(k.t, spend)
		return err
	}
	require.NotNil(k.t, spend, "no second factor was needed")
	return store.Transact(ctx, k.store, func(tx *store.Tx) error { return spend(ctx, tx, session) })
}

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		spend, err := k.SignIn(t.Context(), k.subject(alice), subject.Factor{Value: credential.NewSecret("123456")})
		require.NoError(t, err)
		require.Nil(t, spend, "an account without a second factor needs none, whatever it presents")

		a := k.enrol(alice)
		for name, value := range map[string]credential.Secret{"none": {}, "malformed": credential.NewSecret("x"), "wrong": a.wrong(0)} {
			assert.ErrorIs(t, k.begin(subject.Factor{Value: value}), subject.ErrFactorRequired, name)
		}
		code := a.code()
		require.NoError(t, k.begin(subject.Factor{Value: code, Addr: terminal}))
		assert.Equal(t, terminal, k.last().Addr)
		assert.Equal(t, protocol.Login, k.last().Action)
		assert.ErrorIs(t, k.begin(subject.Factor{Value: code}), subject.ErrFactorRequired, "a code opens one session")
		_, err = k.Prove(t.Context(), alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "and is not carried")

		time.Sleep(30 * time.Second)
		arrived, code := time.Now(), a.code()
		time.Sleep(5 * time.Minute) // the password waited in a queue
		assert.ErrorIs(t, k.begin(subject.Factor{Value: code}), subject.ErrFactorRequired, "of five minutes ago")
		require.NoError(t, k.begin(subject.Factor{Value: code, At: arrived, Carry: true}))

		for _, mode := range []protocol.TwoFactorMode{protocol.TwoFactorUnknown, 77} {
			sub := k.subject(alice)
			sub.TwoFactor = mode
			spend, err := k.SignIn(t.Context(), sub, subject.Factor{Value: a.recovery[0]})
			assert.Error(t, err, "a mode of nobody")
			assert.Nil(t, spend)
		}
		assert.NoError(t, k.begin(subject.Factor{Value: a.recovery[0]}), "which was not spent")
	})
}

// A carried code is good for one publish by the session that it opened.
func TestSignInCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		require.NoError(t, k.begin(subject.Factor{Value: code, Carry: true}))
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, publish(plain), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// A sign-in that guesses too often needs a second factor, as one that guesses. A program can tell,
// and a person is told what to wait for.
func TestSignInGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.SoftLimit, c.HardLimit = 2, 3 })
		a := k.enrol(alice)
		for i := range 2 {
			assert.ErrorIs(t, k.begin(subject.Factor{Value: a.wrong(i)}), twofactor.ErrWrong)
		}
		says := func(err error) string {
			refused, ok := errors.AsType[interface {
				error
				Sentence() string
			}](err)
			require.True(t, ok, err)
			return refused.Sentence()
		}
		err := k.begin(subject.Factor{Value: a.code()})
		assert.ErrorIs(t, err, twofactor.ErrTooMany)
		assert.ErrorIs(t, err, subject.ErrFactorRequired)
		assert.Equal(t, "There were too many wrong one-time passwords. Wait for a while, at most fifteen minutes, or use a recovery code.", says(err))
		time.Sleep(15 * time.Minute)
		assert.ErrorIs(t, k.begin(subject.Factor{Value: a.wrong(2)}), twofactor.ErrWrong)
		err = k.begin(subject.Factor{Value: a.code()})
		assert.ErrorIs(t, err, twofactor.ErrLocked)
		assert.ErrorIs(t, err, subject.ErrFactorRequired)
		assert.Contains(t, says(err), "locked")
	})
}
