package token_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
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
	"github.com/npmauth/npmauth/token"
)

func rotate(m *token.Manager, r token.Rotation) (credential.Secret, token.Token, error) {
	if r.User == "" {
		r.User = "alice"
	}
	return m.Rotate(context.Background(), audit.Actor{Credential: "s2"}, r)
}

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		m := manager(t, s)
		oldSecret, old := create(t, m, token.Spec{
			Name: "ci", Description: "releases", Grants: writeOne, Bypass: true, Days: 10,
			CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		})
		time.Sleep(24 * time.Hour)
		now := time.Now().UTC()
		secret, tok, err := rotate(m, token.Rotation{ID: old.ID, Grace: time.Hour})
		require.NoError(t, err)

		want := old
		want.ID, want.Digest, want.Hint = tok.ID, credential.Sum(secret), secret.Reveal()[:8]
		want.Created, want.Expires, want.CreatedBy = now, now.Add(10*24*time.Hour), "s2"
		want.Replaces = old.ID
		assert.Equal(t, want, tok, "PR-04, PR-06: all that it may do and where from, and nothing else")
		assert.NotEqual(t, old.ID, tok.ID)
		assert.NotEqual(t, oldSecret.Reveal(), secret.Reveal())

		for id, ends := range map[string]time.Time{old.ID: now.Add(time.Hour), tok.ID: tok.Expires} {
			got, err := m.Get(t.Context(), "alice", id)
			require.NoError(t, err)
			assert.Equal(t, ends, got.Expires)
			cred, _, err := token.Open(item(t, s, token.Key(id)), got.Digest)
			require.NoError(t, err)
			assert.Equal(t, ends, cred.Expires, "TK-09: what the decision sees")
		}

		replaced, err := m.Get(t.Context(), "alice", old.ID)
		require.NoError(t, err)
		assert.Equal(t, tok.ID, replaced.ReplacedBy)
		page, _, _, err := m.List(t.Context(), "alice", token.ListOptions{})
		require.NoError(t, err)
		assert.Equal(t, []token.Token{tok, replaced}, page)

		time.Sleep(time.Hour)
		_, _, err = rotate(m, token.Rotation{ID: old.ID, Grace: time.Hour})
		assert.ErrorIs(t, err, token.ErrNotFound, "the dead are not renewed")
		_, next, err := rotate(m, token.Rotation{ID: tok.ID, Days: 3})
		require.NoError(t, err)
		assert.Equal(t, 3*24*time.Hour, next.Expires.Sub(next.Created))
		_, err = m.Get(t.Context(), "alice", tok.ID)
		assert.ErrorIs(t, err, token.ErrNotFound, "without a grace the old one is gone at once")
		assert.False(t, item(t, s, token.Key(tok.ID)).Exists())
	})
}

// Without a grace the old token ends in the rotation, and its end is recorded like any other.
func TestRotateWithoutGraceTellsOfTheEnd(t *testing.T) {
	for name, grace := range map[string]time.Duration{"without": 0, "with": time.Hour} {
		var told []audit.Event
		m, err := token.New(token.Config{Store: store.NewMemory(), Events: audit.NewRecorder(audit.RecorderConfig{
			Sink: audit.Func(func(_ context.Context, e audit.Event) { told = append(told, e) }),
		})})
		require.NoError(t, err)
		_, old := create(t, m, token.Spec{})
		told = nil
		_, fresh, err := rotate(m, token.Rotation{ID: old.ID, Grace: grace})
		require.NoError(t, err)
		created := told[len(told)-1]
		assert.Equal(t, []any{audit.TokenCreated, fresh.ID}, []any{created.Type, created.Credential}, name)
		if grace > 0 {
			assert.Len(t, told, 1, name)
			continue
		}
		require.Len(t, told, 2, name)
		assert.Equal(t, []any{audit.TokenRevoked, old.ID, protocol.UserID("alice"), "s2", "rotated"},
			[]any{told[0].Type, told[0].Credential, told[0].User, told[0].ByCredential, told[0].Reason()})
	}
}

// A token that ends sooner than the grace does not live longer for it.
func TestRotateNeverProlongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, store.NewMemory())
		_, old := create(t, m, token.Spec{Days: 1})
		_, _, err := rotate(m, token.Rotation{ID: old.ID, Grace: token.MaxGrace, Days: 30})
		require.NoError(t, err)
		got, err := m.Get(t.Context(), "alice", old.ID)
		require.NoError(t, err)
		assert.Equal(t, old.Expires, got.Expires)
	})
}

