package token_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

func used(t *testing.T, m *token.Manager, id string) time.Time {
	t.Helper()
	at, err := m.Used(t.Context(), id)
	require.NoError(t, err)
	return at[id]
}

func TestUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		m, other := manager(t, s), manager(t, s)
		start := time.Now().UTC()
		c := &policy.Credential{ID: "c1", Expires: start.Add(time.Hour)}
		assert.Zero(t, used(t, m, "c1"))

		m.Touch(c, start)
		assert.Equal(t, start, used(t, m, "c1"), "at once where it was used")
		assert.Zero(t, used(t, other, "c1"))
		assert.Empty(t, dump(t, s), "nothing is written before a flush")
		require.NoError(t, m.Flush(t.Context()))
		assert.Equal(t, start, used(t, other, "c1"))
		rows := dump(t, s)
		require.Len(t, rows, 1)
		assert.Equal(t, "token-used/c1", rows[0].Key)
		assert.True(t, c.Expires.Equal(rows[0].Expires), "it goes when the token does")

		// At most once a minute.
		time.Sleep(59 * time.Second)
		m.Touch(c, time.Now())
		require.NoError(t, m.Flush(t.Context()))
		assert.Equal(t, start, used(t, other, "c1"))
		assert.Equal(t, start.Add(59*time.Second), used(t, m, "c1"))
		time.Sleep(time.Second)
		require.NoError(t, m.Flush(t.Context()))
		assert.Equal(t, start.Add(59*time.Second), used(t, other, "c1"))

		// A use that arrives late does not set the time back, and an empty flush writes
		// nothing.
		m.Touch(c, start)
		revision := dump(t, s)[0].Revision
		time.Sleep(time.Hour)
		require.NoError(t, m.Flush(t.Context()))
		require.NoError(t, m.Flush(t.Context()))
		assert.Equal(t, revision, dump(t, s)[0].Revision)
		assert.Equal(t, start.Add(59*time.Second), used(t, m, "c1"))
	})
}

func TestUsedOfMany(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	now := time.Now()
	var ids []string
	for i := range 100 {
		id := fmt.Sprint("c", i)
		ids = append(ids, id)
		m.Touch(&policy.Credential{ID: id, Expires: now.Add(time.Hour)}, now)
	}
	require.NoError(t, m.Flush(t.Context()))
	at, err := manager(t, s).Used(t.Context(), ids...)
	require.NoError(t, err)
	assert.Len(t, at, 100, "more than one commit's worth")

	none, err := m.Used(t.Context())
	require.NoError(t, err)
	assert.Empty(t, none)
	_, err = m.Used(t.Context(), make([]string, 101)...)
	assert.ErrorIs(t, err, store.ErrInvalid)
}

// TK-31: a store that cannot write uses stops nothing, and gets them later.
func TestFlushFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		down := errors.New("down")
		f := failing(s, storetest.Commits, down)
		m := manager(t, f)
		start := time.Now().UTC()
		for i := range 40 {
			m.Touch(&policy.Credential{ID: fmt.Sprint("c", i), Expires: start.Add(time.Hour)}, start)
		}
		require.ErrorIs(t, m.Flush(t.Context()), down)
		assert.Equal(t, start, used(t, m, "c0"))
		f.Mend()
		require.NoError(t, m.Flush(t.Context()))
		assert.Len(t, dump(t, s), 40)
	})
}

func TestUsedIsBoundedWhileTheStoreIsDown(t *testing.T) {
	m := manager(t, store.NewMemory())
	now := time.Now()
	c := policy.Credential{Expires: now.Add(time.Hour)}
	lost := 0
	for i := range 400_000 {
		c.ID = fmt.Sprint("c", i)
		m.Touch(&c, now)
		if i > 399_000 && used(t, m, c.ID).IsZero() {
			lost++
		}
	}
	assert.Positive(t, lost)
}

func TestRevokeForgetsUse(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{})
	m.Touch(&policy.Credential{ID: tok.ID, Expires: tok.Expires}, time.Now())
	require.NoError(t, m.Flush(t.Context()))
	m.Touch(&policy.Credential{ID: tok.ID, Expires: tok.Expires}, time.Now().Add(time.Second))
	require.NoError(t, m.Revoke(t.Context(), operator, "alice", tok.ID, ""))
	require.NoError(t, m.Flush(t.Context()))
	assert.Empty(t, dump(t, s))
	assert.Zero(t, used(t, m, tok.ID))
}

func TestUsedRefusesDamage(t *testing.T) {
	s := store.NewMemory()
	_, err := s.Commit(t.Context(), store.Op{Key: "token-used/c1", At: store.Any, Action: store.Put, Value: []byte("noon")})
	require.NoError(t, err)
	_, err = manager(t, s).Used(t.Context(), "c1")
	assert.ErrorContains(t, err, "no time")
}

// Every request with a token calls Touch.
func TestTouchDoesNotAllocate(t *testing.T) {
	m := manager(t, store.NewMemory())
	c := &policy.Credential{ID: "c1", Expires: time.Now().Add(time.Hour)}
	now := time.Now()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		m.Touch(c, now)
	}))
}

func BenchmarkTouch(b *testing.B) {
	m, err := token.New(token.Config{Store: store.NewMemory()})
	require.NoError(b, err)
	c := &policy.Credential{ID: "6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11", Expires: time.Now().Add(time.Hour)}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		m.Touch(c, now)
	}
}
