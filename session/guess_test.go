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

// A siege is a fixture with a clock, at whose accounts people guess.
type siege struct {
	*fixture
	t   *testing.T
	now time.Time
	// code is what the second factor of an account accepts, and asked are the accounts of which that
	// was asked.
	code, recovery string
	asked          []protocol.UserID
}

func besiege(t *testing.T) *siege {
	s := &siege{t: t, now: time.Date(2026, 11, 30, 12, 0, 10, 0, time.UTC), code: "111111", recovery: "1recovery"}
	s.fixture = open(t, func(c *session.Config) {
		c.Now = func() time.Time { return s.now }
		c.Verifies = func(_ context.Context, sub subject.Subject, f subject.Factor) (bool, bool, error) {
			s.asked = append(s.asked, sub.ID)
			code := f.Value.Reveal()
			return sub.ID == "u-jane" && (code == s.code || code == s.recovery), !strings.HasSuffix(code, "recovery"), nil
		}
	})
	require.NoError(t, store.Transact(t.Context(), s.store, func(tx *store.Tx) error {
		return subject.SetTwoFactor(t.Context(), tx, "u-jane", protocol.AuthAndWrites)
	}))
	return s
}

// from returns a client with its own network.
func from(i int) session.Client {
	return session.Client{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})}
}

// guess signs in as name with a wrong password, and returns how long to wait where it was not checked.
func (s *siege) guess(name string, c session.Client) time.Duration {
	return s.try(session.SignIn{Name: name, Password: credential.NewSecret("wrong"), Client: c})
}

// try returns 0 if the password was checked.
func (s *siege) try(in session.SignIn) time.Duration {
	s.t.Helper()
	before := len(s.checked)
	_, _, err := s.SignIn(s.t.Context(), in)
	wait, waits := errors.AsType[*subject.WaitError](err)
	if !waits {
		require.Len(s.t, s.checked, before+1)
		return 0
	}
	require.Len(s.t, s.checked, before, "not checked")
	require.Positive(s.t, wait.After)
	return wait.After
}

// guesses returns how many of n guesses, each from a network of its own, are checked.
func (s *siege) guesses(name string, n, first int) (checked int) {
	for i := range n {
		if s.guess(name, from(first+i)) == 0 {
			checked++
		}
	}
	return checked
}

// AU-20: from all places that an account does not know there are 20 guesses together, and then one
// after each wait, which doubles.
func TestGuessesFromAnywhere(t *testing.T) {
	for _, name := range []string{"jane", "joe", "eve", "mallory", "nobody-at-all"} {
		t.Run(name, func(t *testing.T) {
			s := besiege(t)
			assert.Equal(t, 20, s.guesses(name, 20, 0))
			for i, wait := range []time.Duration{30, 60, 120, 240, 480, 900, 900} {
				// An account without a second factor has one for each network besides: this one has had its.
				c := from(1000 + 10*i)
				s.guess(name, c)
				assert.Equal(t, wait*time.Second, s.guess(name, c), "%d", i)
				s.now = s.now.Add(wait*time.Second - time.Millisecond)
				assert.Positive(t, s.guess(name, c))
				s.now = s.now.Add(time.Millisecond)
				assert.Zero(t, s.guess(name, from(1001+i)), "%d", i)
			}
		})
	}
}

// NIST SP 800-63B-4, section 3.2.2: an account with a second factor is closed after 100 to whom it
// does not know. The others cannot be: they have no code that opens them.
func TestHundredGuesses(t *testing.T) {
	const days = 2
	checked := func(name string) (n int) {
		s := besiege(t)
		for range days * 24 * 4 {
			n += s.guesses(name, 5, 0)
			s.now = s.now.Add(15 * time.Minute)
		}
		return n
	}
	assert.Equal(t, 100, checked("jane"))
	// One after each wait, and for each of the five networks one in the same time.
	joe := checked("joe")
	assert.Greater(t, joe, days*24*4)
	assert.LessOrEqual(t, joe, 20+days*24*4*6)
	// A name that nobody has is like one or the other, and always the same.
	seen := map[bool]int{}
	for i := range 12 {
		name := fmt.Sprint("nobody", i)
		closed := checked(name) == 100
		seen[closed]++
	}
	assert.Len(t, seen, 2, "%v", seen)
}

