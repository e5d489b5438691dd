package twofactor_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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

func newChallenge(use twofactor.Use) twofactor.NewChallenge {
	return twofactor.NewChallenge{
		User: alice, Name: "alice", Credential: use.Credential, Action: use.Action, CredentialName: "laptop",
		Items: []twofactor.Item{{Package: use.Package, Change: use.Change, Words: []protocol.Line{{Label: "Publishes version", Text: "1.0.0"}}}},
		Addr:  netip.MustParseAddr("192.0.2.1"), UserAgent: "npm/11.0.0",
	}
}

// open makes a challenge of publishing widget in the session.
func (k *kit) open() twofactor.Challenge {
	k.t.Helper()
	c, err := k.Challenge(k.t.Context(), newChallenge(publish(widget)))
	require.NoError(k.t, err)
	return c
}

func TestChallengeByWeb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		assert.Regexp(t, `^[A-Z2-7]{26}$`, c.PageID)
		assert.Regexp(t, `^[A-Z2-7]{26}$`, c.PollID)
		assert.NotEqual(t, c.PageID, c.PollID)
		assert.Equal(t, time.Now().UTC().Add(5*time.Minute), c.Expires)
		assert.Equal(t, audit.Challenge, k.last().Type)

		req, err := k.Pending(ctx, c.PageID)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Request{NewChallenge: newChallenge(publish(widget)), Started: time.Now().UTC(), Expires: c.Expires, CheckCode: c.CheckCode}, req)
		assert.Regexp(t, `^[B-Z]{4}-[B-Z]{4}$`, c.CheckCode)

		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Poll{State: twofactor.Pending, RetryAfter: 1}, p)

		typed, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		assert.Equal(t, twofactor.FormTyped, twofactor.FormOf(typed.Reveal()))
		assert.Equal(t, audit.ChallengeYes, k.last().Type)

		p, err = k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		require.Equal(t, twofactor.Done, p.State)
		assert.Equal(t, twofactor.FormWeb, twofactor.FormOf(p.Proof.Reveal()))
		assert.Equal(t, audit.Collected, k.last().Type)

		all := k.dump()
		for name, secret := range map[string]string{
			"page": c.PageID, "poll": c.PollID, "typed": typed.Reveal(), "proof": p.Proof.Reveal(),
		} {
			assert.NotContains(t, all, secret, name)
		}

		proof, err := k.Prove(ctx, alice, publish(widget), p.Proof)
		require.NoError(t, err)
		assert.Equal(t, policy.ProofWeb, proof)
	})
}

// CH-07: a proof works once, except for the repeats of its operation; and the two proofs of one
// challenge count as one.
func TestProofWorksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		typed, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		for range 1 + 8 {
			_, err = k.Prove(ctx, alice, publish(widget), typed)
			require.NoError(t, err)
		}
		_, err = k.Prove(ctx, alice, publish(widget), typed)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		assert.Equal(t, audit.FactorReplayed, k.last().Type)
		_, err = k.Prove(ctx, alice, publish(widget), p.Proof)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		p, err = k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Over, p.State, "and there is nothing left to collect")
	})
}

// CH-05, CH-06: proofs are bound to credential, class, package and target, before
// they are used and after.
func TestProofIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.SoftLimit = 100 })
		ctx := t.Context()
		a := k.enrol(alice)
		k.enrol(mallory)
		time.Sleep(30 * time.Second)
		c := k.open()
		typed, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		refused := func() {
			t.Helper()
			for _, value := range []credential.Secret{p.Proof, typed} {
				for name, change := range map[string]func(*twofactor.Use){
					"package":    func(u *twofactor.Use) { u.Package = plain },
					"action":     func(u *twofactor.Use) { u.Action = protocol.WriteOwners },
					"change":     func(u *twofactor.Use) { *u = bound(*u, "x") },
					"credential": func(u *twofactor.Use) { u.Credential = "token-of-mallory" },
				} {
					use := publish(widget)
					change(&use)
					_, err := k.Prove(ctx, alice, use, value)
					assert.ErrorIs(t, err, twofactor.ErrWrong, name)
					assert.Equal(t, "foreign", k.last().Reason(), name)
				}
				_, err := k.Prove(ctx, mallory, publish(widget), value)
				assert.ErrorIs(t, err, twofactor.ErrWrong)
				assert.Equal(t, string(alice), k.last().Detail["owner"], "the event says whose it was")
				assert.ErrorIs(t, k.signIn(k.Manager, alice, login, session, value), twofactor.ErrWrong, "login")
			}
		}
		refused()
		_, err = k.Prove(ctx, alice, publish(widget), p.Proof)
		require.NoError(t, err, "none of which used it up")
		refused()
	})
}

