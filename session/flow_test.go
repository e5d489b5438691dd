package session_test

import (
	"encoding/base64"
	"fmt"
	"net/netip"
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
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

func start(t *testing.T, d *fixture) session.Flow {
	t.Helper()
	f, err := d.Start(t.Context(), terminal)
	require.NoError(t, err)
	return f
}

func collect(t *testing.T, d *fixture, f session.Flow, c session.Client) session.Poll {
	t.Helper()
	p, err := d.Collect(t.Context(), f.PollID.Reveal(), c)
	require.NoError(t, err)
	if p.State != session.Done {
		assert.True(t, p.Secret.IsZero())
		assert.Zero(t, p.Session)
	}
	if p.State == session.Pending {
		assert.Positive(t, p.RetryAfter, "DU-15")
	}
	return p
}

func TestWebLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		time.Sleep(1500 * time.Millisecond)
		f := start(t, d)
		assert.Equal(t, session.Pending, collect(t, d, f, terminal).State)

		page, err := d.Page(t.Context(), f.PageID)
		require.NoError(t, err)
		assert.Equal(t, session.Request{
			Client: terminal, Started: time.Now().UTC().Truncate(time.Second), CheckCode: f.CheckCode,
			Expires: f.Expires, State: session.Pending,
		}, page)
		assert.Equal(t, 5*time.Minute, f.Expires.Sub(page.Started))
		assert.Regexp(t, `^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$`, f.CheckCode)

		time.Sleep(20 * time.Second)
		approved := time.Now().UTC()
		require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
		page, err = d.Page(t.Context(), f.PageID)
		require.NoError(t, err)
		assert.Equal(t, session.Done, page.State)
		assert.Empty(t, keys(t, d.store, "session"), "nothing before it is collected")

		time.Sleep(2 * time.Second)
		p := collect(t, d, f, terminal)
		require.Equal(t, session.Done, p.State)
		digest, ok := credential.Parse(p.Secret.Reveal())
		require.True(t, ok)
		assert.Equal(t, digest, p.Session.Digest)
		assert.Equal(t, approved, p.Session.Created, "it counts from the approval")
		assert.Equal(t, approved.Add(2*time.Hour), p.Session.Expires)
		assert.Equal(t, "jane", p.Session.Name)
		assert.Equal(t, "web", p.Session.Via)
		collector := session.Client{Addr: p.Session.Addr, UserAgent: p.Session.UserAgent}
		assert.Equal(t, terminal, collector, "who has it, not who approved it")
		c, err := get(t, d, p.Secret)
		require.NoError(t, err)
		assert.Equal(t, p.Session.ID, c.ID)

		// The second factor was spent for this session.
		items, err := d.store.Get(t.Context(), "test-code/111111")
		require.NoError(t, err)
		assert.Equal(t, c.ID, string(items[0].Value))

		assert.Equal(t, []string{"login.started done", "login.approved done", "login done"}, d.kinds())
		e := d.last(t)
		assert.Equal(t, terminal.Addr, e.Addr)
		assert.Equal(t, browser.Addr.String(), e.Detail["approved_from"])

		// Neither secret is in the store, nor in anything printed.
		all := dump(t, d.store)
		assert.NotContains(t, all, f.PollID.Reveal()[5:])
		assert.NotContains(t, all, p.Secret.Reveal()[5:])
	})
}

// DU-14: a flood of starts costs the store nothing but the one key they share.
func TestStartStoresNothing(t *testing.T) {
	d := open(t)
	for range 1000 {
		start(t, d)
	}
	_, commits := d.store.counts()
	assert.Equal(t, 1, commits)
	assert.Equal(t, []string{"serverkey/session"}, keys(t, d.store, ""))
}