// Until the account signs in from such a place, the password changes, or a year has passed.
func TestGuessesAreForgotten(t *testing.T) {
	closed := func(t *testing.T) *siege {
		s := besiege(t)
		for range 2 * 24 * 4 {
			s.guesses("jane", 2, 0)
			s.now = s.now.Add(15 * time.Minute)
		}
		require.Equal(t, 15*time.Minute, s.guess("jane", from(5000)))
		return s
	}
	t.Run("sign-in", func(t *testing.T) {
		s := closed(t)
		in := jane(s.code)
		in.Client = from(6000)
		require.Zero(t, s.try(in))
		assert.Equal(t, 20, s.guesses("jane", 40, 0))
	})
	t.Run("password", func(t *testing.T) {
		s := closed(t)
		require.NoError(t, s.subjects.EndSessions(t.Context(), operator, "u-jane"))
		assert.Equal(t, 20, s.guesses("jane", 40, 0))
	})
	t.Run("a year", func(t *testing.T) {
		s := closed(t)
		s.now = s.now.Add(362 * 24 * time.Hour)
		require.Zero(t, s.guesses("jane", 3, 0))
		s.now = s.now.Add(3 * 24 * time.Hour)
		assert.Equal(t, 20, s.guesses("jane", 40, 0))
	})
}

// A place from which the account has signed in has guesses of its own, which nobody elsewhere uses
// up: its network, or its browser in any network.
func TestKnownPlaces(t *testing.T) {
	s := besiege(t)
	home := jane("111111")
	home.Client, home.Browser = from(1), credential.NewSecret("the browser of jane")
	require.Zero(t, s.try(home))
	for range 2 * 24 * 4 {
		s.guesses("jane", 3, 100)
		s.now = s.now.Add(15 * time.Minute)
	}
	require.Equal(t, 15*time.Minute, s.guess("jane", from(9000)), "closed to others")

	wrong := session.SignIn{Name: "jane", Password: credential.NewSecret("wrong"), Client: from(1)}
	away := wrong
	away.Client, away.Browser = from(2), home.Browser
	other := wrong
	other.Client.Addr = netip.MustParseAddr("10.0.1.200") // the same /24
	for in, want := range map[*session.SignIn]time.Duration{&wrong: 30 * time.Second, &away: 30 * time.Second} {
		for i := range 20 {
			require.Zero(t, s.try(*in), "%d", i)
		}
		assert.Equal(t, want, s.try(*in))
	}
	assert.Equal(t, 30*time.Second, s.try(other), "of the network as a whole")
	s.now = s.now.Add(30 * time.Second)
	assert.Zero(t, s.try(other))
	assert.Equal(t, time.Minute, s.try(wrong))
	s.now = s.now.Add(time.Minute)
	home.OTP = credential.NewSecret("122222")
	require.Zero(t, s.try(home), "the owner at home, by the browser's guesses")
	for i := range 20 {
		require.Zero(t, s.try(away), "%d", i)
	}
	assert.Equal(t, 30*time.Second, s.try(away))

	// To another account neither is known, and what another account knows says nothing.
	require.Equal(t, 20, s.guesses("joe", 20, 100))
	in := joe
	in.Client, in.Browser, in.Password = from(1), home.Browser, credential.NewSecret("wrong")
	s.try(in) // what the network has in 15 minutes
	assert.Positive(t, s.try(in))
}

