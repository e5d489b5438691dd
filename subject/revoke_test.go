package subject_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A bearer is a credential with the fields that this package needs.
type bearer struct {
	kind    policy.Kind
	numbers subject.Numbers
}

// bearers returns a session and a token that are created now.
func bearers(s subject.Subject) []bearer {
	return []bearer{{policy.KindSession, s.Numbers(policy.KindSession)}, {policy.KindToken, s.Numbers(policy.KindToken)}}
}

// alive returns the kinds of those that are alive.
func alive(s subject.Subject, bs []bearer) (kinds []policy.Kind) {
	for _, b := range bs {
		if s.Alive(b.kind, b.numbers) {
			kinds = append(kinds, b.kind)
		}
	}
	return kinds
}

// all are the numbers of an account, by their names.
func all(s subject.Subject) map[string]uint64 {
	session, token := s.Numbers(policy.KindSession), s.Numbers(policy.KindToken)
	return map[string]uint64{"everyone": session.Everyone, "all": session.All, "sessions": session.Kind, "tokens": token.Kind}
}

// moved returns the names of the numbers that differ.
func moved(before, after subject.Subject) (names []string) {
	was, is := all(before), all(after)
	for _, name := range []string{"everyone", "all", "sessions", "tokens"} {
		if was[name] != is[name] {
			names = append(names, name)
		}
	}
	return names
}

func revoke(t *testing.T, st store.Store, id protocol.UserID, scope subject.Scope, now time.Time) (after subject.Subject, err error) {
	t.Helper()
	err = store.Transact(t.Context(), st, func(tx *store.Tx) error {
		after, err = subject.Revoke(t.Context(), tx, id, scope, now)
		return err
	})
	return after, err
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)

func TestRevoke(t *testing.T) {
	for name, tt := range map[string]struct {
		scope   subject.Scope
		moved   []string
		left    []policy.Kind
		revoked time.Time
	}{
		"everything": {subject.Everything, []string{"all"}, nil, noon.Truncate(time.Microsecond)},
		"sessions":   {subject.Sessions, []string{"sessions"}, []policy.Kind{policy.KindToken}, time.Time{}},
		"tokens":     {subject.Tokens, []string{"tokens"}, []policy.Kind{policy.KindSession}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			st := store.NewMemory()
			before, other := get(t, st, "u1"), get(t, st, "u2")
			for range 3 { // another number each time
				returned, err := revoke(t, st, "u1", tt.scope, noon)
				require.NoError(t, err)
				after := get(t, st, "u1")
				assert.Equal(t, tt.moved, moved(before, after))
				assert.NotZero(t, all(after)[tt.moved[0]])
				assert.Equal(t, tt.left, alive(after, bearers(before)))
				assert.Len(t, alive(after, bearers(after)), 2, "what is created afterwards")
				assert.Equal(t, tt.revoked, after.Revoked)

				returned.Evidence, before = nil, after
				after.Evidence = nil
				assert.Equal(t, after, returned)
			}
			assert.Equal(t, other, get(t, st, "u2"), "nothing of another account")
		})
	}
}

// A host's clock knows nanoseconds, and a store does not: a token that is older than the
// revocation is dead all the same.
func TestRevokeInTheSameMicrosecond(t *testing.T) {
	st := store.NewMemory()
	s, err := revoke(t, st, "u1", subject.Everything, noon) // at 999 ns
	require.NoError(t, err)
	assert.False(t, s.AliveSince(noon.Add(-1)))
	assert.False(t, s.AliveSince(noon))
	assert.True(t, s.AliveSince(noon.Add(1)))
}

// A row that a Tx has written itself is no evidence, and Expect refuses it instead of ignoring
// it.
func TestEvidenceOfAWrittenRow(t *testing.T) {
	after, err := revoke(t, store.NewMemory(), "u1", subject.Everything, noon)
	require.NoError(t, err)
	st := store.NewMemory()
	assert.ErrorIs(t, store.Transact(t.Context(), st, func(tx *store.Tx) error {
		tx.Expect(after.Evidence...)
		return nil
	}), store.ErrInvalid)
}

