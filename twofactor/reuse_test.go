package twofactor_test

import (
	"strconv"
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
	"github.com/npmauth/npmauth/twofactor"
)

// OT-19: npm repeats the PUT that was answered 5xx, with the same code.
func TestSameOperationMayBeRepeated(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		ok   bool
	}{{10 * time.Second, true}, {70 * time.Second, true}, {3*time.Minute - time.Microsecond, true}, {3 * time.Minute, false}} {
		t.Run(tt.wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				code := k.enrol(alice).code()
				proof, err := k.Prove(t.Context(), alice, publish(widget), code)
				require.NoError(t, err)
				assert.Equal(t, policy.ProofTOTP, proof)
				time.Sleep(tt.wait)
				proof, err = k.Prove(t.Context(), alice, publish(widget), code)
				if tt.ok {
					assert.NoError(t, err)
					assert.Equal(t, policy.ProofTOTP, proof)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
					assert.Equal(t, policy.NoProof, proof)
				}
			})
		})
	}
}

// A newer code spent elsewhere does not end a retry; only the reuse for other packages ends.
func TestRepeatOutlivesANewerCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		code := a.code()
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		require.NoError(t, err)
		next := a.at(time.Now().Add(30 * time.Second))
		require.NoError(t, k.signIn(k.Manager, alice, login, "s", next))
		_, err = k.Prove(t.Context(), alice, publish(widget), code)
		assert.NoError(t, err)
		// OT-03, for another package: an older step.
		_, err = k.Prove(t.Context(), alice, publish(plain), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// OT-20: unpublish is two requests of one operation; another package is not covered.
func TestTwoStepUnpublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.Strict = true })
		code := k.enrol(alice).code()
		use := bound(twofactor.Use{Credential: session, Action: protocol.Unpublish, Package: widget})
		for range 2 {
			_, err := k.Prove(t.Context(), alice, use, code)
			require.NoError(t, err)
		}
		use.Package = plain
		_, err := k.Prove(t.Context(), alice, use, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// OT-20, OT-22: the second request of npm unpublish is a follow-up of the first; it counts with
// it, and nothing else of the action is covered.
func TestFollowUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		use := bound(twofactor.Use{Credential: session, Action: protocol.Unpublish, Package: widget}, "1.0.0")
		next, other := bound(use, "the tarball"), bound(use, "2.0.0")
		use.FollowUps = []protocol.Digest{next.Change}
		_, err := k.Prove(t.Context(), alice, use, code)
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, other, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		elsewhere := next
		elsewhere.Package = plain
		_, err = k.Prove(t.Context(), alice, elsewhere, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		for range 8 {
			_, err = k.Prove(t.Context(), alice, next, code)
			require.NoError(t, err)
		}
		for _, u := range []twofactor.Use{next, use} {
			_, err = k.Prove(t.Context(), alice, u, code)
			assert.ErrorIs(t, err, twofactor.ErrWrong, "they have one count")
		}
	})
	// Nor does the second request cover the first.
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		use := bound(twofactor.Use{Credential: session, Action: protocol.Unpublish, Package: widget}, "1.0.0")
		next := bound(use, "the tarball")
		_, err := k.Prove(t.Context(), alice, next, code)
		require.NoError(t, err)
		use.FollowUps = []protocol.Digest{next.Change}
		_, err = k.Prove(t.Context(), alice, use, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		for range 1 + 8 {
			_, err := k.Prove(t.Context(), alice, publish(widget), code)
			require.NoError(t, err)
		}
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		_, err = k.Prove(t.Context(), alice, publish(plain), code)
		assert.NoError(t, err, "other packages have a count of their own")
	})
}