// A place is known for 90 days, and under the password with which it signed in.
func TestPlacesAreForgotten(t *testing.T) {
	for name, forget := range map[string]func(*siege){
		"90 days": func(s *siege) { s.now = s.now.Add(90 * 24 * time.Hour) },
		"another password": func(s *siege) {
			require.NoError(s.t, s.subjects.EndSessions(s.t.Context(), operator, "u-jane"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := besiege(t)
			home := jane("111111")
			home.Client = from(1)
			require.Zero(t, s.try(home))
			s.now = s.now.Add(-time.Millisecond)
			forget(s)
			close := func() { require.Equal(t, 20, s.guesses("jane", 20, 100)) }
			if name == "90 days" {
				close()
				require.Zero(t, s.guess("jane", from(1)), "the last moment")
				s.now = s.now.Add(time.Millisecond)
			} else {
				close()
			}
			assert.Positive(t, s.guess("jane", from(1)))
		})
	}
}

// A client whose address is not known has no network that an account could know.
func TestNoAddressIsNoPlace(t *testing.T) {
	s := besiege(t)
	in := jane("111111")
	in.Client = session.Client{}
	require.Zero(t, s.try(in))
	require.Equal(t, 20, s.guesses("jane", 20, 100))
	assert.Positive(t, s.guess("jane", session.Client{}))
}

// Where there are too many guesses, a sign-in that brings a right code has its password checked. A
// wrong one is not told from a wrong password.
func TestCodeOpens(t *testing.T) {
	s := besiege(t)
	require.Equal(t, 20, s.guesses("jane", 20, 0))
	client := from(7)
	with := func(code, password string) session.SignIn {
		return session.SignIn{Name: "jane", Password: credential.NewSecret(password), OTP: credential.NewSecret(code), Client: client}
	}
	assert.Positive(t, s.try(with("", "correct horse")))
	assert.Positive(t, s.try(with("199999", "correct horse")))
	assert.Zero(t, s.try(with("111111", "wrong")))
	assert.Zero(t, s.try(with("111111", "correct horse")))
	assert.Equal(t, "login", string(s.last(t).Type))
	assert.Equal(t, audit.Done, s.last(t).Outcome)
	assert.Equal(t, []int{0, 1}, []int{s.factors - 1, len(keys(t, s.store, "session/"))}, "no factor was tried but that of the sign-in")

	// AU-24: a recovery code cannot be guessed: it opens each time.
	client = from(8) // the other is known now
	require.Equal(t, 20, s.guesses("jane", 20, 100))
	for range 3 {
		assert.Zero(t, s.try(with("1recovery", "wrong")))
	}
	assert.Positive(t, s.try(with("2recovery", "wrong")))

	// Codes open no account without a second factor, and no name that nobody has. The store is
	// asked the same.
	for _, name := range []string{"joe", "eve", "mallory"} {
		require.Equal(t, 20, s.guesses(name, 20, 200))
		s.guess(name, client)
		in := with("111111", "correct horse")
		in.Name = name
		s.asked = nil
		assert.Positive(t, s.try(in))
		assert.Len(t, s.asked, 1, name)
	}
	// And where that cannot be told, nothing opens.
	s.fixture = openOn(t, s.store, func(c *session.Config) {
		c.Now = func() time.Time { return s.now }
		c.Verifies = func(context.Context, subject.Subject, subject.Factor) (bool, bool, error) {
			return true, true, assert.AnError
		}
	})
	_, _, err := s.SignIn(t.Context(), with("111111", "correct horse"))
	assert.ErrorIs(t, err, assert.AnError)
}

// Whoever has the password would guess at the second factor with the codes that open the check, where no
// limit of the factor counts them, and whoever has a code at the password. So each waits, at last for
// a day, from wherever it comes.
func TestCodesThatOpenAreCounted(t *testing.T) {
	for name, in := range map[string]session.SignIn{
		"wrong code, right password":          {OTP: credential.NewSecret("199999"), Password: credential.NewSecret("correct horse")},
		"right code, wrong password":          {OTP: credential.NewSecret("111111"), Password: credential.NewSecret("wrong")},
		"right recovery code, wrong password": {OTP: credential.NewSecret("1recovery"), Password: credential.NewSecret("wrong")},
	} {
		t.Run(name, func(t *testing.T) {
			s := besiege(t)
			closed := func() {
				for range 2 * 24 * 4 {
					s.guesses("jane", 2, 0)
					s.now = s.now.Add(15 * time.Minute)
				}
			}
			closed()
			n := 0
			tried := func() (tried int) {
				for range 24 * 30 {
					n++
					in.Name, in.Client = "jane", from(1000+n%2000)
					_, before := s.store.counts()
					s.try(in)
					if commitsOf(s, func() {}) > before {
						tried++
					}
					s.now = s.now.Add(2 * time.Minute)
				}
				return tried
			}
			assert.InDelta(t, 30, tried(), 2)
			tried()
			for range 3 {
				assert.LessOrEqual(t, tried(), 1)
			}
			signIn := func(app, recovery string) {
				owner := jane(recovery)
				if name == "right recovery code, wrong password" {
					owner = jane(app)
				}
				owner.Client = from(1)
				require.Zero(t, s.try(owner), "codes of the other kind open it")
				require.Equal(t, audit.Done, s.last(t).Outcome)
			}
			signIn(s.code, s.recovery)
			closed()
			assert.InDelta(t, 30, tried(), 2, "counted anew")

			// At a known place, too, but there the owner has opened the account to nobody else.
			for range 30 {
				s.guess("jane", from(1))
			}
			require.Positive(t, s.guess("jane", from(1)))
			s.code, s.recovery = "122222", "1r recovery"
			if in.OTP.Reveal() == "111111" {
				in.OTP = credential.NewSecret(s.code)
			} else if in.OTP.Reveal() == "1recovery" {
				in.OTP = credential.NewSecret(s.recovery)
			}
			signIn(s.code, s.recovery)
			assert.InDelta(t, 30, tried(), 2)
			assert.Zero(t, s.guesses("jane", 10, 10))
		})
	}
}

// An account without a second factor is not closed to its owner by others: each network has one
// guess in 15 minutes that others do not use up.
func TestReservedGuess(t *testing.T) {
	s := besiege(t)
	require.Equal(t, 20, s.guesses("joe", 20, 0))
	for range 4 {
		for i := range 50 { // whoever is faster than the owner
			s.guess("joe", from(100+i))
		}
		s.guess("joe", from(100)) // who had that of the account, and not yet that of its network
		require.Positive(t, s.guess("joe", from(100)))
		assert.Zero(t, s.guess("joe", from(7)), "mistyped")
		assert.Positive(t, s.guess("joe", from(7)))
		s.now = s.now.Add(15 * time.Minute)
	}
	in := joe
	in.Client = from(7)
	assert.Zero(t, s.try(in))
	assert.Equal(t, audit.Done, s.last(t).Outcome)
	assert.Zero(t, s.guess("joe", from(7)), "known now")
}

// A reserved guess that is taken back takes none back of a network that has become known meanwhile.
func TestReservationTakesBackItsOwn(t *testing.T) {
	s := besiege(t)
	require.Equal(t, 20, s.guesses("joe", 20, 0))
	owner := joe
	owner.Client = from(7)
	busy := openOn(t, s.store, func(c *session.Config) {
		c.Now = func() time.Time { return s.now }
		c.CheckPassword = func(context.Context, protocol.UserID, credential.Secret) (bool, error) {
			s.now = s.now.Add(30 * time.Second) // the account has another guess
			require.Zero(t, s.try(owner))
			require.Zero(t, s.guess("joe", from(7)))
			return false, subject.ErrBusy
		}
	})
	_, _, err := busy.SignIn(t.Context(), owner)
	require.ErrorIs(t, err, subject.ErrBusy)
	for range 19 {
		require.Zero(t, s.guess("joe", from(7)))
	}
	assert.Positive(t, s.guess("joe", from(7)), "the one meanwhile counts")
}

// A password that is right is no guess, and neither is one that was not checked.
func TestRightIsNoGuess(t *testing.T) {
	s := besiege(t)
	for i := range 60 {
		in := jane("") // the client is asked for the code, and nobody answers
		in.Client = from(i)
		_, _, err := s.SignIn(t.Context(), in)
		require.ErrorIs(t, err, session.ErrFactorRequired)
		_, err = s.CheckPassword(t.Context(), in)
		require.NoError(t, err)
	}
	busy := openOn(t, s.store, func(c *session.Config) {
		c.Now = func() time.Time { return s.now }
		c.CheckPassword = func(context.Context, protocol.UserID, credential.Secret) (bool, error) { return false, subject.ErrBusy }
	})
	for i := range 60 {
		_, _, err := busy.SignIn(t.Context(), session.SignIn{Name: "jane", Password: credential.NewSecret("wrong"), Client: from(i)})
		require.ErrorIs(t, err, subject.ErrBusy)
	}
	assert.Equal(t, 20, s.guesses("jane", 40, 0))
	// Those that wait are not counted either, or an attacker could prolong the wait.
	s.now = s.now.Add(30 * time.Second)
	assert.Zero(t, s.guess("jane", from(1)))
	_, err := busy.CheckPassword(t.Context(), session.SignIn{Name: "jane", Client: from(1)})
	assert.Error(t, err)
	assert.Equal(t, time.Minute, s.guess("jane", from(1)))
	// Nor do they use up the codes that are tried.
	opened := openOn(t, s.store, func(c *session.Config) {
		c.Now = func() time.Time { return s.now }
		c.Verifies = func(_ context.Context, _ subject.Subject, f subject.Factor) (bool, bool, error) {
			return true, f.Value.Reveal() == s.code, nil
		}
		c.CheckPassword = func(context.Context, protocol.UserID, credential.Secret) (bool, error) { return false, subject.ErrBusy }
	})
	for i := range 60 {
		in := jane([]string{s.code, s.recovery}[i%2])
		in.Client = from(100 + i)
		_, err := opened.CheckPassword(t.Context(), in)
		require.ErrorIs(t, err, subject.ErrBusy)
	}
}

// What a clock that was far ahead has left locks nobody out until that time comes.
func TestClockThatWasAhead(t *testing.T) {
	s := besiege(t)
	home := jane("111111")
	home.Client = from(1)
	require.Zero(t, s.try(home))
	wrong := func(code string, c session.Client) session.SignIn {
		return session.SignIn{Name: "jane", Password: credential.NewSecret("wrong"), OTP: credential.NewSecret(code), Client: c}
	}
	used := func() (n int) {
		for range 21 {
			n += s.guesses("jane", 1, 50)
			if s.guess("jane", from(1)) == 0 {
				n++
			}
		}
		for range 21 {
			for _, code := range []string{s.code, s.recovery} {
				if s.try(wrong(code, from(60))) == 0 {
					n++
				}
			}
		}
		return n
	}
	s.now = s.now.Add(60 * 24 * time.Hour)
	require.Equal(t, 80, used())
	s.now = s.now.Add(-60 * 24 * time.Hour)
	assert.Equal(t, 4, used(), "one more of each")
	s.now = s.now.Add(24 * time.Hour)
	require.Equal(t, 4, used())
	s.now = s.now.Add(-time.Hour)
	assert.Zero(t, used(), "a clock of another node is not far ahead")
}

// A network that becomes known while somebody there has the guess that is reserved for it stays known.
func TestReservationForgetsNoPlace(t *testing.T) {
	s := besiege(t)
	require.Equal(t, 20, s.guesses("joe", 20, 100))
	in := joe
	in.Client = from(1)
	s.store.reading = func(keys []string) {
		if strings.HasPrefix(keys[0], "password-guesses/") { // after the places were read
			s.store.reading = nil
			_, _, err := s.SignIn(t.Context(), in)
			require.NoError(t, err)
			s.guesses("joe", 20, 200)
		}
	}
	_, _, err := s.SignIn(t.Context(), session.SignIn{Name: "joe", Password: credential.NewSecret("wrong"), Client: from(1)})
	wait, waits := errors.AsType[*subject.WaitError](err)
	require.True(t, waits, "%v", err)
	assert.Equal(t, time.Second, wait.After)
	for range 20 {
		require.Zero(t, s.guess("joe", from(1)), "its own")
	}
}

// A guess is counted before the password is checked, so that many at once are no more.
func TestManyGuessesAtOnce(t *testing.T) {
	d := open(t, func(c *session.Config) {
		c.Verifies = nil
	})
	require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
		return subject.SetTwoFactor(t.Context(), tx, "u-jane", protocol.AuthAndWrites)
	}))
	var checked atomic.Int32
	nodes := []*fixture{d, openOn(t, d.store)}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, _, err := nodes[i%2].SignIn(t.Context(), session.SignIn{Name: "jane", Password: credential.NewSecret("wrong"), Client: from(i)})
			if errors.Is(err, session.ErrDenied) {
				checked.Add(1)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, checked.Load(), int32(20))
	assert.Positive(t, checked.Load())
}