// CH-01: without a credential nothing is stored; nor without a user who can approve.
func TestChallengeNeedsACredential(t *testing.T) {
	k := newKit(t)
	for name, n := range map[string]twofactor.NewChallenge{
		"no credential": newChallenge(twofactor.Use{Action: protocol.Publish}),
		"login":         newChallenge(login),
		"no action":     newChallenge(twofactor.Use{Credential: session, Change: publish(widget).Change}),
		"no change":     newChallenge(twofactor.Use{Credential: session, Action: protocol.Publish}),
		"no user":       {Credential: session, Action: protocol.Publish, Items: newChallenge(publish(widget)).Items},
		"no item":       {User: alice, Credential: session, Action: protocol.Publish},
		"too many": func() twofactor.NewChallenge {
			n := newChallenge(publish(widget))
			n.Items = slices.Repeat(n.Items, 9)
			return n
		}(),
		"too many words": func() twofactor.NewChallenge {
			n := newChallenge(publish(widget))
			n.Items[0].Words = []protocol.Line{{Label: "x", Text: strings.Repeat("x", 2*protocol.MaxWords)}}
			return n
		}(),
	} {
		_, err := k.Challenge(t.Context(), n)
		assert.Error(t, err, name)
	}
	_, err := k.Challenge(t.Context(), newChallenge(publish(widget)))
	assert.ErrorIs(t, err, twofactor.ErrNoFactor)
	assert.Empty(t, k.dump())
}

// A page may offer several changes of one kind; the proof is valid for the ticked ones, once
// for each.
func TestListOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		var uses []twofactor.Use
		n := newChallenge(publish(widget))
		n.Items = nil
		for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
			use := bound(twofactor.Use{Credential: session, Action: protocol.Publish, Package: widget}, v)
			uses = append(uses, use)
			n.Items = append(n.Items, twofactor.Item{Package: widget, Change: use.Change, Words: []protocol.Line{{Label: "Publishes version", Text: v}}})
		}
		c, err := k.Challenge(ctx, n)
		require.NoError(t, err)
		req, err := k.Pending(ctx, c.PageID)
		require.NoError(t, err)
		assert.Equal(t, n.Items, req.Items)
		typed, err := k.Approve(ctx, twofactor.Approval{PageID: c.PageID, User: alice, Value: a.code(), Also: []int{2}})
		require.NoError(t, err)
		for range 2 {
			for i, use := range uses {
				_, err := k.Prove(ctx, alice, use, typed)
				if i == 1 {
					assert.ErrorIs(t, err, twofactor.ErrWrong, "it was not ticked")
					assert.Equal(t, "foreign", k.last().Reason())
				} else {
					assert.NoError(t, err, "%d, and its retry", i)
				}
			}
		}
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Over, p.State)
	})
}

// CH-02: at most ten wait; a new one ends the oldest, unless that was answered.
func TestOutstandingChallengesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		answered, first, second := k.open(), k.open(), k.open()
		_, err := k.approve(answered.PageID, alice, a.code())
		require.NoError(t, err)
		for range 7 {
			k.open()
		}
		_, err = k.Pending(ctx, first.PageID)
		require.NoError(t, err, "ten")
		k.open()
		k.open()
		_, err = k.Pending(ctx, first.PageID)
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		_, err = k.Pending(ctx, second.PageID)
		assert.NoError(t, err)
		p, err := k.Collect(ctx, answered.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Done, p.State)
		for _, n := range parallel(32, func(int) error {
			_, err := k.Challenge(ctx, newChallenge(publish(widget)))
			return err
		}) {
			assert.NoError(t, n)
		}
		assert.LessOrEqual(t, strings.Count(k.dump(), `"state":"waiting"`), 10)
	})
}

