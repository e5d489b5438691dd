package twofactor_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// asking is a request of alice in a session, for what her package is to become.
func asking(action protocol.Action, c *protocol.Change) policy.Request {
	now := time.Now()
	return policy.Request{
		Operation:  protocol.Operation{Action: action, Package: widget},
		Credential: &policy.Credential{ID: session, Kind: policy.KindSession, User: alice, Created: now.Add(-time.Minute), Expires: now.Add(time.Hour)},
		Account:    policy.Account{ID: alice, Name: "alice", TwoFactor: protocol.AuthAndWrites},
		Package:    policy.Facts{ID: "p1", Rights: policy.RightRead | policy.RightWrite | policy.RightAdmin},
		Change:     c, Addr: terminal, Now: now,
	}
}

// decide begins and decides as a program does.
func (k *kit) decide(req policy.Request, value credential.Secret) (policy.Request, policy.Decision, error) {
	ctx, p := k.t.Context(), policy.NPM()
	a, err := k.BeginFor(ctx, p, req, time.Time{}, value)
	if err != nil {
		require.Nil(k.t, a)
		return req, policy.Decision{}, err
	}
	var d policy.Decision
	err = store.Transact(ctx, k.store, func(tx *store.Tx) error {
		d, err = a.Decide(ctx, tx, p, &req)
		return err
	})
	return req, d, err
}

func TestDecide(t *testing.T) {
	owners := &protocol.Change{Maintainers: []string{"alice", "bob"}, AddedOwners: []string{"bob"}}
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		app := k.enrol(alice)
		code := app.code()
		_, _, err := k.decide(asking(protocol.WriteOwners, owners), credential.Secret{})
		assert.ErrorIs(t, err, subject.ErrFactorRequired)
		anonymous := asking(protocol.WriteOwners, owners)
		anonymous.Credential = nil
		_, _, err = k.decide(anonymous, code)
		assert.ErrorIs(t, err, twofactor.ErrNoFactor)
		_, _, err = k.decide(asking(protocol.WriteOwners, owners), app.wrong(0))
		assert.ErrorIs(t, err, twofactor.ErrWrong)

		// What would not be enough is not even tried.
		before := k.dump()
		publish := asking(protocol.Publish, &protocol.Change{Version: "1.0.0"})
		_, _, err = k.decide(publish, credential.NewSecret("x"))
		assert.ErrorIs(t, err, twofactor.ErrWrong, "no code")
		// AU-39: whether the recovery code is right or not, with the policy's reason.
		for _, code := range []credential.Secret{app.recovery[0], secretOf(strings.Repeat("0", 64))} {
			_, _, err = k.decide(publish, code)
			denied, ok := errors.AsType[*policy.DeniedError](err)
			require.True(t, ok, err)
			assert.Equal(t, policy.Challenge, denied.Decision.Effect)
			assert.True(t, denied.Decision.Has("recovery-code"), denied)
			assert.Empty(t, twofactor.Sentence(err, time.Now()))
		}
		assert.Equal(t, before, k.dump(), "a recovery code is not lost")

		req, d, err := k.decide(asking(protocol.WriteOwners, owners), code)
		require.NoError(t, err)
		assert.Equal(t, policy.Allow, d.Effect)
		assert.Equal(t, policy.ProofTOTP, req.Proof)
		other := asking(protocol.WriteOwners, &protocol.Change{Maintainers: []string{"mallory"}, AddedOwners: []string{"mallory"}})
		req, d, err = k.decide(other, code)
		assert.ErrorIs(t, err, twofactor.ErrWrong, "a code is for one change")
		assert.NotEqual(t, policy.Allow, d.Effect)
		assert.Equal(t, policy.NoProof, req.Proof)
	})
}

// Where the final decision is another than the first one, nothing is spent.
func TestDecideAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx, p := t.Context(), policy.NPM()
		app := k.enrol(alice)
		change := &protocol.Change{Version: "1.0.0"}
		first := asking(protocol.Publish, change)
		a, err := k.BeginFor(ctx, p, first, time.Time{}, app.code())
		require.NoError(t, err)
		decide := func(a *twofactor.Attempt, req policy.Request) (d policy.Decision) {
			require.NoError(t, store.Transact(ctx, k.store, func(tx *store.Tx) (err error) {
				d, err = a.Decide(ctx, tx, p, &req)
				assert.Equal(t, policy.NoProof, req.Proof)
				return err
			}))
			return d
		}
		removed := asking(protocol.Publish, change)
		removed.Package.Rights = policy.RightRead
		assert.Equal(t, policy.Deny, decide(a, removed).Effect)
		assert.Equal(t, policy.Challenge, decide(nil, first).Effect, "no attempt proves nothing")
		read := asking(protocol.ReadPackument, nil)
		assert.Equal(t, policy.Allow, decide(a, read).Effect, "and what needs no proof takes none")

		_, d, err := k.decide(first, app.code())
		require.NoError(t, err, "the code is there still")
		assert.Equal(t, policy.Allow, d.Effect)
	})
}

