package account_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

func newSubjects(t *testing.T, st store.Store) *account.Subjects {
	t.Helper()
	s, err := account.NewSubjects(account.SubjectsConfig{Store: st})
	require.NoError(t, err)
	return s
}

func put(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	_, err := st.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
	require.NoError(t, err)
}

func TestSubjectOfNobody(t *testing.T) {
	ctx, s := t.Context(), newSubjects(t, store.NewMemory())
	got, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, account.Subject{ID: "u1", TwoFactor: policy.TwoFactorOff}, got)

	_, err = s.Get(ctx, nil, "")
	assert.ErrorIs(t, err, account.ErrNoUser)
	assert.ErrorIs(t, s.Disable(ctx, ""), account.ErrNoUser)
	_, err = s.Get(ctx, nil, policy.UserID(strings.Repeat("x", 1000)))
	assert.Error(t, err, "an ID that no key can hold")
	_, err = account.NewSubjects(account.SubjectsConfig{})
	assert.ErrorContains(t, err, "SubjectsConfig.Store")
}

func TestSubjectDisable(t *testing.T) {
	ctx, s := t.Context(), newSubjects(t, store.NewMemory())
	require.NoError(t, s.RevokeAll(ctx, "u1"))
	before, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	for range 2 { // again changes nothing
		require.NoError(t, s.Disable(ctx, "u1"))
		got, err := s.Get(ctx, nil, "u1")
		require.NoError(t, err)
		assert.True(t, got.Disabled)
		assert.Equal(t, before.NotBefore, got.NotBefore, "nothing else changes")
	}
	other, err := s.Get(ctx, nil, "u2")
	require.NoError(t, err)
	assert.False(t, other.Disabled)
	require.NoError(t, s.Enable(ctx, "u1"))
	got, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, before, got)
}

// What was created until the revocation is dead, also within its microsecond;
// what is created afterwards lives.
func TestSubjectRevoke(t *testing.T) {
	for name, tt := range map[string]struct {
		revoke func(*account.Subjects) error
		of     func(account.Subject) time.Time
		other  func(account.Subject) time.Time
	}{
		"RevokeAll": {
			func(s *account.Subjects) error { return s.RevokeAll(t.Context(), "u1") },
			func(s account.Subject) time.Time { return s.NotBefore },
			func(s account.Subject) time.Time { return s.SessionsNotBefore },
		},
		"EndSessions": {
			func(s *account.Subjects) error { return s.EndSessions(t.Context(), "u1") },
			func(s account.Subject) time.Time { return s.SessionsNotBefore },
			func(s account.Subject) time.Time { return s.NotBefore },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubjects(t, store.NewMemory())
				time.Sleep(700 * time.Nanosecond)
				created := time.Now().Truncate(time.Microsecond)
				time.Sleep(200 * time.Nanosecond)
				require.NoError(t, tt.revoke(s))
				time.Sleep(200 * time.Nanosecond)
				next := time.Now().Truncate(time.Microsecond)

				got, err := s.Get(t.Context(), nil, "u1")
				require.NoError(t, err)
				assert.True(t, created.Before(tt.of(got)), "dead")
				assert.False(t, next.Before(tt.of(got)), "alive")
				assert.Zero(t, tt.other(got))
				assert.Zero(t, tt.of(got).Nanosecond()%1000, "as a store keeps it")
			})
		})
	}
}