// CH-03: only the user of the challenge can approve it.
func TestApproverMustBeTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.enrol(alice)
		m := k.enrol(mallory)
		c := k.open()
		code := m.code()
		_, err := k.approve(c.PageID, mallory, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		assert.Equal(t, "foreign", k.last().Reason())
		p, err := k.Collect(t.Context(), c.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Pending, p.State)
		assert.NoError(t, k.signIn(k.Manager, mallory, login, "s", code), "and the code was not tried")
	})
}

// A page accepts a TOTP code only: other kinds do not become a web proof there.
func TestApproveTakesNoOtherProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		first, second := k.open(), k.open()
		typed, err := k.approve(first.PageID, alice, a.code())
		require.NoError(t, err)
		p, err := k.Collect(ctx, first.PollID, terminal)
		require.NoError(t, err)
		for _, value := range []credential.Secret{a.recovery[0], typed, p.Proof, credential.NewSecret("12345678"), {}} {
			_, err = k.approve(second.PageID, alice, value)
			assert.ErrorIs(t, err, twofactor.ErrWrong)
		}
		s, err := k.Status(ctx, k.store, alice)
		require.NoError(t, err)
		assert.Equal(t, 5, s.RecoveryLeft)
		_, err = k.approve(second.PageID, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrWrong, "the code was spent on the first")
	})
}

// A code typed into a page leaves no record of reuse of its own.
func TestApprovalLeavesNoGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		c := k.open()
		_, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		for _, pkg := range []protocol.PackageName{widget, plain} {
			_, err = k.Prove(t.Context(), alice, publish(pkg), a.code())
			assert.ErrorIs(t, err, twofactor.ErrWrong)
		}
	})
}

// Wrong codes on a page count for the challenged credential.
func TestApproveIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		for n := range 5 {
			_, err := k.approve(k.open().PageID, alice, a.wrong(n))
			require.ErrorIs(t, err, twofactor.ErrWrong)
		}
		_, err := k.approve(k.open().PageID, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrTooMany)
		_, err = k.Prove(t.Context(), alice, publish(widget), a.code())
		assert.ErrorIs(t, err, twofactor.ErrTooMany)
	})
}

// CH-08: a challenge lives until its expiry, and is over at that instant. CH-09: its poll is then as
// that of one that never was.
func TestChallengeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		for _, tt := range []struct {
			until time.Duration
			pace  int
		}{{10*time.Second - time.Microsecond, 1}, {10 * time.Second, 2}, {time.Minute, 5}, {5*time.Minute - time.Microsecond, 5}} {
			time.Sleep(time.Until(c.Expires.Add(tt.until - 5*time.Minute)))
			p, err := k.Collect(ctx, c.PollID, terminal)
			require.NoError(t, err)
			assert.Equal(t, twofactor.Poll{State: twofactor.Pending, RetryAfter: tt.pace}, p, tt.until)
		}
		_, err := k.Pending(ctx, c.PageID)
		assert.NoError(t, err, "last instant")
		time.Sleep(time.Microsecond)
		_, err = k.Pending(ctx, c.PageID)
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge, "at expiry")
		_, err = k.approve(c.PageID, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Zero(t, p)
	})
}

// CH-08: an approval is valid for five minutes, whenever it was collected.
func TestApprovalExpires(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		ok   bool
	}{{5*time.Minute - time.Microsecond, true}, {5 * time.Minute, false}} {
		t.Run(tt.wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				ctx := t.Context()
				a := k.enrol(alice)
				c := k.open()
				time.Sleep(4 * time.Minute)
				typed, err := k.approve(c.PageID, alice, a.code())
				require.NoError(t, err)
				time.Sleep(tt.wait)
				p, err := k.Collect(ctx, c.PollID, terminal)
				require.NoError(t, err)
				_, err = k.Prove(ctx, alice, publish(widget), typed)
				if tt.ok {
					assert.Equal(t, twofactor.Done, p.State)
					assert.NoError(t, err)
				} else {
					assert.Zero(t, p)
					assert.ErrorIs(t, err, twofactor.ErrWrong)
				}
			})
		})
	}
}