// AU-22: what strangers do that costs a commit is limited for each network.
func TestStrangersAreLimited(t *testing.T) {
	s := besiege(t)
	// Passwords of as many accounts as one likes.
	checked := 0
	for i := range 200 {
		if s.guess(fmt.Sprint("user", i), from(1)) == 0 {
			checked++
		}
	}
	assert.Equal(t, 60, checked)
	assert.LessOrEqual(t, len(keys(t, s.store, "")), 60+3)
	assert.Equal(t, "too-many-attempts", s.last(t).Reason())
	assert.Zero(t, s.guess("jane", from(2)), "another network")
	s.now = s.now.Add(10 * time.Second)
	assert.Zero(t, s.guess("jane", from(1)))
	assert.Positive(t, s.guess("jane", from(1)))
	assert.Equal(t, s.store.commits, commitsOf(s, func() { s.guess("jane", from(1)) }), "nothing is stored")

	// Denied logins, each of which is a row.
	rows := len(keys(t, s.store, "login/"))
	for range 100 {
		f, err := s.Start(t.Context(), from(3))
		require.NoError(t, err, "to begin one costs nothing")
		err = s.Deny(t.Context(), f.PageID, from(3))
		if err != nil {
			wait, waits := errors.AsType[*subject.WaitError](err)
			require.True(t, waits, "%v", err)
			assert.True(t, wait.Network)
		}
	}
	assert.Len(t, keys(t, s.store, "login/"), rows+60)

	// Clients that leave, whose guess is taken back in a second commit, and those that find the queue full.
	for i, err := range []error{context.Canceled, subject.ErrBusy} {
		away := openOn(t, s.store, func(c *session.Config) {
			c.Now = func() time.Time { return s.now }
			c.CheckPassword = func(context.Context, protocol.UserID, credential.Secret) (bool, error) { return false, err }
		})
		_, before := s.store.counts()
		for range 200 {
			_, _, got := away.SignIn(t.Context(), session.SignIn{Name: "jane", Password: credential.NewSecret("wrong"), Client: from(5 + i)})
			require.Error(t, got)
		}
		assert.Equal(t, before+2*60, commitsOf(s, func() {}), "%v", err)
	}

	// Not who signs in.
	for i := range 200 {
		in := jane(fmt.Sprint(100000 + i))
		in.Client = from(4)
		require.Zero(t, s.try(in))
		require.NoError(t, s.End(t.Context(), operator, "u-jane", s.last(t).Credential, "test"))
	}
}