// npm publish --workspaces --otp: one code, many packages.
func TestReuseForOtherPackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		for n := range 1 + 64 {
			_, err := k.Prove(t.Context(), alice, publish(protocol.PackageName{Name: "p" + strconv.Itoa(n)}), code)
			require.NoError(t, err, n)
		}
		_, err := k.Prove(t.Context(), alice, publish(plain), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// The reuse for other packages ends with the window of the code, whenever in it the code was
// first used.
func TestReuseForOtherPackagesEndsWithTheCode(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead time.Duration // of the step that the code is of
		wait  time.Duration
		ok    bool
	}{
		"present step, last instant":  {0, 60*time.Second - time.Microsecond, true},
		"present step, at the end":    {0, 60 * time.Second, false},
		"next step, last instant":     {30 * time.Second, 90*time.Second - time.Microsecond, true},
		"next step, at the end":       {30 * time.Second, 90 * time.Second, false},
		"present step, 29.999 s":      {0, 29999 * time.Millisecond, true},
		"previous step, last instant": {-30 * time.Second, 30*time.Second - time.Microsecond, true},
		"previous step, at the end":   {-30 * time.Second, 30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				a := k.enrol(alice)
				time.Sleep(30 * time.Second) // the previous step is not that of the enrolment
				code := a.at(time.Now().Add(tt.ahead))
				_, err := k.Prove(t.Context(), alice, publish(widget), code)
				require.NoError(t, err)
				time.Sleep(tt.wait)
				_, err = k.Prove(t.Context(), alice, publish(plain), code)
				if tt.ok {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
				}
			})
		})
	}
}

func TestStrictRefusesOtherPackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.Strict = true })
		code := k.enrol(alice).code()
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, publish(plain), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		_, err = k.Prove(t.Context(), alice, publish(widget), code)
		assert.NoError(t, err, "retries stay")
	})
}

// OT-21: a copied token and an observed code. OT-22: another action.
func TestReuseIsBound(t *testing.T) {
	for name, change := range map[string]func(*twofactor.Use){
		"another credential":         func(u *twofactor.Use) { u.Credential = "token-2" },
		"another action":             func(u *twofactor.Use) { u.Action = protocol.WriteOwners },
		"another action and package": func(u *twofactor.Use) { u.Action, u.Package = protocol.Deprecate, plain },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				code := k.enrol(alice).code()
				_, err := k.Prove(t.Context(), alice, publish(widget), code)
				require.NoError(t, err)
				use := publish(widget)
				change(&use)
				_, err = k.Prove(t.Context(), alice, use, code)
				assert.ErrorIs(t, err, twofactor.ErrWrong)
				_, err = k.Prove(t.Context(), mallory, publish(widget), code)
				assert.ErrorIs(t, err, twofactor.ErrNoFactor)
				_, err = k.Prove(t.Context(), alice, publish(widget), code)
				assert.NoError(t, err, "the reuse itself is intact")
			})
		})
	}
}

// A recovery code may be reused for the same operation only.
func TestRecoveryCodeIsNotReusedForOtherPackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).recovery[0]
		use := bound(twofactor.Use{Credential: session, Action: protocol.RevokeToken}, "t1")
		for range 2 {
			proof, err := k.Prove(t.Context(), alice, use, code)
			require.NoError(t, err)
			assert.Equal(t, policy.ProofRecovery, proof)
		}
		use = bound(use, "t2")
		_, err := k.Prove(t.Context(), alice, use, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// AU-11: a code is for one change, whatever it changes; publishing and dist-tags, which
// npm publish --workspaces, lerna and changesets do with one code, are for any package.
func TestReuseAcrossChanges(t *testing.T) {
	for _, first := range protocol.Actions() {
		for _, second := range protocol.Actions() {
			if first.SignsIn() || second.SignsIn() {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				code := k.enrol(alice).code()
				use := bound(twofactor.Use{Credential: session, Action: first, Package: widget}, "x")
				_, err := k.Prove(t.Context(), alice, use, code)
				require.NoError(t, err)
				_, err = k.Prove(t.Context(), alice, bound(twofactor.Use{Credential: session, Action: second, Package: plain}, "y"), code)
				assert.Equal(t, first.AcrossPackages() && second.AcrossPackages(), err == nil, "%v, then %v: %v", first, second, err)
				_, err = k.Prove(t.Context(), alice, use, code)
				assert.Equal(t, first.Repeats(), err == nil, "%v again: %v", first, err)
			})
		}
	}
}