func TestAuthorize(t *testing.T) {
	owners := &protocol.Change{Maintainers: []string{"alice", "bob"}, AddedOwners: []string{"bob"}}
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *twofactor.Config) { c.SoftLimit = 2 })
		ctx, p := t.Context(), policy.NPM()
		app := k.enrol(alice)
		written := func() bool {
			items, err := k.store.Get(ctx, "written")
			require.NoError(t, err)
			return items[0].Exists()
		}
		write := func(tx *store.Tx) error {
			tx.Put("written", nil, time.Time{})
			return nil
		}
		asks := 0
		authorize := func(value credential.Secret, in func(final bool, req *policy.Request) error) error {
			asks = 0
			return k.Authorize(ctx, p, time.Time{}, value, func(from store.Reader) (*policy.Request, error) {
				asks++
				req := asking(protocol.WriteOwners, owners)
				_, final := from.(*store.Tx)
				assert.Equal(t, asks > 1, final)
				return &req, in(final, &req)
			}, write)
		}
		plain := func(bool, *policy.Request) error { return nil }

		assert.ErrorIs(t, authorize(credential.Secret{}, plain), subject.ErrFactorRequired)
		err := authorize(app.wrong(0), plain)
		assert.ErrorIs(t, err, subject.ErrFactorRequired)
		assert.ErrorIs(t, err, twofactor.ErrWrong)
		for _, at := range []bool{false, true} { // where it is denied at the first and at the final decision
			var denied *policy.DeniedError
			require.ErrorAs(t, authorize(app.code(), func(final bool, req *policy.Request) error {
				if final == at {
					req.Package.Rights = policy.RightRead
				}
				return nil
			}), &denied)
			assert.Equal(t, protocol.WriteOwners, denied.Operation.Action)
			assert.False(t, denied.Anonymous)
			away := errors.New("away")
			assert.ErrorIs(t, authorize(app.code(), func(final bool, _ *policy.Request) error {
				if final == at {
					return away
				}
				return nil
			}), away)
		}
		// It was a read at first, so that no attempt was begun.
		assert.ErrorIs(t, authorize(app.code(), func(final bool, req *policy.Request) error {
			if !final {
				req.Operation.Action = protocol.ReadPackument
			}
			return nil
		}), subject.ErrFactorRequired)
		assert.False(t, written())

		require.NoError(t, authorize(app.code(), plain), "none of it has spent the code")
		assert.True(t, written())
		assert.Equal(t, 2, asks)
		time.Sleep(30 * time.Second)
		require.NoError(t, k.Authorize(ctx, p, time.Time{}, app.code(), func(store.Reader) (*policy.Request, error) {
			req := asking(protocol.WriteOwners, owners)
			return &req, nil
		}, nil))
		time.Sleep(30 * time.Second)
		for i := range 2 {
			assert.ErrorIs(t, authorize(app.wrong(i+1), plain), twofactor.ErrWrong)
		}
		assert.ErrorIs(t, authorize(app.code(), plain), twofactor.ErrTooMany)
	})
}

// An attempt proves nothing for whoever the final request is from, if that is not who began it.
func TestDecideForAnother(t *testing.T) {
	owners := &protocol.Change{Maintainers: []string{"alice", "bob"}, AddedOwners: []string{"bob"}}
	ask := policy.New(
		policy.Rule{ID: "permit", Sentence: "Yes.", Judge: func(*policy.Request) policy.Verdict { return policy.Permit }},
		policy.Rule{ID: "prove", Sentence: "With a code.", Judge: func(r *policy.Request) policy.Verdict {
			if r.Proven() {
				return policy.Silent
			}
			return policy.NeedProof
		}},
	)
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		app := k.enrol(alice)
		before := asking(protocol.WriteOwners, owners)
		anonymous, bob := before, before
		anonymous.Credential = nil
		bob.Credential = new(*before.Credential)
		bob.Credential.User, bob.Account.ID = "u-bob", "u-bob"
		for who, req := range map[string]policy.Request{"nobody": anonymous, "bob": bob} {
			a, err := k.BeginFor(t.Context(), ask, before, time.Time{}, app.code())
			require.NoError(t, err, who)
			err = store.Transact(t.Context(), k.store, func(tx *store.Tx) error {
				d, err := a.Decide(t.Context(), tx, ask, &req)
				assert.NotEqual(t, policy.Allow, d.Effect, who)
				return err
			})
			assert.Error(t, err, who)
			assert.Equal(t, policy.NoProof, req.Proof, who)
		}
		_, d, err := k.decide(before, app.code())
		require.NoError(t, err, "the code is there still")
		assert.Equal(t, policy.Allow, d.Effect)
	})
}