func TestRevokeRefuses(t *testing.T) {
	st := store.NewMemory()
	for _, scope := range []subject.Scope{0, subject.Tokens + 1, 255} {
		s, err := revoke(t, st, "u1", scope, noon)
		assert.ErrorContains(t, err, "unknown scope")
		assert.Zero(t, s)
	}
	_, err := revoke(t, st, "", subject.Everything, noon)
	assert.ErrorIs(t, err, subject.ErrNoUser)
	items, err := st.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	assert.Empty(t, items)
}

// A revocation changes nothing else of the account.
func TestRevokeKeepsTheRest(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	put(t, st, subject.Key("u1"),
		`{"v":1,"d":{"id":"u1","disabled":true,"tfa":"auth-only","keys":true,"keys_only":true,"cidrs":["192.0.2.0/24"],"recovered":"2026-02-03T04:05:06Z","high_impact":true}}`)
	want := get(t, st, "u1")
	for scope := subject.Everything; scope <= subject.Tokens; scope++ {
		_, err := revoke(t, st, "u1", scope, noon)
		require.NoError(t, err)
	}
	require.NoError(t, newManager(t, st).RevokeEveryone(ctx, operator))
	got := get(t, st, "u1")
	assert.Equal(t, []string{"everyone", "all", "sessions", "tokens"}, moved(want, got))
	assert.Equal(t, []any{want.Disabled, want.TwoFactor, true, true, want.CIDRs, want.Recovered, want.HighImpact},
		[]any{got.Disabled, got.TwoFactor, got.Keys, got.KeysOnly, got.CIDRs, got.Recovered, got.HighImpact})
}

func TestRevokeEveryone(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	before := []subject.Subject{get(t, st, "u1"), get(t, st, "u2")}
	for range 3 {
		require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return subject.RevokeEveryone(ctx, tx, noon) }))
		for i, was := range before {
			is := get(t, st, was.ID)
			assert.Equal(t, []string{"everyone"}, moved(was, is))
			assert.NotZero(t, all(is)["everyone"])
			assert.Empty(t, alive(is, bearers(was)))
			assert.Len(t, alive(is, bearers(is)), 2, "what is created afterwards")
			assert.Equal(t, noon.Truncate(time.Microsecond), is.Revoked)
			before[i] = is
		}
	}
	items, err := st.List(ctx, "", "", 10)
	require.NoError(t, err)
	assert.Len(t, items, 1, "one row, however many accounts")
}

// Numbers are drawn and not counted: two stores with the same history have different numbers,
// and none is 0, that of an account that was never revoked.
func TestNumbersAreRandom(t *testing.T) {
	ctx, seen := t.Context(), map[uint64]bool{0: true}
	for range 2 {
		st := store.NewMemory()
		for range 100 {
			for scope := subject.Everything; scope <= subject.Tokens; scope++ {
				_, err := revoke(t, st, "u1", scope, noon)
				require.NoError(t, err)
			}
			require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return subject.RevokeEveryone(ctx, tx, noon) }))
			for name, n := range all(get(t, st, "u1")) {
				require.False(t, seen[n], "%s: %d", name, n)
				seen[n] = true
			}
		}
	}

	reader := rand.Reader
	defer func() { rand.Reader = reader }()
	rand.Reader = io.MultiReader(bytes.NewReader(make([]byte, 24)), bytes.NewReader(bytes.Repeat([]byte{1}, 8)))
	s, err := revoke(t, store.NewMemory(), "u1", subject.Everything, noon)
	require.NoError(t, err)
	assert.EqualValues(t, 0x0101010101010101, all(s)["all"])
}