func TestActionsThatLeaveNoReuse(t *testing.T) {
	for _, action := range []protocol.Action{protocol.CreateToken, protocol.ManageService, protocol.SetTwoFactor, protocol.SetPassword, protocol.WriteProfile} {
		t.Run(action.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				a := k.enrol(alice)
				use := bound(twofactor.Use{Credential: session, Action: action})
				_, err := k.Prove(t.Context(), alice, use, a.code())
				require.NoError(t, err)
				_, err = k.Prove(t.Context(), alice, use, a.code())
				assert.ErrorIs(t, err, twofactor.ErrWrong)
				assert.NotContains(t, k.dump(), "twofactor-grant")
			})
		})
	}
}

func TestLoginLeavesNoGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		require.NoError(t, k.signIn(k.Manager, alice, login, session, code))
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// Yarn 1 sends the code of its login with the publish that follows.
func TestCarriedCode(t *testing.T) {
	carry := twofactor.Use{Action: protocol.Login, Carry: true}
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		code := a.code()
		require.NoError(t, k.signIn(k.Manager, alice, carry, session, code))

		other := publish(widget)
		other.Credential = "session-2"
		_, err := k.Prove(t.Context(), alice, other, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "another session")
		_, err = k.Prove(t.Context(), alice, bound(twofactor.Use{Credential: session, Action: protocol.WriteOwners, Package: widget}), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "another action")
		_, err = k.Prove(t.Context(), alice, publish(widget), code)
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, publish(plain), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "one publish")
		_, err = k.Prove(t.Context(), alice, publish(widget), code)
		assert.NoError(t, err, "and its retry")
	})
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		require.NoError(t, k.signIn(k.Manager, alice, carry, session, code))
		time.Sleep(3 * time.Minute)
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "for three minutes")
	})
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).recovery[0]
		require.NoError(t, k.signIn(k.Manager, alice, carry, session, code))
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "not for a recovery code")
	})
}

// A reuse ends with its factor.
func TestGrantDiesWithTheEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		code := k.enrol(alice).code()
		_, err := k.Prove(ctx, alice, publish(widget), code)
		require.NoError(t, err)
		require.NoError(t, k.Disable(ctx, operator, alice))
		_, err = k.Prove(ctx, alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		k.enrol(alice)
		_, err = k.Prove(ctx, alice, publish(widget), code)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// lerna publishes in parallel with one code: every request succeeds, no guess is counted twice
// and none ends the credential.
func TestOneCodeForParallelPublishes(t *testing.T) {
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
		_, err := nodes[i%2].Prove(t.Context(), alice, publish(protocol.PackageName{Name: "p" + strconv.Itoa(i)}), code)
		return err
	})
	assert.Equal(t, 64, count(errs, nil), "%v", errs)
}

// Two requests of one client reach two nodes: the second finds the code spent between its own
// two commits, and the record of reuse.
func TestOneCodeOnTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		code := a.code()
		_, err := k.Begin(t.Context(), alice, login, a.wrong(1)) // makes the server's key, which is a commit as well
		require.NoError(t, err)
		between := storetest.NewFaulty(k.store)
		slow := k.node(func(c *twofactor.Config) { c.Store = between })
		between.Inject(storetest.Fault{On: storetest.Commits, After: true, Do: func() {
			_, err := k.Prove(t.Context(), alice, publish(widget), code)
			assert.NoError(t, err)
		}})
		_, err = slow.Prove(t.Context(), alice, publish(plain), code)
		assert.NoError(t, err)
		assert.True(t, between.Struck(), "it did come between")
	})
}

// A reuse is taken exactly as often as it allows.
func TestRepeatsAreCountedInParallel(t *testing.T) {
	k := newKit(t)
	var a *app
	synctest.Test(t, func(t *testing.T) {
		k.t = t
		a = k.enrol(alice)
	})
	k.t, a.t = t, t
	now := func() time.Time { return time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC) }
	m := k.node(func(c *twofactor.Config) { c.Now = now })
	code := a.at(now())
	errs := parallel(32, func(int) error {
		_, err := m.Prove(t.Context(), alice, publish(widget), code)
		return err
	})
	assert.Equal(t, 1+8, count(errs, nil))
	assert.Equal(t, 32-9, count(errs, twofactor.ErrWrong), "%v", errs)
}

