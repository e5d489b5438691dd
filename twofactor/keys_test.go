package twofactor_test

import (
	"context"
	"errors"
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
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// withKeys gives the Manager security keys.
func withKeys(cfg *twofactor.Config) {
	var err error
	if cfg.Keys, err = keystest.Keys(twofactor.KeysConfig{Store: cfg.Store}); err != nil {
		panic(err)
	}
}

func (k *kit) tx(fn func(ctx context.Context, tx *store.Tx) error) error {
	return store.Transact(k.t.Context(), k.store, func(tx *store.Tx) error { return fn(k.t.Context(), tx) })
}

// addKey gives user the key, and returns the recovery codes if it is the first factor.
func (k *kit) addKey(user protocol.UserID, id string) (codes []credential.Secret) {
	k.t.Helper()
	options, err := k.BeginRegistration(k.t.Context(), user, string(user))
	require.NoError(k.t, err)
	require.NoError(k.t, k.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		_, codes, err = k.AddKeyTx(ctx, tx, operator, user, "my "+id, keystest.Make(options, id))
		return err
	}))
	return codes
}

// signed returns what a key of the user signs for use.
func (k *kit) signed(user protocol.UserID, id string, use twofactor.Use) credential.Secret {
	k.t.Helper()
	options, err := k.KeyOptions(k.t.Context(), user, use)
	require.NoError(k.t, err)
	return twofactor.KeyValue(keystest.Sign(options, id))
}

func (k *kit) remove(user protocol.UserID, id string) error {
	return k.tx(func(ctx context.Context, tx *store.Tx) error { return k.RemoveFactorTx(ctx, tx, operator, user, id) })
}

// The first key turns the factor on: for logging in and writing, with recovery codes, and the sessions
// that were opened without it end.
func TestFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		before := k.subject(alice).Numbers(policy.KindSession)
		_, err := k.KeyOptions(t.Context(), alice, publish(plain))
		require.ErrorIs(t, err, twofactor.ErrNoKey)

		codes := k.addKey(alice, "blue")
		require.Len(t, codes, 5)
		sub := k.subject(alice)
		assert.True(t, sub.Keys)
		assert.Equal(t, protocol.AuthAndWrites, sub.TwoFactor)
		assert.False(t, sub.Alive(policy.KindSession, before))
		s, err := k.Status(t.Context(), nil, alice)
		require.NoError(t, err)
		assert.Equal(t, twofactor.Status{Enabled: true, Keys: true, RecoveryLeft: 5}, s)
		assert.Equal(t, audit.FactorEnrolled, k.last().Type)

		before = sub.Numbers(policy.KindSession)
		assert.Empty(t, k.addKey(alice, "green"), "the codes are those of the first")
		assert.True(t, k.subject(alice).Alive(policy.KindSession, before))
		list, err := k.KeyList(t.Context(), nil, alice)
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Equal(t, "my blue", list[0].Name)

		proof, err := k.Prove(t.Context(), alice, bound(twofactor.Use{Credential: session, Action: protocol.SetTwoFactor}), codes[0])
		require.NoError(t, err)
		assert.Equal(t, policy.ProofRecovery, proof)
		_, err = k.Prove(t.Context(), alice, publish(plain), credential.NewSecret("000000"))
		require.ErrorIs(t, err, twofactor.ErrWrong, "there is no app")
		_, err = k.Prove(t.Context(), alice, publish(plain), credential.NewSecret("755224"))
		require.ErrorIs(t, err, twofactor.ErrWrong, "nor one whose key is empty")
	})
}