// commitsOf returns how many commits there were after fn.
func commitsOf(s *siege, fn func()) int {
	fn()
	_, commits := s.store.counts()
	return commits
}

// Names that nobody has share rows: whoever tries many names fills no store.
func TestNamesOfNobodyShareRows(t *testing.T) {
	s := besiege(t)
	for i := range 1000 {
		s.guess(fmt.Sprint("nobody", i), from(i))
	}
	rows := keys(t, s.store, "password-guesses/")
	assert.Greater(t, len(rows), 900)
	for _, key := range rows {
		assert.Len(t, key, len("password-guesses/nobody-1234"), "one of 65536")
	}
	assert.NotContains(t, dump(t, s.store), "nobody7", "no name is stored")
}

// AU-23: a name that nobody has costs as many requests of the store as one that somebody has, and
// the same ones, whatever is presented.
func TestNoTellByTheStore(t *testing.T) {
	counts := func(s *siege, in session.SignIn) [2]int {
		reads, commits := s.store.counts()
		s.try(in)
		r, c := s.store.counts()
		return [2]int{r - reads, c - commits}
	}
	for _, code := range []string{"", "199999", "111111", "2recovery", "no code"} {
		for exists, factor := range map[string]bool{"jane": true, "joe": false} {
			s := besiege(t)
			// A name that nobody has and that is answered as this account is: the key of the store decides.
			probe := func(name string) (waits bool) {
				require.Equal(t, 20, s.guesses(name, 20, 3000))
				return s.guess(name, from(3020)) > 0
			}
			var nobody string
			for i := 0; nobody == ""; i++ {
				if name := fmt.Sprint("nobody", i); probe(name) == factor {
					nobody = name
				}
			}
			require.Equal(t, factor, probe(exists))
			for i := range 60 {
				in := session.SignIn{Name: exists, Password: credential.NewSecret("wrong"), OTP: credential.NewSecret(code), Client: from(i % 7)}
				of := counts(s, in)
				in.Name = nobody
				assert.Equal(t, of, counts(s, in), "guess %d with code %q, factor %v", i, code, factor)
				s.now = s.now.Add(17 * time.Second)
			}
		}
	}
}