// counters are the rows that count attempts.
func (k *kit) counters() string {
	k.t.Helper()
	var all []string
	for line := range strings.Lines(k.dump()) {
		if strings.HasPrefix(line, "twofactor-tries/") || strings.HasPrefix(line, "twofactor-failures/") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// A value that a reuse covers is no guess: Begin counts nothing and writes nothing.
func TestBeginCountsNothingThatWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		_, err := k.Prove(t.Context(), alice, publish(widget), code)
		require.NoError(t, err)
		before := k.dump()
		for range 20 {
			_, err := k.Begin(t.Context(), alice, publish(widget), code)
			require.NoError(t, err)
			_, err = k.Begin(t.Context(), alice, publish(plain), code)
			require.NoError(t, err)
		}
		assert.Equal(t, before, k.dump())

		// A value that it does not cover is a guess.
		counted := k.counters()
		use := publish(widget)
		use.Action = protocol.WriteOwners
		_, err = k.Begin(t.Context(), alice, use, code)
		require.NoError(t, err)
		assert.NotEqual(t, counted, k.counters())
	})
}

// If a reuse is used up, or gone, between Begin and Spend, the attempt was not counted: it
// verifies nothing, and is a replay.
func TestGrantGoneBeforeSpend(t *testing.T) {
	for name, tt := range map[string]struct {
		take func(k *kit, code credential.Secret)
		want string
	}{
		"used up": {func(k *kit, code credential.Secret) {
			for range 8 {
				_, err := k.Prove(k.t.Context(), alice, publish(widget), code)
				require.NoError(k.t, err)
			}
		}, "replayed"},
		"swept": {func(k *kit, _ credential.Secret) {
			for _, key := range keysOf(k.t, k.store, "twofactor-grant/") {
				_, err := k.store.Commit(k.t.Context(), store.Op{Key: key, At: store.Any, Action: store.Delete})
				require.NoError(k.t, err)
			}
		}, "replayed"},
		"with its factor": {func(k *kit, _ credential.Secret) {
			require.NoError(k.t, k.Disable(k.t.Context(), operator, alice))
			k.enrol(alice)
		}, "replayed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				ctx := t.Context()
				code := k.enrol(alice).code()
				_, err := k.Prove(ctx, alice, publish(widget), code)
				require.NoError(t, err)
				att, err := k.Begin(ctx, alice, publish(widget), code)
				require.NoError(t, err)
				tt.take(k, code)
				counted := k.counters()
				err = store.Transact(ctx, k.store, func(tx *store.Tx) error { return att.Spend(ctx, tx, publish(widget)) })
				assert.ErrorIs(t, err, twofactor.ErrWrong)
				assert.Equal(t, audit.FactorReplayed, k.last().Type)
				assert.Equal(t, tt.want, k.last().Reason())
				assert.Equal(t, counted, k.counters())
			})
		})
	}
}

// AU-05: each use of a reuse is recorded.
func TestReuseIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		code := k.enrol(alice).code()
		use := publish(widget)
		use.Addr = terminal
		_, err := k.Prove(t.Context(), alice, use, code)
		require.NoError(t, err)
		first := k.last()
		assert.NotContains(t, first.Detail, "reused")
		use = publish(plain)
		use.Addr = browser
		told := len(k.events)
		for range 2 {
			_, err = k.Prove(t.Context(), alice, use, code)
			require.NoError(t, err)
		}
		require.Len(t, k.events, told+2)
		e := k.last()
		assert.Equal(t, audit.FactorUsed, e.Type)
		assert.Equal(t, audit.Done, e.Outcome)
		assert.Equal(t, map[string]string{"form": "totp", "reused": "true"}, e.Detail)
		assert.Equal(t, protocol.Publish, e.Action)
		assert.Equal(t, plain, e.Package)
		assert.Equal(t, browser, e.Addr)
	})
}
