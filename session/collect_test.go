package session_test

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// approve starts and approves a flow.
func approve(t *testing.T, d *fixture, code string) session.Flow {
	t.Helper()
	f := start(t, d)
	require.NoError(t, d.Approve(t.Context(), f.PageID, jane(code)))
	return f
}

// salts reports whether the store has a salt that a secret could be derived with.
func salts(t *testing.T, d *fixture) bool {
	t.Helper()
	all := dump(t, d.store)
	require.Contains(t, all, `"salt":`)
	index := len(keys(t, d.store, "login.salted/")) > 0
	assert.Equal(t, index, strings.Contains(strings.ReplaceAll(all, `"salt":null`, ""), `"salt":`))
	return index
}

// DU-01: a guessed ID finds nothing, gets the answer of a login that is over, and costs the
// store nothing.
func TestCollectGuesses(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	good := f.PollID.Reveal()
	reads, commits := d.store.counts()

	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	guesses := []string{
		"", "npms_", good[5:], good + "0", good[:len(good)-1], "npm_" + good[5:] + "0", "npms_+" + good[6:], "npms_-" + good[6:],
		"npms_" + strings.Repeat("Z", 43), "npms_" + strings.Repeat("0", 43), "npms_" + strings.Repeat("_", 43), "NPMS_" + good[5:],
		f.PageID, f.CheckCode, credential.Sum(f.PollID).String(), credential.New("npms_").Reveal(),
	}
	for i := range good {
		for _, c := range "0a" {
			if mutant := good[:i] + string(c) + good[i+1:]; mutant != good {
				guesses = append(guesses, mutant)
			}
		}
	}
	for range 10000 {
		var b [43]byte
		rand.Read(b[:])
		for i := range b {
			b[i] = alphabet[b[i]%62]
		}
		guesses = append(guesses, "npms_"+string(b[:]))
	}
	for _, id := range guesses {
		p, err := d.Collect(t.Context(), id, terminal)
		require.NoError(t, err)
		require.Equal(t, session.Poll{}, p, id)
	}
	r, c := d.store.counts()
	assert.Equal(t, [2]int{reads, commits}, [2]int{r, c})
	assert.Equal(t, session.Done, collect(t, d, f, terminal).State)
}

// DU-15, DU-16: every poll that has to wait gets the number of seconds to wait, at once and without
// keeping anything open, and costs one read.
func TestCollectPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		f := start(t, d)
		last := 1
		for time.Now().Before(f.Expires) {
			before, commits := d.store.counts()
			begun := time.Now()
			p := collect(t, d, f, terminal)
			require.Zero(t, time.Since(begun))
			after, still := d.store.counts()
			require.Equal(t, session.Pending, p.State)
			require.GreaterOrEqual(t, p.RetryAfter, last)
			require.Equal(t, 1, after-before)
			require.Equal(t, commits, still)
			last = p.RetryAfter
			time.Sleep(time.Duration(p.RetryAfter) * time.Second)
		}
		assert.Equal(t, 5, last)
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State)

		time.Sleep(2 * time.Minute)
		before, _ := d.store.counts()
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
		after, _ := d.store.counts()
		assert.Equal(t, before, after, "long over, it is not even looked up")
	})
}

// DU-05: a client that lost the answer can repeat its poll for 30 seconds. Then the salt is
// gone, and nobody can.
func TestCollectRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		f := approve(t, d, "111111")
		first := collect(t, d, f, terminal)
		require.Equal(t, session.Done, first.State)
		require.True(t, salts(t, d))

		for _, wait := range []time.Duration{0, 10 * time.Second, 20*time.Second - time.Microsecond} {
			time.Sleep(wait)
			again := collect(t, d, f, terminal)
			require.Equal(t, session.Done, again.State)
			assert.True(t, first.Secret.Equal(again.Secret))
			assert.Equal(t, first.Session, again.Session)
		}
		assert.True(t, salts(t, d))
		time.Sleep(time.Microsecond)
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State, "DU-03")
		assert.False(t, salts(t, d))

		_, err := get(t, d, first.Secret)
		assert.NoError(t, err, "the session lives on")
		assert.Len(t, keys(t, d.store, "session/"), 1)
		assert.Equal(t, []string{"login.started done", "login.approved done", "login done"}, d.kinds())
	})
}