// DU-20, DU-23: both IDs pass through URLs and npm's encodeURI, and npm masks that of the poll in its logs.
func TestFlowIDs(t *testing.T) {
	d := open(t)
	seen := map[string]bool{}
	for _, c := range []session.Client{
		{}, terminal, {Addr: netip.MustParseAddr("2001:db8::1%eth0"), UserAgent: strings.Repeat("é", 500)},
	} {
		for range 50 {
			f, err := d.Start(t.Context(), c)
			require.NoError(t, err)
			assert.Regexp(t, `^[0-9A-Za-z_-]+$`, f.PageID)
			assert.LessOrEqual(t, len(f.PageID), 512)
			assert.Regexp(t, `^npms_[0-9A-Za-z]{43}$`, f.PollID.Reveal())
			_, ok := credential.Parse(f.PollID.Reveal())
			assert.False(t, ok, "TK-06: never a credential's shape")
			for _, id := range []string{f.PageID, f.PollID.Reveal()} {
				assert.False(t, seen[id])
				seen[id] = true
			}
			// DU-02: the page's URL, decoded, does not reveal the poll ID.
			raw, err := base64.RawURLEncoding.DecodeString(f.PageID)
			require.NoError(t, err)
			digest := credential.Sum(f.PollID)
			assert.NotContains(t, f.PageID, f.PollID.Reveal()[5:])
			assert.NotContains(t, string(raw), f.PollID.Reveal()[5:])
			assert.NotContains(t, string(raw), string(digest[:]))
			assert.NotContains(t, string(raw), "npm/11")

			page, err := d.Page(t.Context(), f.PageID)
			require.NoError(t, err)
			assert.Equal(t, c.Addr.WithZone(""), page.Client.Addr)
			assert.LessOrEqual(t, len(page.Client.UserAgent), 120)
			assert.Regexp(t, `^[ -~]*$`, page.Client.UserAgent)
		}
	}
}

// DU-09: a page decides its own poll and no other.
func TestFlowsDoNotMix(t *testing.T) {
	d := open(t)
	a, b := start(t, d), start(t, d)
	assert.NotEqual(t, a.CheckCode, b.CheckCode)
	require.NoError(t, d.Approve(t.Context(), a.PageID, jane("111111")))
	assert.Equal(t, session.Pending, collect(t, d, b, terminal).State)
	assert.Equal(t, session.Done, collect(t, d, a, terminal).State)
	require.NoError(t, d.Deny(t.Context(), b.PageID, browser))
	assert.Equal(t, session.Over, collect(t, d, b, terminal).State)

	// An ID of one kind is not accepted as the other.
	assert.ErrorIs(t, d.Approve(t.Context(), a.PollID.Reveal(), jane("122222")), session.ErrNoFlow)
	p, err := d.Collect(t.Context(), a.PageID, terminal)
	require.NoError(t, err)
	assert.Equal(t, session.Poll{}, p)
}

// Other nodes continue a login that one node began; an ID of another registry is refused.
func TestFlowOnOtherNodes(t *testing.T) {
	a := open(t)
	b, c := openOn(t, a.store), openOn(t, a.store)
	f := start(t, a)
	require.NoError(t, b.Approve(t.Context(), f.PageID, jane("111111")))
	assert.Equal(t, session.Done, collect(t, c, f, terminal).State)

	foreign := start(t, open(t))
	_, err := a.Page(t.Context(), foreign.PageID)
	assert.ErrorIs(t, err, session.ErrNoFlow)
	assert.Equal(t, session.Over, collect(t, a, foreign, terminal).State)
}

// DU-18: opening the page changes nothing.
func TestPageChangesNothing(t *testing.T) {
	d := open(t)
	f := start(t, d)
	_, before := d.store.counts()
	for range 3 {
		_, err := d.Page(t.Context(), f.PageID)
		require.NoError(t, err)
		collect(t, d, f, stranger)
	}
	_, after := d.store.counts()
	assert.Equal(t, before, after)
	assert.Equal(t, session.Done, func() session.State {
		require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
		return collect(t, d, f, terminal).State
	}())
}