// copyOf returns another Memory with what st holds.
func copyOf(t *testing.T, st store.Store) store.Store {
	t.Helper()
	items, err := st.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	m := store.NewMemory()
	for _, it := range items {
		_, err := m.Commit(t.Context(), store.Op{Key: it.Key, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(t, err)
	}
	return m
}

// In a restored backup, credentials that were revoked since are alive. RevokeEveryone ends
// them, and also those created since, and no later revocation revives them.
func TestRestoredBackup(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m := newManager(t, st)
	require.NoError(t, m.RevokeAll(ctx, operator, "u1"))
	require.NoError(t, m.RevokeEveryone(ctx, operator))
	before := bearers(get(t, st, "u1"))
	backup := copyOf(t, st)
	require.NoError(t, m.RevokeAll(ctx, operator, "u1"))
	since := bearers(get(t, st, "u1"))
	require.NoError(t, m.RevokeEveryone(ctx, operator))
	since = append(since, bearers(get(t, st, "u1"))...)

	m = newManager(t, backup)
	assert.Len(t, alive(get(t, backup, "u1"), before), 2, "why RevokeEveryone is needed")
	for _, again := range []func() error{
		func() error { return m.RevokeEveryone(ctx, operator) },
		func() error { return m.RevokeAll(ctx, operator, "u1") },
		func() error { return m.RevokeEveryone(ctx, operator) },
		func() error { return m.EndSessions(ctx, operator, "u1") },
		func() error { return m.RevokeTokens(ctx, operator, "u1") },
	} {
		require.NoError(t, again())
		assert.Empty(t, alive(get(t, backup, "u1"), append(before, since...)))
	}
}

// AU-03: two nodes whose clocks are two hours apart revoke in turn. Nothing outlives a
// revocation, and no credential that was created after one is dead.
func TestClocksDecideNothing(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	node := func(off time.Duration) *subject.Manager {
		m, err := subject.New(subject.Config{Store: st, Now: func() time.Time { return noon.Add(off) }})
		require.NoError(t, err)
		return m
	}
	session, token := policy.KindSession, policy.KindToken
	ahead, behind := node(time.Hour), node(-time.Hour)
	for _, first := range []*subject.Manager{ahead, behind} {
		for _, m := range []*subject.Manager{first, ahead, behind, ahead} {
			for _, tt := range []struct {
				revoke func() error
				ends   []policy.Kind
			}{
				{func() error { return m.RevokeAll(ctx, operator, "u1") }, []policy.Kind{session, token}},
				{func() error { return m.EndSessions(ctx, operator, "u1") }, []policy.Kind{session}},
				{func() error { return m.RevokeTokens(ctx, operator, "u1") }, []policy.Kind{token}},
				{func() error { return m.RevokeEveryone(ctx, operator) }, []policy.Kind{session, token}},
			} {
				created := bearers(get(t, st, "u1"))
				require.Len(t, alive(get(t, st, "u1"), created), 2)
				require.NoError(t, tt.revoke())
				for _, kind := range tt.ends {
					assert.NotContains(t, alive(get(t, st, "u1"), created), kind)
				}
				assert.Len(t, alive(get(t, st, "u1"), created), 2-len(tt.ends))
			}
		}
	}
}

// The same for the bearer tokens of a host, which have an instant: a second revocation, by a
// node whose clock is behind, revives none that the first one ended.
func TestRevokedByAClockThatIsBehind(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	now := noon
	m, err := subject.New(subject.Config{Store: st, Now: func() time.Time { return now }})
	require.NoError(t, err)
	for name, revoke := range map[string]func() error{
		"account":  func() error { return m.RevokeAll(ctx, operator, "u1") },
		"everyone": func() error { return m.RevokeEveryone(ctx, operator) },
	} {
		now = noon.Add(time.Hour)
		require.NoError(t, revoke(), name)
		for _, behind := range []time.Duration{time.Microsecond, time.Hour, 2 * time.Hour, 24 * time.Hour} {
			now = noon.Add(time.Hour - behind)
			require.NoError(t, revoke(), name)
			assert.False(t, get(t, st, "u1").AliveSince(noon.Add(time.Hour)), "%s: %v", name, behind)
			assert.True(t, get(t, st, "u1").AliveSince(noon.Add(time.Hour+time.Microsecond)), "%s: %v", name, behind)
		}
	}
}

// AU-03: the next revocation corrects an instant that a wrong clock set in the future.
func TestRevokedInTheFuture(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	now := noon
	m, err := subject.New(subject.Config{Store: st, Now: func() time.Time { return now }})
	require.NoError(t, err)
	for name, revoke := range map[string]func() error{
		"account":  func() error { return m.RevokeAll(ctx, operator, "u1") },
		"everyone": func() error { return m.RevokeEveryone(ctx, operator) },
	} {
		for _, ahead := range []time.Time{noon.AddDate(10, 0, 0), noon.AddDate(1000, 0, 0), noon.Add(24*time.Hour + time.Microsecond)} {
			now = ahead
			require.NoError(t, revoke(), name)
			assert.False(t, get(t, st, "u1").AliveSince(noon.Add(time.Hour)), name)
			now = noon
			require.NoError(t, revoke(), name)
			assert.False(t, get(t, st, "u1").AliveSince(noon), name)
			assert.True(t, get(t, st, "u1").AliveSince(noon.Add(time.Hour)), name)
		}
	}
}

func TestSetTwoFactor(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	set := func(mode protocol.TwoFactorMode) error {
		return store.Transact(ctx, st, func(tx *store.Tx) error { return subject.SetTwoFactor(ctx, tx, "u1", mode) })
	}
	for _, mode := range []protocol.TwoFactorMode{protocol.AuthOnly, protocol.AuthAndWrites, protocol.TwoFactorOff} {
		require.NoError(t, set(mode))
		assert.Equal(t, mode, get(t, st, "u1").TwoFactor)
	}
	require.NoError(t, set(protocol.AuthOnly))
	for _, mode := range []protocol.TwoFactorMode{protocol.TwoFactorUnknown, protocol.AuthAndWrites + 1} {
		assert.Error(t, set(mode))
	}
	assert.Equal(t, protocol.AuthOnly, get(t, st, "u1").TwoFactor)
}

func TestSetKeys(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	set := func(has, only bool) error {
		return store.Transact(ctx, st, func(tx *store.Tx) error { return subject.SetKeys(ctx, tx, "u1", has, only) })
	}
	for _, only := range []bool{true, false, true} {
		require.NoError(t, set(true, only))
		assert.Equal(t, []bool{true, only}, []bool{get(t, st, "u1").Keys, get(t, st, "u1").KeysOnly})
	}
	require.ErrorIs(t, set(false, true), subject.ErrNoKeys)
	for mode, keeps := range map[protocol.TwoFactorMode]bool{protocol.AuthOnly: true, protocol.TwoFactorOff: false} {
		require.NoError(t, set(true, true))
		require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return subject.SetTwoFactor(ctx, tx, "u1", mode) }))
		assert.Equal(t, []bool{keeps, keeps}, []bool{get(t, st, "u1").Keys, get(t, st, "u1").KeysOnly}, mode)
	}
	require.NoError(t, set(true, true))
	require.NoError(t, set(false, false))
	assert.False(t, get(t, st, "u1").Keys)
}