// A clock that is set back revives nothing.
func TestSubjectRevokeNeverGoesBack(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, err := account.NewSubjects(account.SubjectsConfig{Store: store.NewMemory(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	require.NoError(t, s.RevokeAll(t.Context(), "u1"))
	want, err := s.Get(t.Context(), nil, "u1")
	require.NoError(t, err)
	now = now.Add(-time.Hour)
	require.NoError(t, s.RevokeAll(t.Context(), "u1"))
	got, err := s.Get(t.Context(), nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestSubjectSetTwoFactor(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	s := newSubjects(t, st)
	set := func(mode policy.TwoFactorMode) error {
		return store.Transact(ctx, st, func(tx *store.Tx) error { return s.SetTwoFactor(ctx, tx, "u1", mode) })
	}
	for _, mode := range []policy.TwoFactorMode{policy.AuthOnly, policy.AuthAndWrites, policy.TwoFactorOff} {
		require.NoError(t, set(mode))
		got, err := s.Get(ctx, nil, "u1")
		require.NoError(t, err)
		assert.Equal(t, mode, got.TwoFactor)
	}
	require.NoError(t, set(policy.AuthOnly))
	for _, mode := range []policy.TwoFactorMode{policy.TwoFactorUnknown, policy.AuthAndWrites + 1} {
		assert.Error(t, set(mode))
	}
	got, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, policy.AuthOnly, got.TwoFactor)
}

// ST-09: a record that cannot be understood is an error, never an account
// without a second factor, and is not written over.
func TestSubjectUnusableRecord(t *testing.T) {
	ctx := t.Context()
	for name, value := range map[string]string{
		"empty":         "",
		"no JSON":       "x",
		"newer schema":  `{"v":2,"d":{"id":"u1"}}`,
		"unknown field": `{"v":1,"d":{"id":"u1","locked":true}}`,
		"unknown mode":  `{"v":1,"d":{"id":"u1","tfa":"off"}}`,
		"another's":     `{"v":1,"d":{"id":"u2"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			st := store.NewMemory()
			s := newSubjects(t, st)
			put(t, st, account.SubjectKey("u1"), value)
			got, err := s.Get(ctx, nil, "u1")
			require.Error(t, err)
			assert.Zero(t, got)
			assert.Error(t, s.Enable(ctx, "u1"))
			items, err := st.Get(ctx, account.SubjectKey("u1"))
			require.NoError(t, err)
			assert.Equal(t, value, string(items[0].Value))
		})
	}
}

func TestSubjectKey(t *testing.T) {
	for _, id := range []policy.UserID{"u1", "42", "a/b", "\u00e9", "user@acme.test"} {
		back, ok := account.SubjectOf(account.SubjectKey(id))
		assert.True(t, ok)
		assert.Equal(t, id, back)
	}
	for _, key := range []string{"", "subject", "subject/", "user/u1", "subject.x/u1"} {
		_, ok := account.SubjectOf(key)
		assert.False(t, ok, key)
	}

	id, ok := account.PersonOf("user/u1")
	assert.True(t, ok)
	assert.Equal(t, policy.UserID("u1"), id)
	_, ok = account.PersonOf("user.name/u1")
	assert.False(t, ok)

	items, err := store.NewMemory().Get(t.Context(), account.SubjectKeys("u1")...)
	require.NoError(t, err)
	_, err = account.DecodeSubject("u1", items)
	assert.NoError(t, err)
	_, err = account.DecodeSubject("u2", items)
	assert.Error(t, err, "read for another")
	for _, part := range [][]store.Item{nil, {{}, {}}, items[:1], {items[1], items[0]}, append(items, items[0])} {
		_, err = account.DecodeSubject("u1", part)
		assert.Error(t, err, "not read as it should be")
	}
	_, err = account.DecodeSubject("", items)
	assert.ErrorIs(t, err, account.ErrNoUser)
}

func TestSubjectCIDRs(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	s := newSubjects(t, st)
	ranges := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	require.NoError(t, s.SetCIDRs(ctx, "u1", ranges))
	want := slices.Clone(ranges)
	ranges[0] = netip.MustParsePrefix("0.0.0.0/0")
	got, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, want, got.CIDRs)

	for _, bad := range [][]netip.Prefix{
		{{}}, {netip.MustParsePrefix("10.0.0.1/8")}, {netip.MustParsePrefix("::ffff:10.0.0.0/104")},
		slices.Repeat(want[:1], 51),
	} {
		assert.ErrorIs(t, s.SetCIDRs(ctx, "u1", bad), account.ErrCIDR)
	}
	assert.ErrorIs(t, s.SetCIDRs(ctx, "", want), account.ErrNoUser)
	got, err = s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, want, got.CIDRs, "what was refused changed nothing")
	require.NoError(t, s.SetCIDRs(ctx, "u1", nil))
	got, err = s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Empty(t, got.CIDRs)
}

func TestSubjectRecovered(t *testing.T) {
	ctx, st, now := t.Context(), store.NewMemory(), time.Date(2026, 3, 1, 0, 0, 0, 999, time.UTC)
	s, err := account.NewSubjects(account.SubjectsConfig{Store: st, Now: func() time.Time { return now }})
	require.NoError(t, err)
	recovered := func() time.Time {
		got, err := s.Get(ctx, nil, "u1")
		require.NoError(t, err)
		return got.Recovered
	}
	require.NoError(t, s.Recovered(ctx, nil, "u1"))
	first := now.Truncate(time.Microsecond)
	assert.Equal(t, first, recovered())
	now = now.Add(-time.Hour)
	require.NoError(t, s.Recovered(ctx, nil, "u1"))
	assert.Equal(t, first, recovered(), "a clock that was set back shortens no hold")

	now = now.Add(2 * time.Hour)
	boom := errors.New("boom")
	assert.ErrorIs(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		require.NoError(t, s.Recovered(ctx, tx, "u1"))
		return boom
	}), boom)
	assert.Equal(t, first, recovered(), "it stands or falls with its commit")
	require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return s.Recovered(ctx, tx, "u1") }))
	assert.Equal(t, now.Truncate(time.Microsecond), recovered())
	assert.ErrorIs(t, s.Recovered(ctx, nil, ""), account.ErrNoUser)
}

// An older node refuses whom a field that it does not know may restrict, and only those.
func TestSubjectFieldsOfAnotherVersion(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	s := newSubjects(t, st)
	put(t, st, account.SubjectKey("u1"), `{"v":1,"d":{"id":"u1","restriction":true}}`)
	_, err := s.Get(ctx, nil, "u1")
	assert.ErrorIs(t, err, store.ErrSchema)
	assert.ErrorIs(t, s.Enable(ctx, "u1"), store.ErrSchema, "nor does it overwrite it")
	put(t, st, account.SubjectKey("u2"), `{"v":1,"d":{"id":"u2","cidrs":[""]}}`)
	_, err = s.Get(ctx, nil, "u2")
	assert.Error(t, err, "a range that is none restricts nobody knows how")

	require.NoError(t, s.Disable(ctx, "u3"))
	items, err := st.Get(ctx, account.SubjectKey("u3"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"v":1,"d":{"id":"u3","disabled":true}}`, string(items[0].Value))
}

func TestSubjectEndOtherSessions(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	s := newSubjects(t, st)
	before := time.Now()
	keep := func(kept string, created time.Time) error {
		return store.Transact(ctx, st, func(tx *store.Tx) error { return s.EndOtherSessions(ctx, tx, "u1", kept, created) })
	}
	require.NoError(t, keep("s1", before))
	require.NoError(t, keep("s1", before), "it is kept, whatever was ended around it")
	assert.ErrorIs(t, keep("s2", before), account.ErrSessionEnded, "it was one of the others")
	got, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.True(t, got.SessionsNotBefore.After(before))
	assert.Equal(t, "s1", got.SessionKept)
	assert.Zero(t, got.NotBefore)
	require.NoError(t, s.EndSessions(ctx, "u1"))
	got, err = s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Empty(t, got.SessionKept, "all means all")

	// What is over stays so: who changes a password in a session that somebody else has
	// ended meanwhile does not have it back.
	assert.ErrorIs(t, keep("s1", before), account.ErrSessionEnded)
	again, err := s.Get(ctx, nil, "u1")
	require.NoError(t, err)
	assert.Equal(t, got, again)
	require.NoError(t, keep("s3", time.Now().Add(time.Second)))
}
