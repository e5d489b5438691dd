package account_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

func TestRevokeEveryone(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := account.NewSubjects(account.SubjectsConfig{Store: st, Now: func() time.Time { return now }})
	require.NoError(t, err)
	notBefore := func(id policy.UserID) time.Time {
		t.Helper()
		got, err := s.Get(ctx, nil, id)
		require.NoError(t, err)
		assert.Zero(t, got.SessionsNotBefore)
		return got.NotBefore
	}
	first := now
	require.NoError(t, s.RevokeAll(ctx, "early"))
	now = now.Add(time.Hour)
	require.NoError(t, s.RevokeEveryone(ctx))
	for _, id := range []policy.UserID{"early", "nobody"} {
		assert.Equal(t, now.Add(time.Microsecond), notBefore(id), "what was created in this very instant is dead, too")
	}
	now = now.Add(time.Hour)
	require.NoError(t, s.RevokeAll(ctx, "late"))
	assert.Equal(t, now.Add(time.Microsecond), notBefore("late"), "the later of the two counts")
	now = first
	require.NoError(t, s.RevokeEveryone(ctx))
	assert.Equal(t, first.Add(time.Hour+time.Microsecond), notBefore("nobody"), "a clock that was set back revives nothing")
}

// ST-09: a row that is not understood refuses everyone, and is not overwritten.
func TestEpochNotUnderstood(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	s := newSubjects(t, st)
	key := account.SubjectKeys("u1")[1]
	assert.True(t, account.IsEpoch(key))
	assert.False(t, account.IsEpoch(account.SubjectKey("u1")))
	put(t, st, key, `{"v":2,"d":{}}`)
	_, err := s.Get(ctx, nil, "u1")
	assert.ErrorIs(t, err, store.ErrSchema)
	assert.ErrorIs(t, s.RevokeEveryone(ctx), store.ErrSchema)
	items, err := st.Get(ctx, key)
	require.NoError(t, err)
	assert.Equal(t, `{"v":2,"d":{}}`, string(items[0].Value))
}