// A poll whose answer was lost is repeated: the same proof for half a minute.
func TestCollectAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		_, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		first, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		for _, m := range []*twofactor.Manager{k.Manager, k.node()} {
			again, err := m.Collect(ctx, c.PollID, terminal)
			require.NoError(t, err)
			assert.True(t, first.Proof.Equal(again.Proof))
		}
		time.Sleep(30*time.Second - time.Microsecond)
		again, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.True(t, first.Proof.Equal(again.Proof), "last instant")
		time.Sleep(time.Microsecond)
		again, err = k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Zero(t, again)
		_, err = k.Prove(ctx, alice, publish(widget), first.Proof)
		assert.NoError(t, err)
	})
}

// A clock that was set back does not return an old proof.
func TestCollectAgainWithAnEarlierClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		_, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		_, err = k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		early := k.node(func(cfg *twofactor.Config) {
			cfg.Now = func() time.Time { return time.Now().Add(-30 * time.Second) }
		})
		again, err := early.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Zero(t, again)
	})
}

func TestCollectInParallelGivesOneProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		c := k.open()
		_, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		proofs := make([]credential.Secret, 16)
		for _, err := range parallel(len(proofs), func(i int) error {
			p, err := k.Collect(t.Context(), c.PollID, terminal)
			proofs[i] = p.Proof
			return err
		}) {
			require.NoError(t, err)
		}
		for _, p := range proofs {
			assert.True(t, p.Equal(proofs[0]))
		}
	})
}

func TestDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		require.NoError(t, k.Deny(ctx, c.PageID, browser))
		assert.Equal(t, audit.ChallengeNo, k.last().Type)
		assert.ErrorIs(t, k.Deny(ctx, c.PageID, browser), twofactor.ErrNoChallenge)
		_, err := k.approve(c.PageID, alice, a.code())
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Zero(t, p)

		c = k.open()
		_, err = k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		assert.ErrorIs(t, k.Deny(ctx, c.PageID, browser), twofactor.ErrNoChallenge, "too late")
	})
}

// Challenges for a package end, those included that were approved or collected, and no others.
func TestEndChallenges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		other := newChallenge(publish(plain))
		both := newChallenge(publish(plain))
		both.Items = append(both.Items, newChallenge(publish(widget)).Items...)
		kept, err := k.Challenge(ctx, other)
		require.NoError(t, err)
		ofBoth, err := k.Challenge(ctx, both)
		require.NoError(t, err)
		pending, ended, spent := k.open(), k.open(), k.open()
		var proofs []credential.Secret
		for _, c := range []twofactor.Challenge{ended, spent} {
			_, err := k.approve(c.PageID, alice, a.code())
			require.NoError(t, err)
			p, err := k.Collect(ctx, c.PollID, terminal)
			require.NoError(t, err)
			proofs = append(proofs, p.Proof)
			time.Sleep(30 * time.Second)
		}
		_, err = k.Prove(ctx, alice, publish(widget), proofs[1])
		require.NoError(t, err)

		n, err := k.EndChallenges(ctx, widget, "transferred")
		require.NoError(t, err)
		assert.Equal(t, 3, n, "the one that was used has nothing to end")
		last := k.last()
		assert.Equal(t, []any{audit.ChallengeNo, audit.Done, alice, []string{"transferred"}}, []any{last.Type, last.Outcome, last.User, last.Reasons})
		for _, c := range []twofactor.Challenge{pending, ofBoth} {
			_, err = k.Pending(ctx, c.PageID)
			assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		}
		_, err = k.Prove(ctx, alice, publish(widget), proofs[0])
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		_, err = k.Pending(ctx, kept.PageID)
		assert.NoError(t, err)
		n, err = k.EndChallenges(ctx, widget, "")
		require.NoError(t, err)
		assert.Zero(t, n)

		// Of more than a page of them, and of those only that are open still.
		for i := range 70 {
			c := newChallenge(publish(widget))
			c.Credential = fmt.Sprint("session-", i)
			_, err := k.Challenge(ctx, c)
			require.NoError(t, err)
		}
		n, err = k.EndChallenges(ctx, widget, "")
		require.NoError(t, err)
		assert.Equal(t, 70, n)
		assert.Empty(t, k.last().Reasons)
		k.open()
		time.Sleep(5 * time.Minute)
		n, err = k.EndChallenges(ctx, widget, "")
		require.NoError(t, err)
		assert.Zero(t, n, "expired")
	})
}