// The poll of a login collected in its last second can be repeated.
func TestCollectRepeatsAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		f := start(t, d)
		time.Sleep(time.Until(f.Expires) - time.Second)
		require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
		first := collect(t, d, f, terminal)
		require.Equal(t, session.Done, first.State)
		time.Sleep(10 * time.Second)
		again := collect(t, d, f, terminal)
		assert.Equal(t, session.Done, again.State)
		assert.True(t, first.Secret.Equal(again.Secret))

		time.Sleep(time.Minute)
		assert.Equal(t, session.Over, collect(t, d, f, stranger).State)
		_, err := get(t, d, first.Secret)
		assert.ErrorIs(t, err, session.ErrNoSession, "a thief is noticed as well")
	})
}

// DU-04: the ID presented from a second IP address ends the session, within the 30 seconds and
// after them, and is recorded once.
func TestCollectFromElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second session.Client
		wait          time.Duration
	}{
		"at once":             {terminal, stranger, 0},
		"later":               {terminal, stranger, time.Minute},
		"the thief was first": {stranger, terminal, time.Second},
		"unknown address":     {terminal, session.Client{}, 0},
		"both unknown":        {session.Client{}, session.Client{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := open(t)
				f := approve(t, d, "111111")
				p := collect(t, d, f, tt.first)
				require.Equal(t, session.Done, p.State)
				time.Sleep(tt.wait)
				assert.Equal(t, session.Over, collect(t, d, f, tt.second).State)
				_, err := get(t, d, p.Secret)
				assert.ErrorIs(t, err, session.ErrNoSession)
				assert.Empty(t, keys(t, d.store, "session"))
				assert.False(t, salts(t, d))

				for range 3 {
					assert.Equal(t, session.Over, collect(t, d, f, tt.first).State)
					assert.Equal(t, session.Over, collect(t, d, f, tt.second).State)
				}
				assert.Equal(t, []string{"login.started done", "login.approved done", "login done", "login.repeated denied"}, d.kinds())
				e := d.last(t)
				assert.Equal(t, p.Session.ID, e.Credential)
				assert.Equal(t, tt.second.Addr, e.Addr)
				page, err := d.Page(t.Context(), f.PageID)
				require.NoError(t, err)
				assert.Equal(t, session.Over, page.State)
			})
		})
	}
}

// The same IP address in another notation is the same.
func TestCollectRepeatsMapped(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	require.Equal(t, session.Done, collect(t, d, f, terminal).State)
	mapped := session.Client{Addr: netip.MustParseAddr("::ffff:" + terminal.Addr.String())}
	assert.Equal(t, session.Done, collect(t, d, f, mapped).State)
}

// 64 polls from one IP address at once: one session, one secret.
func TestCollectConcurrently(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	polls := collectAll(t, d, f, func(int) session.Client { return terminal })
	require.Len(t, polls, 64)
	for _, p := range polls {
		require.Equal(t, session.Done, p.State)
		assert.True(t, polls[0].Secret.Equal(p.Secret))
		assert.Equal(t, polls[0].Session, p.Session)
	}
	assert.Len(t, keys(t, d.store, "session/"), 1)
	assert.Equal(t, []string{"login.started done", "login.approved done", "login done"}, d.kinds())
}