func TestRotateRefused(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, old := create(t, m, token.Spec{Grants: writeOne})
	before := item(t, s, token.Key(old.ID))
	for name, r := range map[string]token.Rotation{
		"another's":           {User: "mallory", ID: old.ID},
		"nobody's":            {User: "-", ID: old.ID},
		"unknown":             {ID: "tok-unknown"},
		"no token":            {},
		"a beginning of one":  {ID: old.ID[:10]},
		"a negative grace":    {ID: old.ID, Grace: -1},
		"too long a grace":    {ID: old.ID, Grace: token.MaxGrace + 1},
		"too long a life":     {ID: old.ID, Days: 91},
		"two ends":            {ID: old.ID, Days: 1, Until: time.Now().Add(time.Hour)},
		"an end in the past":  {ID: old.ID, Until: time.Now().Add(-time.Hour)},
		"a life without days": {ID: old.ID, Days: -1},
	} {
		_, _, err := rotate(m, r)
		require.Error(t, err, name)
		if _, ok := errors.AsType[*token.SpecError](err); !ok {
			assert.ErrorIs(t, err, token.ErrNotFound, name)
		}
	}
	_, _, err := m.Rotate(t.Context(), audit.Actor{}, token.Rotation{ID: old.ID})
	assert.ErrorIs(t, err, token.ErrNotFound, "a rotation for nobody")
	boom := errors.New("boom")
	assert.Equal(t, boom, store.Transact(t.Context(), s, func(tx *store.Tx) error {
		if _, _, err := m.RotateTx(t.Context(), tx, audit.Actor{}, token.Rotation{User: "alice", ID: old.ID}); err != nil {
			return err
		}
		return boom
	}))
	assert.Equal(t, before, item(t, s, token.Key(old.ID)), "nothing has changed")
}

// A rotation counts like any other token: the limit applies, and the old token no longer
// counts.
func TestRotateCounts(t *testing.T) {
	s := store.NewMemory()
	limits := policy.DefaultLimits()
	limits.Tokens = 2
	m, err := token.New(token.Config{Store: s, Limits: func() policy.Limits { return limits }})
	require.NoError(t, err)
	_, one := create(t, m, token.Spec{})
	_, two, err := rotate(m, token.Rotation{ID: one.ID, Grace: time.Hour})
	require.NoError(t, err)
	_, _, err = rotate(m, token.Rotation{ID: two.ID, Grace: time.Hour})
	require.ErrorIs(t, err, token.ErrTooMany)
	_, three, err := rotate(m, token.Rotation{ID: two.ID})
	require.NoError(t, err, "one ends, one begins")
	for _, id := range []string{one.ID, three.ID} {
		require.NoError(t, m.Revoke(t.Context(), audit.Actor{}, "alice", id, ""))
	}
	assert.False(t, item(t, s, "token-count/alice").Exists(), "no token, no count")
}

// ST-01, ST-03: whichever call fails, there is the old token or both, and never none.
func TestRotateFails(t *testing.T) {
	for _, fault := range []storetest.Fault{{}, {After: true}, {On: storetest.Commits, Err: store.ErrConflict}} {
		for n := 1; ; n++ {
			st := storetest.NewFaulty(store.NewMemory())
			m := manager(t, st)
			_, old := create(t, m, token.Spec{})
			fault.Nth = n
			st.Inject(fault)
			_, tok, err := rotate(m, token.Rotation{ID: old.ID, Grace: time.Hour})
			struck := st.Struck()
			st.Mend()
			_, there := m.Get(t.Context(), "alice", old.ID)
			require.NoError(t, there)
			if err == nil {
				_, there = m.Get(t.Context(), "alice", tok.ID)
				require.NoError(t, there)
			}
			if !struck {
				require.NoError(t, err)
				break
			}
		}
	}
}