// A key signs for one operation, once. WA-06: one that was copied has an event that says so.
func TestKeyProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		k.addKey(alice, "blue")
		k.addKey(mallory, "evil")
		use := publish(plain)
		value := k.signed(alice, "blue", use)
		for what, other := range map[string]twofactor.Use{
			"another package":    publish(widget),
			"another change":     bound(use, "1.0.0"),
			"another credential": bound(twofactor.Use{Credential: "session-2", Action: protocol.Publish, Package: plain}),
			"another action":     bound(twofactor.Use{Credential: session, Action: protocol.Deprecate, Package: plain}),
			"a page":             {Credential: session, Action: use.Action, Package: use.Package, Change: use.Change, Page: "p"},
		} {
			_, err := k.Prove(t.Context(), alice, other, value)
			require.ErrorIs(t, err, twofactor.ErrWrong, what)
			assert.Equal(t, []string{"wrong"}, k.last().Reasons, what)
			assert.Equal(t, audit.Denied, k.last().Outcome, what)
		}
		_, err := k.Prove(t.Context(), mallory, use, value)
		require.ErrorIs(t, err, twofactor.ErrWrong, "another user")
		_, err = k.Prove(t.Context(), alice, use, k.signed(alice, "evil", use))
		require.ErrorIs(t, err, twofactor.ErrWrong, "somebody else's key")
		options, err := k.KeyOptions(t.Context(), alice, use)
		require.NoError(t, err)
		_, err = k.Prove(t.Context(), alice, use, twofactor.KeyValue(keystest.SignCopied(options, "blue")))
		require.ErrorIs(t, err, twofactor.ErrCopied)
		assert.Equal(t, []string{"copied"}, k.last().Reasons)
		assert.Equal(t, "blue", k.last().Detail["key"])

		// Many at once: one of them.
		var worked atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				proof, err := k.Prove(t.Context(), alice, use, value)
				if err == nil {
					assert.Equal(t, policy.ProofKey, proof)
					worked.Add(1)
					return
				}
				assert.ErrorIs(t, err, twofactor.ErrWrong)
			})
		}
		all.Wait()
		assert.Equal(t, int32(1), worked.Load())
		// Signatures cannot be guessed, so they end no credential.
		for range 20 {
			_, err = k.Prove(t.Context(), alice, use, value)
			require.ErrorIs(t, err, twofactor.ErrWrong)
			require.NotErrorIs(t, err, twofactor.ErrTooMany)
		}
		_, err = k.Prove(t.Context(), alice, use, k.signed(alice, "blue", use))
		require.NoError(t, err)
	})
}

// Whoever has locked the app has not locked the keys.
func TestKeysOfALockedApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys, func(cfg *twofactor.Config) { cfg.SoftLimit, cfg.HardLimit = 1, 1 })
		a := k.enrol(alice)
		k.addKey(alice, "blue")
		_, err := k.Prove(t.Context(), alice, publish(plain), a.wrong(1))
		require.ErrorIs(t, err, twofactor.ErrWrong)
		_, err = k.Prove(t.Context(), alice, bound(twofactor.Use{Credential: "session-2", Action: protocol.Publish, Package: plain}), a.code())
		require.ErrorIs(t, err, twofactor.ErrLocked)
		_, err = k.Prove(t.Context(), alice, publish(plain), k.signed(alice, "blue", publish(plain)))
		require.NoError(t, err)
		// An app that is removed takes its lock with it.
		require.NoError(t, k.remove(alice, protocol.FactorApp))
		_, err = k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthAndWrites)
		require.NoError(t, err)
	})
}

// A page that was approved with a key hands out another kind of proof than one approved with a code.
func TestChallengeByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		a := k.enrol(alice)
		k.addKey(alice, "blue")
		use := publish(plain)
		open := func() twofactor.Challenge {
			c, err := k.Challenge(t.Context(), twofactor.NewChallenge{
				User: alice, Credential: session, Action: use.Action, Items: []twofactor.Item{{Package: use.Package, Change: use.Change}},
			})
			require.NoError(t, err)
			return c
		}
		for _, byKey := range []bool{true, false} {
			c := open()
			value := a.code()
			if byKey {
				value = k.signed(alice, "blue", twofactor.Use{Page: c.PageID})
				_, err := k.approve(c.PageID, alice, k.signed(alice, "blue", use))
				require.ErrorIs(t, err, twofactor.ErrWrong, "signed for the change, and not for the page")
				_, err = k.approve(open().PageID, alice, value)
				require.ErrorIs(t, err, twofactor.ErrWrong, "signed for another page")
			}
			_, err := k.approve(c.PageID, alice, value)
			require.NoError(t, err)
			poll, err := k.Collect(t.Context(), c.PollID, terminal)
			require.NoError(t, err)
			text, want, prefix := poll.Proof.Reveal(), policy.ProofWeb, "npmo_"
			if byKey {
				want, prefix = policy.ProofKey, "npmk_"
			}
			require.True(t, strings.HasPrefix(text, prefix))
			other := map[string]string{"npmo_": "npmk_", "npmk_": "npmo_"}[prefix] + text[len(prefix):]
			_, err = k.Prove(t.Context(), alice, use, credential.NewSecret(other))
			require.ErrorIs(t, err, twofactor.ErrWrong)
			proof, err := k.Prove(t.Context(), alice, use, poll.Proof)
			require.NoError(t, err)
			assert.Equal(t, want, proof)
		}
		// The digits that such a page shows can be told to anybody: they are no key's proof.
		c := open()
		typed, err := k.approve(c.PageID, alice, k.signed(alice, "blue", twofactor.Use{Page: c.PageID}))
		require.NoError(t, err)
		proof, err := k.Prove(t.Context(), alice, use, typed)
		require.NoError(t, err)
		assert.Equal(t, policy.ProofWeb, proof)
		// What was approved ends with any factor.
		c = open()
		_, err = k.approve(c.PageID, alice, k.signed(alice, "blue", twofactor.Use{Page: c.PageID}))
		require.NoError(t, err)
		poll, err := k.Collect(t.Context(), c.PollID, terminal)
		require.NoError(t, err)
		require.NoError(t, k.remove(alice, "blue"))
		_, err = k.Prove(t.Context(), alice, use, poll.Proof)
		require.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// WA-10: one of several factors can be removed, and never the last, nor the last key where only keys count.
func TestRemoveFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		require.ErrorIs(t, k.remove(alice, "blue"), twofactor.ErrNoKey, "there is no factor")
		k.addKey(alice, "blue")
		k.addKey(mallory, "evil")
		require.ErrorIs(t, k.remove(alice, "blue"), twofactor.ErrLastFactor)
		require.ErrorIs(t, k.remove(alice, protocol.FactorApp), twofactor.ErrNoKey)
		for _, id := range []string{"evil", "none", ""} {
			require.ErrorIs(t, k.remove(alice, id), twofactor.ErrNoKey)
		}
		// An app besides, with new recovery codes; the mode stays, and so do sessions.
		before := k.subject(alice).Numbers(policy.KindSession)
		a := k.enrol(alice)
		require.Len(t, a.recovery, 5)
		assert.True(t, k.subject(alice).Alive(policy.KindSession, before))
		_, err := k.Enrol(t.Context(), operator, alice, "alice", protocol.AuthOnly)
		require.ErrorIs(t, err, twofactor.ErrEnrolled)

		require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return k.SetKeysOnlyTx(ctx, tx, operator, alice, true) }))
		require.ErrorIs(t, k.remove(alice, "blue"), twofactor.ErrLastFactor, "the last of those that count")
		require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return k.SetKeysOnlyTx(ctx, tx, operator, alice, false) }))
		require.NoError(t, k.remove(alice, "blue"))
		assert.Equal(t, audit.FactorRemoved, k.last().Type)
		assert.False(t, k.subject(alice).Keys)
		require.ErrorIs(t, k.remove(alice, protocol.FactorApp), twofactor.ErrLastFactor)
		require.ErrorIs(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return k.SetKeysOnlyTx(ctx, tx, operator, alice, true) }), twofactor.ErrNoKey)
		k.addKey(alice, "green")
		require.NoError(t, k.remove(alice, protocol.FactorApp))
		_, err = k.Prove(t.Context(), alice, publish(plain), a.code())
		require.ErrorIs(t, err, twofactor.ErrWrong)

		// All of them at once, for good.
		require.NoError(t, k.Disable(t.Context(), operator, alice))
		assert.False(t, k.subject(alice).Keys)
		list, err := k.KeyList(t.Context(), nil, alice)
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}