// 64 polls from 64 IP addresses: one secret at most, and its session is dead.
func TestCollectConcurrentlyFromElsewhere(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	done := 0
	for _, p := range collectAll(t, d, f, func(i int) session.Client {
		return session.Client{Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
	}) {
		if p.State == session.Done {
			done++
			_, err := get(t, d, p.Secret)
			assert.ErrorIs(t, err, session.ErrNoSession)
		}
	}
	assert.Equal(t, 1, done)
	assert.Empty(t, keys(t, d.store, "session"))
	assert.Equal(t, []string{"login.started done", "login.approved done", "login done", "login.repeated denied"}, d.kinds())
}

func collectAll(t *testing.T, d *fixture, f session.Flow, from func(int) session.Client) []session.Poll {
	var mu sync.Mutex
	var polls []session.Poll
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			p, err := d.Collect(t.Context(), f.PollID.Reveal(), from(i))
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			polls = append(polls, p)
		})
	}
	wg.Wait()
	return polls
}

// The commit notices what changed after the flow was read.
func TestCollectOvertaken(t *testing.T) {
	t.Run("by another poll", func(t *testing.T) {
		d := open(t)
		f := approve(t, d, "111111")
		var first session.Poll
		d.inAlive = func() { first = collect(t, d, f, terminal) }
		second := collect(t, d, f, terminal)
		require.Equal(t, session.Done, first.State)
		require.Equal(t, session.Done, second.State)
		assert.True(t, first.Secret.Equal(second.Secret))
		assert.Len(t, keys(t, d.store, "session/"), 1)
	})
	t.Run("by a thief", func(t *testing.T) {
		d := open(t)
		f := approve(t, d, "111111")
		var first session.Poll
		d.inAlive = func() { first = collect(t, d, f, stranger) }
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
		require.Equal(t, session.Done, first.State)
		_, err := get(t, d, first.Secret)
		assert.ErrorIs(t, err, session.ErrNoSession)
	})
	t.Run("by the end of the account", func(t *testing.T) {
		d := open(t)
		f := approve(t, d, "111111")
		d.gone["u-jane"] = true
		// Alive is called for the outer poll while the inner one ends the flow.
		d.inAlive = func() { assert.Equal(t, session.Over, collect(t, d, f, terminal).State) }
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
		assert.Equal(t, []string{"login.started done", "login.approved done", "login denied"}, d.kinds(), "told of once")
	})
	t.Run("by its expiry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := open(t)
			f := approve(t, d, "111111")
			time.Sleep(time.Until(f.Expires) - time.Second)
			d.inAlive = func() { time.Sleep(time.Second) }
			assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
			assert.Empty(t, keys(t, d.store, "session"))
		})
	})
}

// DU-12: an account that the host disables between approval and collection gets no session, and
// none when it is enabled later.
func TestCollectAsksWhoIsAlive(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	d.set(func() { d.gone["u-jane"] = true })
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
	assert.Equal(t, "login denied", d.kinds()[2])
	assert.Equal(t, "account", d.last(t).Reason())

	d.set(func() { delete(d.gone, "u-jane") })
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
	assert.Empty(t, keys(t, d.store, "session/"))

	// Nor is the answer repeated.
	f = approve(t, d, "122222")
	require.Equal(t, session.Done, collect(t, d, f, terminal).State)
	d.set(func() { d.gone["u-jane"] = true })
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
}

// DU-12, DU-13, AU-01: a revocation of the account's sessions between approval and collection,
// or during the collection, ends the login too, also if the account is enabled later.
func TestCollectAfterARevocation(t *testing.T) {
	for moment, at := range map[string]func(d *fixture, f *storetest.Faulty, fn func()){
		"before it is collected":  func(_ *fixture, _ *storetest.Faulty, fn func()) { fn() },
		"after what was judged":   func(d *fixture, _ *storetest.Faulty, fn func()) { d.inAlive = fn },
		"before the commit of it": func(_ *fixture, f *storetest.Faulty, fn func()) { f.Inject(commitOf(fn)) },
	} {
		for name, revoke := range revocations {
			t.Run(moment+": "+name, func(t *testing.T) {
				d, faulty := openFaulty(t)
				f := approve(t, d, "111111")
				at(d, faulty, func() { require.NoError(t, revoke(t.Context(), d, "u-jane")) })
				d.reset()
				assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
				assert.Empty(t, keys(t, d.store, "session"))
				assert.Equal(t, []string{"login denied"}, d.kinds())
				e := d.last(t)
				assert.Equal(t, "account", e.Reason())
				assert.Equal(t, terminal.Addr, e.Addr)
				assert.Equal(t, browser.Addr.String(), e.Detail["approved_from"])

				require.NoError(t, d.subjects.Enable(t.Context(), operator, "u-jane"))
				assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
				page, err := d.Page(t.Context(), f.PageID)
				require.NoError(t, err)
				assert.Equal(t, session.Over, page.State)
				assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("122222")), session.ErrDecided)
				assert.Empty(t, keys(t, d.store, "session"))
				assert.Equal(t, []string{"login denied"}, d.kinds(), "told of once")
			})
		}
	}
}