func TestForgedPageID(t *testing.T) {
	d := open(t)
	f := start(t, d)
	raw, err := base64.RawURLEncoding.DecodeString(f.PageID)
	require.NoError(t, err)
	forged := []string{"", "x", f.PageID + "A", f.PageID[:len(f.PageID)-4], f.PageID + "=", f.PageID + "\n", strings.Repeat("A", 4096)}
	for i := range raw {
		flipped := append([]byte(nil), raw...)
		flipped[i] ^= 1
		forged = append(forged, base64.RawURLEncoding.EncodeToString(flipped))
	}
	for _, id := range forged {
		_, err := d.Page(t.Context(), id)
		assert.ErrorIs(t, err, session.ErrNoFlow, "%q", id)
		assert.ErrorIs(t, d.Approve(t.Context(), id, jane("111111")), session.ErrNoFlow)
		assert.ErrorIs(t, d.Deny(t.Context(), id, browser), session.ErrNoFlow)
	}
	assert.Empty(t, d.checked, "no password is hashed for a forged page")
}

func TestApproveRefused(t *testing.T) {
	d := open(t)
	f := start(t, d)
	for _, tt := range []struct {
		in   session.SignIn
		want error
	}{
		{session.SignIn{Name: "jane", Password: credential.NewSecret("x"), OTP: credential.NewSecret("111111")}, session.ErrDenied},
		{session.SignIn{Name: "eve", Password: credential.NewSecret("x")}, session.ErrDenied},
		{jane("222222"), session.ErrFactorRequired},
		{session.SignIn{}, session.ErrDenied},
	} {
		assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, tt.in), tt.want)
		assert.Equal(t, "web", d.last(t).Detail["via"])
	}
	// A code that is refused inside the commit writes nothing either.
	_, _, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("111111")), session.ErrFactorRequired)

	carries := jane("122222")
	carries.Carry = true
	assert.Error(t, d.Approve(t.Context(), f.PageID, carries), "a code that was typed into a page is not carried")

	assert.Equal(t, session.Pending, collect(t, d, f, terminal).State, "another attempt may follow")
	require.NoError(t, d.Approve(t.Context(), f.PageID, jane("122222")))
}

// DU-10: a flow is decided once, and the loser's code is not spent.
func TestDecidedOnce(t *testing.T) {
	d := open(t)
	f := start(t, d)
	require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
	checked := len(d.checked)
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("122222")), session.ErrDecided, "approve twice")
	assert.Len(t, d.checked, checked, "no password is hashed for a decided flow")
	assert.ErrorIs(t, d.Deny(t.Context(), f.PageID, browser), session.ErrDecided, "deny after approve")
	assert.Equal(t, session.Done, collect(t, d, f, terminal).State)
	assert.ErrorIs(t, d.Deny(t.Context(), f.PageID, browser), session.ErrDecided, "deny after collect")
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("122222")), session.ErrDecided, "approve after collect")

	f = start(t, d)
	require.NoError(t, d.Deny(t.Context(), f.PageID, browser))
	assert.Equal(t, "login.denied done", d.kinds()[len(d.kinds())-1])
	assert.ErrorIs(t, d.Deny(t.Context(), f.PageID, browser), session.ErrDecided)
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("122222")), session.ErrDecided, "approve after deny")
	assert.Equal(t, session.Over, collect(t, d, f, terminal).State)
	page, err := d.Page(t.Context(), f.PageID)
	require.NoError(t, err)
	assert.Equal(t, session.Over, page.State)

	// Neither of the refused approvals spent the code.
	_, _, err = d.SignIn(t.Context(), jane("122222"))
	assert.NoError(t, err)
}