// AU-20: a credential that guesses the password of its own account ends after five.
func TestOwnPassword(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	d := open(t, func(c *session.Config) { c.Now = func() time.Time { return now } })
	checks := 0
	check := func(right bool, err error) error {
		return d.OwnPasswordBy(t.Context(), audit.Actor{User: "u-jane", Credential: "s-1"}, func(context.Context) (bool, error) {
			checks++
			return right, err
		})
	}
	for range 4 {
		assert.NoError(t, check(true, nil))
		assert.ErrorIs(t, check(true, subject.ErrBusy), subject.ErrBusy, "not checked: no guess, and no right one either")
		assert.ErrorIs(t, check(false, subject.ErrBusy), subject.ErrBusy)
		assert.ErrorIs(t, check(false, nil), session.ErrDenied)
	}
	checks = 0
	assert.ErrorIs(t, check(false, nil), session.ErrGuesses)
	assert.Equal(t, 1, checks)
	assert.ErrorIs(t, check(true, nil), session.ErrGuesses)
	assert.Equal(t, 1, checks, "not checked any more")
	now = now.Add(24*time.Hour - time.Microsecond)
	assert.ErrorIs(t, check(true, nil), session.ErrGuesses)
	now = now.Add(-24*time.Hour + time.Microsecond)
	assert.ErrorIs(t, d.OwnPasswordBy(t.Context(), audit.Actor{User: "u-jane", Credential: "s-2"}, func(context.Context) (bool, error) { return false, nil }), session.ErrDenied, "another credential")
	now = now.Add(24 * time.Hour)
	assert.ErrorIs(t, check(false, nil), session.ErrDenied)

	assert.Error(t, d.OwnPasswordBy(t.Context(), operator, func(context.Context) (bool, error) { return true, nil }))
	d.store.before = assert.AnError
	err := check(false, nil)
	assert.ErrorIs(t, err, assert.AnError, "what cannot be counted is no wrong password")
	assert.NotErrorIs(t, err, session.ErrDenied)
}