// Nor is the answer repeated, though the session's row is still there.
func TestCollectRepeatsAfterARevocation(t *testing.T) {
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			f := approve(t, d, "111111")
			p := collect(t, d, f, terminal)
			require.Equal(t, session.Done, p.State)
			require.NoError(t, revoke(t.Context(), d, "u-jane"))
			assert.Len(t, keys(t, d.store, "session/"), 1)
			assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
			assert.False(t, alive(t, d, p.Secret))
		})
	}
	// Not even for a session that survived the revocation.
	d := open(t)
	f := approve(t, d, "111111")
	p := collect(t, d, f, terminal)
	require.NoError(t, changePassword(t, d, operator, p.Session.ID))
	require.True(t, alive(t, d, p.Secret))
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
	assert.True(t, alive(t, d, p.Secret), "and it goes on")
}

// Any other change of the account does not affect the login.
func TestCollectAfterABenignChange(t *testing.T) {
	for name, change := range benign {
		t.Run(name, func(t *testing.T) {
			d, faulty := openFaulty(t)
			f := approve(t, d, "111111")
			require.NoError(t, change(t.Context(), d, "u-jane"))
			faulty.Inject(commitOf(func() {
				require.NoError(t, d.subjects.SetHighImpact(t.Context(), operator, "u-jane", name != "many depend on it"))
			}))
			p := collect(t, d, f, terminal)
			require.Equal(t, session.Done, p.State)
			assert.True(t, faulty.Struck())
			assert.True(t, alive(t, d, p.Secret))
			again := collect(t, d, f, terminal)
			require.Equal(t, session.Done, again.State)
			assert.True(t, p.Secret.Equal(again.Secret))
		})
	}
}

// While the host cannot tell whether the account is alive there is no session; a later poll may
// succeed.
func TestCollectDuringOutage(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	d.set(func() { d.broken = assert.AnError })
	p, err := d.Collect(t.Context(), f.PollID.Reveal(), terminal)
	assert.ErrorIs(t, err, assert.AnError)
	assert.Equal(t, session.Poll{}, p)
	assert.Empty(t, keys(t, d.store, "session"))
	d.set(func() { d.broken = nil })
	require.Equal(t, session.Done, collect(t, d, f, terminal).State)

	// The same holds for a repeated answer.
	d.set(func() { d.broken = assert.AnError })
	_, err = d.Collect(t.Context(), f.PollID.Reveal(), terminal)
	assert.ErrorIs(t, err, assert.AnError)
}

// DU-05: a commit that fails leaves the flow approved; one whose answer is lost created a
// session, which the next poll of that client gets.
func TestCollectCommitFails(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	d.store.before = assert.AnError
	_, err := d.Collect(t.Context(), f.PollID.Reveal(), terminal)
	assert.ErrorIs(t, err, assert.AnError)
	assert.Empty(t, keys(t, d.store, "session"))

	d.store.after = store.ErrUnknown
	_, err = d.Collect(t.Context(), f.PollID.Reveal(), terminal)
	assert.ErrorIs(t, err, store.ErrUnknown)
	p := collect(t, d, f, terminal)
	require.Equal(t, session.Done, p.State)
	_, err = get(t, d, p.Secret)
	assert.NoError(t, err)
	assert.Len(t, keys(t, d.store, "session/"), 1)
}