// After an error EndChallenges is called again, and ends the others.
func TestEndChallengesAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.enrol(alice)
		for range 3 {
			k.open()
		}
		broken := k.node(func(cfg *twofactor.Config) {
			cfg.Store = storetest.NewFaulty(k.store, storetest.Fault{On: storetest.Commits, Nth: 2})
		})
		n, err := broken.EndChallenges(t.Context(), widget, "")
		assert.ErrorIs(t, err, storetest.ErrFault)
		assert.Equal(t, 1, n)
		n, err = broken.EndChallenges(t.Context(), widget, "")
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		broken = k.node(func(cfg *twofactor.Config) {
			cfg.Store = storetest.NewFaulty(k.store, storetest.Fault{On: storetest.Lists, Nth: 1})
		})
		_, err = broken.EndChallenges(t.Context(), widget, "")
		assert.ErrorIs(t, err, storetest.ErrFault)
	})
}

func TestUnknownIDs(t *testing.T) {
	k := newKit(t)
	for _, id := range []string{"", "x", strings.Repeat("A", 26), strings.Repeat("A", 4096), "../" + strings.Repeat("A", 23)} {
		_, err := k.Pending(t.Context(), id)
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		_, err = k.approve(id, alice, credential.NewSecret("123456"))
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
		assert.ErrorIs(t, k.Deny(t.Context(), id, browser), twofactor.ErrNoChallenge)
		p, err := k.Collect(t.Context(), id, terminal)
		assert.NoError(t, err)
		assert.Zero(t, p)
	}
}

// The two IDs are not interchangeable.
func TestPageIsNotPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.enrol(alice)
		c := k.open()
		p, err := k.Collect(t.Context(), c.PageID, terminal)
		require.NoError(t, err)
		assert.Zero(t, p)
		_, err = k.Pending(t.Context(), c.PollID)
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
	})
}

func TestChallengeDiesWithTheEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		done, open := k.open(), k.open()
		typed, err := k.approve(done.PageID, alice, a.code())
		require.NoError(t, err)
		require.NoError(t, k.Disable(ctx, operator, alice))
		b := k.enrol(alice)
		_, err = k.Prove(ctx, alice, publish(widget), typed)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		_, err = k.approve(open.PageID, alice, b.code())
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge)
	})
}

// The text that a client sends about itself is bounded.
func TestChallengeTextIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.enrol(alice)
		n := newChallenge(publish(widget))
		n.UserAgent = strings.Repeat("a", 119) + "é" + strings.Repeat("b", 1000)
		n.CredentialName = strings.Repeat("c", 1000)
		c, err := k.Challenge(t.Context(), n)
		require.NoError(t, err)
		req, err := k.Pending(t.Context(), c.PageID)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("a", 119), req.UserAgent)
		assert.Len(t, req.CredentialName, 256)
	})
}

// The events of a challenge have the actor, as far as it is known, and the IP address.
func TestChallengesAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		last := func(want audit.Type, by audit.Actor) {
			t.Helper()
			e := k.last()
			assert.Equal(t, want, e.Type)
			assert.Equal(t, audit.Done, e.Outcome)
			assert.Equal(t, by, e.Actor())
			assert.Equal(t, []any{alice, session, widget, protocol.Publish}, []any{e.User, e.Credential, e.Package, e.Action})
		}
		last(audit.Challenge, audit.Actor{User: alice, Credential: session, Addr: terminal})
		_, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		last(audit.ChallengeYes, audit.Actor{User: alice, Addr: browser})
		_, err = k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		last(audit.Collected, audit.Actor{Addr: terminal})
		require.NoError(t, k.Deny(ctx, k.open().PageID, browser))
		last(audit.ChallengeNo, audit.Actor{Addr: browser})

		// The same for a wrong code on its page.
		_, err = k.approve(k.open().PageID, alice, a.wrong(0))
		require.ErrorIs(t, err, twofactor.ErrWrong)
		e := k.last()
		assert.Equal(t, audit.FactorUsed, e.Type)
		assert.Equal(t, audit.Denied, e.Outcome)
		assert.Equal(t, browser, e.Addr)
	})
}