func TestRecover(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	recovered := func(now time.Time) time.Time {
		t.Helper()
		require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return subject.Recover(ctx, tx, "u1", now) }))
		return get(t, st, "u1").Recovered
	}
	first := noon.Truncate(time.Microsecond)
	assert.Equal(t, first, recovered(noon))
	assert.Equal(t, first, recovered(noon.Add(-time.Hour)), "a clock that was set back shortens no hold")

	boom := errors.New("boom")
	assert.ErrorIs(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		require.NoError(t, subject.Recover(ctx, tx, "u1", noon.Add(time.Hour)))
		return boom
	}), boom)
	assert.Equal(t, first, get(t, st, "u1").Recovered, "it happens with its commit or not at all")
	assert.Equal(t, first.Add(time.Hour), recovered(noon.Add(time.Hour)))

	recovered(noon.AddDate(10, 0, 0))
	assert.Equal(t, first, recovered(noon), "nor does one that was far ahead hold an account for years")
}

// Credentials that were created before a store began to be used are dead then, and none after
// it; a host's own bearer tokens are not affected.
func TestBegin(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	begin := func() {
		require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return subject.Begin(ctx, tx) }))
	}
	before, err := subject.Get(ctx, st, "1")
	require.NoError(t, err)
	begin()
	after, err := subject.Get(ctx, st, "1")
	require.NoError(t, err)
	assert.False(t, after.Alive(policy.KindToken, before.Numbers(policy.KindToken)))
	assert.NotZero(t, after.Numbers(policy.KindToken).Everyone)
	assert.True(t, after.AliveSince(time.Time{}.Add(time.Hour)))
	begin()
	again, err := subject.Get(ctx, st, "1")
	require.NoError(t, err)
	assert.Equal(t, after.Numbers(policy.KindToken), again.Numbers(policy.KindToken), "once")
}