// DU-10 in parallel: of 64 decisions at once, one succeeds.
func TestDecidedOnceConcurrently(t *testing.T) {
	d := open(t)
	f := start(t, d)
	var decided, approvals atomic.Int32
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = d.Deny(t.Context(), f.PageID, browser)
			} else if err = d.Approve(t.Context(), f.PageID, jane("1"+strings.Repeat("2", i))); err == nil {
				approvals.Add(1)
			}
			if err == nil {
				decided.Add(1)
			} else {
				assert.ErrorIs(t, err, session.ErrDecided)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, decided.Load())
	assert.Len(t, keys(t, d.store, "test-code/"), int(approvals.Load()), "codes spent")
	want := session.Over
	if approvals.Load() == 1 {
		want = session.Done
	}
	assert.Equal(t, want, collect(t, d, f, terminal).State)
}

// The same code approves one of many flows.
func TestApproveSpendsTheFactorOnce(t *testing.T) {
	d := open(t)
	var approved atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		f := start(t, d)
		wg.Go(func() {
			err := d.Approve(t.Context(), f.PageID, jane("111111"))
			if err == nil {
				approved.Add(1)
			} else {
				assert.ErrorIs(t, err, session.ErrFactorRequired)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, approved.Load())
	assert.Len(t, keys(t, d.store, "login/"), 1)
}

// DU-11: at the instant of its expiry a flow cannot be decided.
func TestDecideAtExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		a, b, c := start(t, d), start(t, d), start(t, d)
		time.Sleep(time.Until(a.Expires) - time.Microsecond)
		require.NoError(t, d.Approve(t.Context(), a.PageID, jane("111111")), "last instant")
		time.Sleep(time.Microsecond)
		assert.ErrorIs(t, d.Approve(t.Context(), b.PageID, jane("122222")), session.ErrNoFlow)
		assert.ErrorIs(t, d.Deny(t.Context(), c.PageID, browser), session.ErrNoFlow)
		_, err := d.Page(t.Context(), b.PageID)
		assert.ErrorIs(t, err, session.ErrNoFlow)
		for _, f := range []session.Flow{a, b, c} {
			assert.Equal(t, session.Over, collect(t, d, f, terminal).State, "approved or not")
		}
		assert.Empty(t, keys(t, d.store, "session"))
	})
}

// DU-11: nor if it expires while the password is checked, and then the code is not spent.
func TestExpiryDuringApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		f := start(t, d)
		d.slow = 2 * time.Second
		time.Sleep(time.Until(f.Expires) - d.slow)
		assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("111111")), session.ErrNoFlow)
		assert.Empty(t, keys(t, d.store, "test-code/"))
		assert.Empty(t, keys(t, d.store, "login/"))
	})
}

func TestFlowTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, func(c *session.Config) { c.FlowTTL = 15 * time.Minute })
		f := start(t, d)
		time.Sleep(15*time.Minute - time.Second)
		require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
		assert.Equal(t, session.Done, collect(t, d, f, terminal).State)
	})
}

// A flow's row lives longer than the flow can be read, so its absence always means that nobody
// has decided.
func TestFlowRowsExpire(t *testing.T) {
	d := open(t)
	f, g := start(t, d), start(t, d)
	require.NoError(t, d.Approve(t.Context(), f.PageID, jane("111111")))
	require.NoError(t, d.Deny(t.Context(), g.PageID, browser))
	collect(t, d, f, terminal)
	rows := keys(t, d.store, "login")
	require.Len(t, rows, 3, "two flows, and one in the index of those with a salt")
	for _, key := range rows {
		items, err := d.store.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, f.Expires.Add(2*time.Minute), items[0].Expires.UTC(), key)
	}
}