// Every credential can open any number of challenges, so they leave no rows in the log. The
// sink gets each event.
func TestChallengesAreNotInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		log, err := audit.NewLog(audit.LogConfig{Store: k.store})
		require.NoError(t, err)
		told := 0
		m := k.node(func(c *twofactor.Config) {
			c.Events = audit.NewRecorder(audit.RecorderConfig{Log: log, Sink: audit.Func(func(_ context.Context, e audit.Event) {
				if e.Type == audit.Challenge {
					told++
				}
			})})
		})
		var c twofactor.Challenge
		for range 8 {
			c, err = m.Challenge(t.Context(), newChallenge(publish(widget)))
			require.NoError(t, err)
		}
		assert.Equal(t, 8, told)
		assert.Empty(t, keysOf(t, k.store, "audit/"))
		_, err = m.Approve(t.Context(), twofactor.Approval{PageID: c.PageID, User: alice, Value: a.code(), Addr: browser})
		require.NoError(t, err)
		assert.Len(t, keysOf(t, k.store, "audit/"), 1, "what is approved is kept")
	})
}

// An approval is committed only for the account as it was when its password was checked.
func TestApproveExpectsTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		in := twofactor.Approval{PageID: c.PageID, User: alice, Value: a.code(), Addr: browser, Expect: k.subject(alice).Evidence}
		require.NoError(t, k.subjects().EndSessions(ctx, operator, alice))
		told := len(k.events)
		typed, err := k.Approve(ctx, in)
		var changed *store.ChangedError
		require.ErrorAs(t, err, &changed)
		assert.True(t, typed.IsZero())
		assert.Len(t, k.events, told, "nothing was done, and nobody refused")
		p, err := k.Collect(ctx, c.PollID, terminal)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Pending, p.State)

		// The code is not spent, and the second try with it is not counted as a second guess.
		in.Expect = k.subject(alice).Evidence
		_, err = k.Approve(ctx, in)
		assert.NoError(t, err)
	})
}

// The account may change just before the commit.
func TestApproveIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		a := k.enrol(alice)
		c := k.open()
		faulty := storetest.NewFaulty(k.store)
		faulty.Inject(storetest.Fault{
			On: storetest.Commits,
			If: func(c storetest.Call) bool { return slices.Contains(c.Keys, subject.Key(alice)) },
			Do: func() { require.NoError(t, k.subjects().Disable(ctx, operator, alice)) },
		})
		m := k.node(func(c *twofactor.Config) { c.Store = faulty })
		_, err := m.Approve(ctx, twofactor.Approval{PageID: c.PageID, User: alice, Value: a.code(), Expect: k.subject(alice).Evidence})
		var changed *store.ChangedError
		assert.ErrorAs(t, err, &changed)
		assert.True(t, faulty.Struck())
		_, err = k.Pending(ctx, c.PageID)
		assert.NoError(t, err)
		assert.NoError(t, k.signIn(k.Manager, alice, login, "s", a.code()), "the code is not spent")
	})
}

// A code on a page is verified for the time at which the form arrived, up to an hour later.
func TestApprovalIsDatedByItsArrival(t *testing.T) {
	for _, tt := range []struct {
		ttl, wait time.Duration
		ok        bool
	}{{0, 95 * time.Second, true}, {time.Minute, time.Minute - time.Microsecond, true}, {time.Minute, time.Minute, false}} {
		t.Run(fmt.Sprint(tt.ttl, tt.wait), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, func(c *twofactor.Config) { c.AttemptTTL = tt.ttl })
				a := k.enrol(alice)
				c := k.open()
				in := twofactor.Approval{PageID: c.PageID, User: alice, Value: a.code(), At: time.Now()}
				time.Sleep(tt.wait)
				_, err := k.Approve(t.Context(), in)
				if tt.ok {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
					assert.Equal(t, "expired", k.last().Reason())
				}
			})
		})
	}
}