// AU-48: a token is rotated once, however often somebody tries, until its successor has ended.
func TestRotateTwiceIsOneRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, store.NewMemory())
		_, old := create(t, m, token.Spec{Days: 10})
		rotation := token.Rotation{ID: old.ID, Grace: 3 * token.Day, Days: 1}
		refusedFor := func(successor string) {
			t.Helper()
			_, _, err := rotate(m, rotation)
			rotated, ok := errors.AsType[*token.RotatedError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, successor, rotated.Successor)
			_, err = m.Rotatable(t.Context(), "alice", old.ID)
			assert.Equal(t, rotated, err, "before anything is spent on it")
		}
		_, first, err := rotate(m, rotation)
		require.NoError(t, err)
		refusedFor(first.ID)
		rotation.Grace = 0
		refusedFor(first.ID)
		got, err := m.Get(t.Context(), "alice", old.ID)
		require.NoError(t, err)
		assert.Equal(t, old.Created.Add(3*token.Day), got.Expires, "what was refused changes nothing")

		// The secret of the first was lost.
		time.Sleep(time.Hour)
		require.NoError(t, m.Revoke(t.Context(), audit.Actor{}, "alice", first.ID, "lost"))
		_, err = m.Rotatable(t.Context(), "alice", old.ID)
		require.NoError(t, err)
		rotation.Grace, rotation.Days = 7*token.Day, 0
		_, second, err := rotate(m, rotation)
		require.NoError(t, err)
		assert.Equal(t, 10*token.Day, second.Expires.Sub(second.Created), "as the old one was created for, not as the first rotation left it")
		refusedFor(second.ID)
		got, err = m.Get(t.Context(), "alice", old.ID)
		require.NoError(t, err)
		assert.Equal(t, second.ID, got.ReplacedBy)
		assert.Equal(t, old.Created.Add(3*token.Day), got.Expires, "no second grace")

		// A successor that has expired is none.
		require.NoError(t, m.Revoke(t.Context(), audit.Actor{}, "alice", second.ID, ""))
		rotation.Days = 1
		_, third, err := rotate(m, rotation)
		require.NoError(t, err)
		time.Sleep(token.Day - time.Nanosecond)
		refusedFor(third.ID)
		time.Sleep(time.Nanosecond)
		rotation.Grace = 0
		_, fourth, err := rotate(m, rotation)
		require.NoError(t, err)
		_, err = m.Rotatable(t.Context(), "alice", old.ID)
		assert.ErrorIs(t, err, token.ErrNotFound)

		// Whoever did not keep the fourth's secret finds it by what it replaces.
		page, _, _, err := m.List(t.Context(), "alice", token.ListOptions{})
		require.NoError(t, err)
		require.Equal(t, []token.Token{fourth}, page)
		assert.Equal(t, old.ID, page[0].Replaces)
	})
}

// AU-48: of many rotations at once one happens.
func TestRotateAtOnce(t *testing.T) {
	for name, grace := range map[string]time.Duration{"with a grace": time.Hour, "without": 0} {
		t.Run(name, func(t *testing.T) {
			m := manager(t, store.NewMemory())
			_, old := create(t, m, token.Spec{})
			const many = 32
			made, errs := make([]token.Token, many), make([]error, many)
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() { _, made[i], errs[i] = rotate(m, token.Rotation{ID: old.ID, Grace: grace}) })
			}
			wg.Wait()
			won := slices.IndexFunc(made, func(t token.Token) bool { return t.ID != "" })
			require.GreaterOrEqual(t, won, 0, "%v", errs)
			for i, err := range errs {
				switch rotated, ok := errors.AsType[*token.RotatedError](err); {
				case i == won:
					assert.NoError(t, err)
				case ok:
					assert.Equal(t, made[won].ID, rotated.Successor)
				case grace == 0 && errors.Is(err, token.ErrNotFound), errors.Is(err, store.ErrConflict):
				default:
					assert.Fail(t, "another answer", "%v", err)
				}
			}
			page, _, total, err := m.List(t.Context(), "alice", token.ListOptions{})
			require.NoError(t, err)
			want := 1
			if grace > 0 {
				want = 2
			}
			assert.Len(t, page, want)
			assert.Equal(t, want, total)
			assert.Equal(t, made[won], page[0])
		})
	}
}

// AU-48, ST-01: whichever call fails, a token that has a successor gets no second one.
func TestRotateTwiceFails(t *testing.T) {
	for n := 1; ; n++ {
		st := storetest.NewFaulty(store.NewMemory())
		m := manager(t, st)
		_, old := create(t, m, token.Spec{})
		_, first, err := rotate(m, token.Rotation{ID: old.ID, Grace: time.Hour})
		require.NoError(t, err)
		st.Inject(storetest.Fault{Nth: n})
		_, _, err = rotate(m, token.Rotation{ID: old.ID, Grace: time.Hour})
		struck := st.Struck()
		st.Mend()
		require.Error(t, err)
		_, rotated := errors.AsType[*token.RotatedError](err)
		assert.NotEqual(t, struck, rotated, "%v", err)
		page, _, _, err := m.List(t.Context(), "alice", token.ListOptions{})
		require.NoError(t, err)
		assert.Equal(t, first, page[0])
		assert.Len(t, page, 2)
		if !struck {
			assert.Equal(t, 3, n, "the token with its account, and its successor")
			return
		}
	}
}