// The answer is not repeated for a session that was ended meanwhile.
func TestCollectRepeatsAfterLogout(t *testing.T) {
	d := open(t)
	f := approve(t, d, "111111")
	p := collect(t, d, f, terminal)
	require.NoError(t, d.End(t.Context(), operator, "u-jane", p.Session.ID))
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
	assert.Equal(t, session.Over, collect(t, d, f, stranger).State)
	assert.Equal(t, "login.repeated denied", d.kinds()[4], "told of all the same")
}

// A session that would expire before it is collected is never created.
func TestCollectTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, func(c *session.Config) { c.Limits = lasting(time.Minute) })
		f, g := approve(t, d, "111111"), approve(t, d, "122222")
		time.Sleep(time.Minute - time.Microsecond)
		assert.Equal(t, session.Done, collect(t, d, f, terminal).State)
		time.Sleep(time.Microsecond)
		assert.Equal(t, session.Over, collect(t, d, g, terminal).State)
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State, "again, but dead")
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		old := make([]session.Flow, 0, 103)
		for i := range cap(old) {
			f := approve(t, d, "1"+strings.Repeat("2", i))
			collect(t, d, f, terminal)
			old = append(old, f)
		}
		time.Sleep(20 * time.Second)
		young := approve(t, d, "133333")
		first := collect(t, d, young, terminal)

		time.Sleep(10*time.Second - time.Microsecond)
		require.NoError(t, d.Forget(t.Context()))
		assert.Len(t, keys(t, d.store, "login.salted/"), 104, "last instant")
		time.Sleep(time.Microsecond)
		require.NoError(t, d.Forget(t.Context()))
		assert.Len(t, keys(t, d.store, "login.salted/"), 1)
		again := collect(t, d, young, terminal)
		assert.True(t, first.Secret.Equal(again.Secret))
		assert.Equal(t, session.Over, collect(t, d, old[0], terminal).State)

		time.Sleep(20 * time.Second)
		require.NoError(t, d.Forget(t.Context()))
		assert.False(t, salts(t, d))
		_, err := get(t, d, first.Secret)
		assert.NoError(t, err, "sessions stay")

		// Without the salt, a clock that is set back repeats no answer.
		earlier := openOn(t, d.store, func(c *session.Config) {
			c.Now = func() time.Time { return time.Now().Add(-20 * time.Second) }
		})
		assert.Equal(t, session.Over, collect(t, earlier, young, terminal).State)
	})
}

// A clock that was set back repeats no answer, with a salt or without.
func TestCollectRepeatsClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		f := approve(t, d, "111111")
		require.Equal(t, session.Done, collect(t, d, f, terminal).State)
		earlier := openOn(t, d.store, func(c *session.Config) {
			c.Now = func() time.Time { return time.Now().Add(-3 * time.Hour) }
		})
		assert.Equal(t, session.Over, collect(t, earlier, f, terminal).State)
	})
}

func FuzzCollect(f *testing.F) {
	d := &fixture{}
	m, err := session.New(d.config(store.NewMemory()))
	require.NoError(f, err)
	flow, err := m.Start(f.Context(), terminal)
	require.NoError(f, err)
	f.Add(flow.PollID.Reveal())
	f.Add("npms_" + strings.Repeat("0", 43))
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		fuzzbound.Check(t, id, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 8 << 10}}, func(id string) int {
			_, _ = m.Collect(t.Context(), id, terminal)
			return 0
		})
		p, err := m.Collect(t.Context(), id, terminal)
		require.NoError(t, err)
		if id == flow.PollID.Reveal() {
			assert.Equal(t, session.Pending, p.State)
		} else {
			assert.Equal(t, session.Poll{}, p)
		}
	})
}
