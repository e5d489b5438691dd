package twofactor_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// AU-39: A code that was used a moment ago is called that, with when the next one comes, in all its
// spellings, and only while it is one that the app shows.
func TestUsedCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		time.Sleep(5 * time.Second) // 25 are left of the step
		code := a.code()
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", code))
		says := func(value credential.Secret) string {
			err := k.signIn(k.Manager, alice, login, "s2", value)
			require.ErrorIs(t, err, twofactor.ErrWrong)
			return twofactor.Sentence(err, time.Now())
		}
		digits := code.Reveal()
		for _, spelling := range []string{digits, digits[:3] + " " + digits[3:]} {
			assert.Equal(t, "That code was used already. Your app shows the next one in 25 seconds.", says(secretOf(spelling)))
		}
		time.Sleep(23*time.Second + time.Millisecond)
		assert.Equal(t, "That code was used already. Your app shows the next one in 2 seconds.", says(code))
		time.Sleep(time.Second)
		assert.Equal(t, "That code was used already. Your app shows the next one in a second.", says(code))
		time.Sleep(time.Second)
		assert.Equal(t, "That code was used already. Use the one that your app shows now.", says(code))

		// What is not right is never called used, nor what is too old to be.
		const wrong = "The one-time password is wrong or too old."
		assert.Equal(t, wrong, says(a.wrong(0)))
		time.Sleep(31 * time.Second)
		assert.Equal(t, wrong, says(code))
	})
}

// A clock that was fast used up the next code: the one that the app shows was not used itself.
func TestUsedNewerCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", a.at(time.Now().Add(30*time.Second))))
		err := k.signIn(k.Manager, alice, login, "s2", a.code())
		assert.Equal(t, "A newer code than that one was used already. Your app shows the next one in 60 seconds.", twofactor.Sentence(err, time.Now()))
	})
}

// Who does not have the account's factor learns nothing: not of another user's code, and of a
// locked factor not even whether a code is right.
func TestUsedCodeIsNoOracle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.HardLimit, c.SoftLimit = 1, 1 })
		a := k.enrol(alice)
		k.enrol(mallory)
		used := a.code()
		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", used))
		err := k.signIn(k.Manager, mallory, login, "s2", used)
		_, told := errors.AsType[*twofactor.UsedError](err)
		assert.False(t, told, "another user's: %v", err)
		require.ErrorIs(t, k.signIn(k.Manager, alice, login, "s3", a.wrong(0)), twofactor.ErrWrong)
		err = k.signIn(k.Manager, alice, login, "s4", used)
		assert.ErrorIs(t, err, twofactor.ErrLocked)
		_, told = errors.AsType[*twofactor.UsedError](err)
		assert.False(t, told, "a locked one: %v", err)
	})
}

// A confirmation of a page, and one that is used up by its repeats, was used too; no app shows
// another. Recovery codes leave no record.
func TestUsedConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		use := publish(widget)
		c := k.open()
		typed, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		for n := range 9 { // and eight repeats
			_, err = k.Prove(t.Context(), alice, use, typed)
			require.NoError(t, err, n)
		}
		_, err = k.Prove(t.Context(), alice, use, typed)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		assert.Equal(t, "That confirmation was used already.", twofactor.Sentence(err, time.Now()))

		require.NoError(t, k.signIn(k.Manager, alice, login, "s1", a.recovery[0]))
		err = k.signIn(k.Manager, alice, login, "s2", a.recovery[0])
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		_, told := errors.AsType[*twofactor.UsedError](err)
		assert.False(t, told)
	})
}

func TestSentence(t *testing.T) {
	for err, want := range map[error]string{
		twofactor.ErrWrong: "wrong or too old", twofactor.ErrLocked: "locked", twofactor.ErrTooMany: "too many",
		twofactor.ErrNoFactor: "", subject.ErrFactorRequired: "", errors.New("an outage"): "",
	} {
		got := twofactor.Sentence(fmt.Errorf("around: %w", err), time.Now())
		assert.Equal(t, want == "", got == "", "%v: %s", err, got)
		assert.Contains(t, got, want)
	}
	assert.Empty(t, twofactor.Sentence(nil, time.Now()))
}