// A flow that was decided under schema 1 is over, whatever its state, and cannot be decided
// once more.
func TestFlowsOfTheFirstEdition(t *testing.T) {
	d := open(t)
	for _, fate := range []string{"approved", "denied", "collected"} {
		f := start(t, d)
		digest := credential.Sum(f.PollID).String()
		_, err := d.store.Commit(t.Context(), store.Op{
			Key: "login/" + digest, Action: store.Put, Expires: f.Expires,
			Value: fmt.Appendf(nil, `{"v":1,"d":{"digest":%q,"fate":%q,"user":"u-jane","session":"x","since":%q}}`, digest, fate, time.Now().Format(time.RFC3339)),
		})
		require.NoError(t, err)
		page, err := d.Page(t.Context(), f.PageID)
		require.NoError(t, err)
		assert.Equal(t, session.Over, page.State, fate)
		assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("111111")), session.ErrDecided, fate)
		assert.ErrorIs(t, d.Deny(t.Context(), f.PageID, browser), session.ErrDecided, fate)
		assert.Equal(t, session.Over, collect(t, d, f, terminal).State, fate)
	}
	assert.Empty(t, keys(t, d.store, "session/"))
	assert.Empty(t, keys(t, d.store, "test-code/"))
}

// Strangers can start logins and deny them as often as they like: the log keeps no event of it,
// only the flow's own row, which expires. An event of an authenticated person is kept.
func TestDenialsAreNotInTheLog(t *testing.T) {
	d := open(t)
	log, err := audit.NewLog(audit.LogConfig{Store: d.store})
	require.NoError(t, err)
	logged := openOn(t, d.store, func(c *session.Config) {
		c.Events = audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(d.record), Log: log})
	})
	require.NoError(t, logged.Deny(t.Context(), start(t, logged).PageID, browser))
	assert.Empty(t, keys(t, d.store, "audit"))
	assert.Equal(t, []string{"login.started done", "login.denied done"}, d.kinds())
	require.NoError(t, logged.Approve(t.Context(), start(t, logged).PageID, jane("111111")))
	assert.Len(t, keys(t, d.store, "audit/"), 1)

	f := start(t, logged)
	d.reset()
	d.store.after = store.ErrUnknown
	assert.ErrorIs(t, logged.Deny(t.Context(), f.PageID, browser), store.ErrUnknown)
	assert.ErrorIs(t, logged.Deny(t.Context(), f.PageID, browser), session.ErrDecided)
	assert.Equal(t, []string{"login.denied failed"}, d.kinds())
}

func TestFlowStoreFails(t *testing.T) {
	d := open(t)
	d.store.before = assert.AnError
	_, err := d.Start(t.Context(), terminal)
	assert.ErrorIs(t, err, assert.AnError, "the shared key cannot be written")
	f := start(t, d)
	for _, lost := range []error{assert.AnError, store.ErrUnknown} {
		d.store.before = lost
		assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("111111")), lost)
		d.store.before = lost
		assert.ErrorIs(t, d.Deny(t.Context(), f.PageID, browser), lost)
	}
	assert.Equal(t, session.Pending, collect(t, d, f, terminal).State)

	d.store.of, d.store.after = "login/", store.ErrUnknown
	assert.ErrorIs(t, d.Approve(t.Context(), f.PageID, jane("111111")), store.ErrUnknown)
	assert.Equal(t, session.Done, collect(t, d, f, terminal).State, "it happened after all")
}

func TestStateString(t *testing.T) {
	assert.Equal(t, session.Over, session.State(0))
	for s, want := range map[session.State]string{session.Over: "over", session.Pending: "pending", session.Done: "done", 77: "over"} {
		assert.Equal(t, want, s.String())
	}
}

func FuzzPage(f *testing.F) {
	d := &fixture{}
	m, err := session.New(d.config(store.NewMemory()))
	require.NoError(f, err)
	flow, err := m.Start(f.Context(), terminal)
	require.NoError(f, err)
	f.Add(flow.PageID)
	f.Add(flow.PageID[1:])
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		fuzzbound.Check(t, id, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 8 << 10}}, func(id string) int {
			_, _ = m.Page(t.Context(), id)
			return 0
		})
		_, err := m.Page(t.Context(), id)
		if id == flow.PageID {
			assert.NoError(t, err)
		} else {
			assert.ErrorIs(t, err, session.ErrNoFlow)
		}
	})
}