// Of two last factors that are removed at once, one stays.
func TestRemoveBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		k.addKey(alice, "blue")
		k.addKey(alice, "green")
		var removed, refused atomic.Int32
		var all sync.WaitGroup
		for _, id := range []string{"blue", "green"} {
			all.Go(func() {
				switch err := k.remove(alice, id); {
				case err == nil:
					removed.Add(1)
				case errors.Is(err, twofactor.ErrLastFactor):
					refused.Add(1)
				default:
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		assert.Equal(t, []int32{1, 1}, []int32{removed.Load(), refused.Load()})
	})
}

// A passkey is a whole sign-in, and its page's.
func TestPasskey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		k.addKey(alice, "blue")
		k.addKey(mallory, "evil")
		sign := func(page, id string) credential.Secret {
			options, err := k.PasskeyOptions(t.Context(), page)
			require.NoError(t, err)
			return twofactor.KeyValue(keystest.Sign(options, id))
		}
		spend := func(page string, value credential.Secret) (protocol.UserID, error) {
			user, spend, err := k.Passkey(t.Context(), subject.Factor{Value: value, Page: page})
			if err != nil {
				return "", err
			}
			return user, k.tx(func(ctx context.Context, tx *store.Tx) error { return spend(ctx, tx, "session-9") })
		}
		value := sign("p1", "blue")
		_, err := spend("p2", value)
		require.ErrorIs(t, err, subject.ErrFactorRequired, "another page's")
		require.ErrorIs(t, err, twofactor.ErrWrong)
		user, err := spend("p1", value)
		require.NoError(t, err)
		assert.Equal(t, alice, user)
		_, err = spend("p1", value)
		require.ErrorIs(t, err, twofactor.ErrWrong, "once")
		user, err = spend("p1", sign("p1", "evil"))
		require.NoError(t, err)
		assert.Equal(t, mallory, user)
		_, err = spend("p1", k.signed(alice, "blue", twofactor.Use{Page: "p1"}))
		require.ErrorIs(t, err, twofactor.ErrWrong, "a second factor is no sign-in")
		_, err = spend("p1", sign("p1", "none"))
		require.ErrorIs(t, err, twofactor.ErrWrong)
		for _, bad := range []string{"", "123456", "webauthn.!", "webauthn.e30"} {
			_, err = spend("p1", credential.NewSecret(bad))
			require.ErrorIs(t, err, twofactor.ErrWrong, bad)
		}
		// A factor that is off takes its keys with it.
		value = sign("p1", "blue")
		require.NoError(t, k.Disable(t.Context(), operator, alice))
		_, err = spend("p1", value)
		require.ErrorIs(t, err, twofactor.ErrWrong)
	})
}

// Where only keys count, a login takes one, or a recovery code.
func TestKeysOnlySignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		a := k.enrol(alice)
		k.addKey(alice, "blue")
		require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return k.SetKeysOnlyTx(ctx, tx, operator, alice, true) }))
		signIn := func(f subject.Factor) error {
			spend, err := k.SignIn(t.Context(), k.subject(alice), f)
			if err != nil {
				return err
			}
			return k.tx(func(ctx context.Context, tx *store.Tx) error { return spend(ctx, tx, "session-9") })
		}
		err := signIn(subject.Factor{Value: a.code()})
		require.ErrorIs(t, err, subject.ErrFactorRequired)
		assert.Contains(t, twofactor.Sentence(err, time.Now()), "Only a security key counts")
		require.NoError(t, signIn(subject.Factor{Value: k.signed(alice, "blue", twofactor.Use{Page: "p"}), Page: "p"}))
		require.ErrorIs(t, signIn(subject.Factor{Value: k.signed(alice, "blue", twofactor.Use{Page: "p"}), Page: "q"}), twofactor.ErrWrong)
		require.ErrorIs(t, signIn(subject.Factor{Value: k.signed(alice, "blue", twofactor.Use{Page: "p"})}), subject.ErrFactorRequired, "a login without a page")
		// Nor does a code have a password checked that would wait for others.
		for what, tt := range map[string]struct {
			value            credential.Secret
			right, guessable bool
		}{
			"a code":                {a.code(), false, true},
			"a recovery code":       {a.recovery[0], true, false},
			"what a key has signed": {k.signed(alice, "blue", twofactor.Use{Page: "p"}), false, false},
		} {
			right, guessable, err := k.Verifies(t.Context(), k.subject(alice), subject.Factor{Value: tt.value, Page: "p"})
			require.NoError(t, err)
			assert.Equal(t, []bool{tt.right, tt.guessable}, []bool{right, guessable}, what)
		}
		require.NoError(t, signIn(subject.Factor{Value: a.recovery[0]}))
		require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return k.SetKeysOnlyTx(ctx, tx, operator, alice, false) }))
		require.NoError(t, signIn(subject.Factor{Value: a.code()}))
	})
}