// A session that guesses ends, and the account is as it was before the check.
func TestSessionThatGuessesEnds(t *testing.T) {
	d := open(t)
	secret, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	by := audit.Actor{User: "u-jane", Credential: s.ID, Addr: browser.Addr}
	before, err := subject.Get(t.Context(), d.store, "u-jane")
	require.NoError(t, err)
	sub, err := d.OwnPassword(t.Context(), by, credential.NewSecret("correct horse"))
	require.NoError(t, err)
	assert.Equal(t, before, sub)
	for range 4 {
		_, err := d.OwnPassword(t.Context(), by, credential.NewSecret("wrong"))
		assert.ErrorIs(t, err, session.ErrDenied)
	}
	_, err = d.Verify(t.Context(), secret)
	require.NoError(t, err)
	_, err = d.OwnPassword(t.Context(), by, credential.NewSecret("wrong"))
	assert.ErrorIs(t, err, session.ErrGuesses)
	_, err = d.Verify(t.Context(), secret)
	assert.Error(t, err)
	assert.Equal(t, "too-many-passwords", d.last(t).Reason())
	_, err = d.OwnPassword(t.Context(), by, credential.NewSecret("correct horse"))
	assert.ErrorIs(t, err, session.ErrGuesses)
}

// Many at once are no more guesses.
func TestOwnPasswordAtOnce(t *testing.T) {
	d := open(t)
	var checks atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			err := d.OwnPasswordBy(t.Context(), audit.Actor{User: "u-jane", Credential: "s-1"}, func(context.Context) (bool, error) {
				checks.Add(1)
				return false, nil
			})
			if !errors.Is(err, session.ErrDenied) && !errors.Is(err, session.ErrGuesses) && !errors.Is(err, store.ErrConflict) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, checks.Load(), int32(5))
}

// The event of a refused sign-in names the account if there is one, and never what was typed.
func TestGuessesHaveAnAccount(t *testing.T) {
	s := besiege(t)
	s.guesses("jane", 20, 0)
	require.Positive(t, s.guess("jane", from(30)))
	require.NoError(t, s.subjects.Disable(t.Context(), operator, "u-joe"))
	s.guess("joe", from(31))
	s.guess("eve", from(32))
	type told struct {
		user   protocol.UserID
		reason string
	}
	var all []told
	for _, e := range s.events {
		if e.Type == audit.Login {
			assert.Equal(t, audit.Denied, e.Outcome)
			all = append(all, told{e.User, e.Reason()})
		}
	}
	assert.Equal(t, slices.Concat(slices.Repeat([]told{{"u-jane", "password"}}, 10), // the others are one event, a minute later
		[]told{{"u-jane", "too-many-passwords"}, {"u-joe", "password"}, {"", "password"}}), all)
	assert.NotContains(t, strings.ToLower(fmt.Sprint(s.events)), "eve")
}