// Without keys there are none, and what is theirs is refused; an account that has some cannot be reset.
func TestNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		k.addKey(alice, "blue")
		value := k.signed(alice, "blue", publish(plain))
		m := k.node()
		assert.False(t, m.OffersKeys())
		_, err := m.KeyOptions(t.Context(), alice, publish(plain))
		require.ErrorIs(t, err, twofactor.ErrNoKeys)
		_, err = m.PasskeyOptions(t.Context(), "p")
		require.ErrorIs(t, err, twofactor.ErrNoKeys)
		_, err = m.BeginRegistration(t.Context(), alice, "alice")
		require.ErrorIs(t, err, twofactor.ErrNoKeys)
		_, _, err = m.Passkey(t.Context(), subject.Factor{Value: value, Page: "p"})
		require.ErrorIs(t, err, twofactor.ErrNoKeys)
		_, err = m.Prove(t.Context(), alice, publish(plain), value)
		require.ErrorIs(t, err, twofactor.ErrWrong)
		require.ErrorContains(t, m.Disable(t.Context(), operator, alice), "Config.Keys is nil")
		s, err := m.Status(t.Context(), nil, alice)
		require.NoError(t, err)
		assert.False(t, s.Keys)
	})
}

func TestNoApps(t *testing.T) {
	_, err := twofactor.New(twofactor.Config{Store: store.NewMemory(), NoApps: true})
	require.ErrorContains(t, err, "Config.NoApps needs Config.Keys")
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withKeys)
		a := k.enrol(alice)
		m := k.node(withKeys, func(cfg *twofactor.Config) { cfg.NoApps = true })
		_, err := m.Enrol(t.Context(), operator, mallory, "mallory", protocol.AuthOnly)
		require.ErrorIs(t, err, twofactor.ErrNoApps)
		_, err = m.Prove(t.Context(), alice, publish(plain), a.code())
		require.NoError(t, err, "those that are enrolled go on")
	})
}

// Whoever but the user adds or removes a factor has recovered the account.
func TestFactorsByAnotherRecover(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, k *kit, tx *store.Tx, by audit.Actor) error{
		"adds a key": func(ctx context.Context, k *kit, tx *store.Tx, by audit.Actor) error {
			options, err := k.BeginRegistration(ctx, alice, "alice")
			require.NoError(k.t, err)
			_, _, err = k.AddKeyTx(ctx, tx, by, alice, "green", keystest.Make(options, "green"))
			return err
		},
		"removes a key": func(ctx context.Context, k *kit, tx *store.Tx, by audit.Actor) error {
			return k.RemoveFactorTx(ctx, tx, by, alice, "blue")
		},
		"removes the app": func(ctx context.Context, k *kit, tx *store.Tx, by audit.Actor) error {
			return k.RemoveFactorTx(ctx, tx, by, alice, protocol.FactorApp)
		},
		"confirms an app": func(ctx context.Context, k *kit, _ *store.Tx, by audit.Actor) error { // of mallory's, in a commit of its own
			uri, err := k.Enrol(ctx, by, mallory, "mallory", protocol.AuthOnly)
			require.NoError(k.t, err)
			c, err := k.BeginConfirm(ctx, mallory, (&app{t: k.t, secret: secretIn(k.t, uri)}).code(), time.Time{})
			require.NoError(k.t, err)
			return store.Transact(ctx, k.store, func(tx *store.Tx) error { _, err := c.Apply(ctx, tx, by); return err })
		},
	} {
		for who, by := range map[string]audit.Actor{"the user": {}, "the operator": operator, "an administrator": {User: "u9"}} {
			t.Run(name+", "+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, withKeys)
					k.enrol(alice)
					options, err := k.BeginRegistration(t.Context(), alice, "alice")
					require.NoError(t, err)
					own := audit.Actor{User: alice}
					require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error {
						_, _, err := k.AddKeyTx(ctx, tx, own, alice, "blue", keystest.Make(options, "blue"))
						return err
					}))
					of := alice
					if name == "confirms an app" {
						of = mallory
					}
					if who == "the user" {
						by = audit.Actor{User: of}
					}
					require.Zero(t, k.subject(of).Recovered)
					if of == mallory {
						require.NoError(t, change(t.Context(), k, nil, by))
					} else {
						require.NoError(t, k.tx(func(ctx context.Context, tx *store.Tx) error { return change(ctx, k, tx, by) }))
					}
					assert.Equal(t, who != "the user", !k.subject(of).Recovered.IsZero())
				})
			})
		}
	}
}
