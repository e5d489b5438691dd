package token_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// A dead token is deleted with all its rows; a live one stays unchanged.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := t.Context(), store.NewMemory()
		m := manager(t, s)
		for i := range 230 { // of 120 users, more than a page
			_, tok := create(t, m, token.Spec{User: protocol.UserID(fmt.Sprint("user", i%120)), Days: 30})
			m.Touch(&policy.Credential{ID: tok.ID, Expires: tok.Expires}, time.Now())
		}
		require.NoError(t, m.Flush(ctx))
		for i := range 60 {
			require.NoError(t, m.RevokeAll(ctx, operator, protocol.UserID(fmt.Sprint("user", i))))
		}
		create(t, m, token.Spec{User: "user0", Days: 30})
		create(t, m, token.Spec{User: "brief", Days: 1})
		time.Sleep(token.Day + store.SweepGrace)
		n, err := m.Sweep(ctx)
		require.NoError(t, err)
		assert.Equal(t, 120, n, "what has expired is the store's to sweep")

		live := 0
		for _, err := range m.All(ctx) {
			require.NoError(t, err)
			live++
		}
		assert.Equal(t, 111, live)
		for prefix, want := range map[string]int{"token/": 112, "token.list/": 112, "token-used/": 110} {
			assert.Equal(t, want, count(t, s, prefix), prefix)
		}
		before := dump(t, s)
		n, err = m.Sweep(ctx)
		require.NoError(t, err)
		assert.Zero(t, n)
		assert.Equal(t, before, dump(t, s))
	})
}

// A node whose clock is a year ahead deletes no token that is alive by the clocks of the
// others.
func TestSweepByAFastClock(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{Days: 30})
	create(t, m, token.Spec{User: "bob", Days: 30})
	require.NoError(t, m.RevokeAll(ctx, operator, "bob"))
	fast, err := token.New(token.Config{Store: s, Now: func() time.Time { return time.Now().Add(365 * token.Day) }})
	require.NoError(t, err)
	n, err := fast.Sweep(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "what was revoked is dead by any clock")
	assert.NoError(t, exists(m.Get(ctx, "alice", tok.ID)))
}

func count(t *testing.T, s store.Store, prefix string) int {
	t.Helper()
	n := 0
	for _, it := range dump(t, s) {
		if len(it.Key) >= len(prefix) && it.Key[:len(prefix)] == prefix {
			n++
		}
	}
	return n
}

// A token that is changed or deleted during the sweep is neither lost nor an error.
func TestSweepMeanwhile(t *testing.T) {
	ctx := t.Context()
	for n := 1; ; n++ {
		s := store.NewMemory()
		m := manager(t, s)
		for range 20 {
			create(t, m, token.Spec{})
		}
		require.NoError(t, m.RevokeAll(ctx, operator, "alice"))
		var fresh token.Token
		f := storetest.NewFaulty(s, storetest.Fault{Nth: n, Do: func() {
			_, err := m.Sweep(ctx)
			assert.NoError(t, err)
			_, fresh = create(t, m, token.Spec{})
		}})
		_, err := manager(t, f).Sweep(ctx)
		require.NoError(t, err)
		if !f.Struck() {
			break
		}
		assert.Equal(t, 1, count(t, s, "token/"), "call %d", n)
		require.NoError(t, exists(m.Get(ctx, "alice", fresh.ID)))
	}
}

func TestSweepGoesOn(t *testing.T) {
	ctx, s := t.Context(), storetest.NewFaulty(store.NewMemory())
	m := manager(t, s)
	for range 20 {
		create(t, m, token.Spec{})
	}
	require.NoError(t, m.RevokeAll(ctx, operator, "alice"))
	s.Inject(storetest.Fault{On: storetest.Commits, Nth: 2, Err: context.DeadlineExceeded})
	first, err := m.Sweep(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Positive(t, first)
	second, err := m.Sweep(ctx)
	require.NoError(t, err)
	assert.Equal(t, 20, first+second)
	assert.Zero(t, count(t, s, "token/")+count(t, s, "token.list/"))
}

// Rows of schema 1 are no tokens, count for no user and disturb nothing.
func TestFirstEdition(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	const digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	for key, value := range map[string]string{
		"token/" + digest: `{"v":1,"d":{"id":"6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11","digest":"` + digest + `","hint":"npm_aaaa","user":"alice",` +
			`"name":"ci","description":"","grants":[{"target":"all","permission":"read-write"}],"bypass":false,"cidrs":null,` +
			`"created":"2026-03-01T00:00:00Z","expires":"2126-03-08T00:00:00Z","created_by":""}}`,
		"token.id/6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11":       digest,
		"token.user/alice/" + digest:                          "",
		"token-count/alice":                                   `{"v":1,"d":{"user":"alice","ends":[4929120000000000]}}`,
		"token-used/6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11":     "1772323200000000",
		"token-expiring/6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11": `{"v":1,"d":{"id":"6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11","expires":"2126-03-08T00:00:00Z"}}`,
	} {
		_, err := s.Commit(ctx, store.Op{Key: key, Action: store.Put, Value: []byte(value)})
		require.NoError(t, err)
	}
	m := manager(t, s)
	page, _, total, err := m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, page)
	assert.Zero(t, total)
	for range m.All(ctx) {
		assert.Fail(t, "there is none")
	}
	require.NoError(t, m.Warn(ctx, func(token.Token) { assert.Fail(t, "there is none") }))
	n, err := m.Sweep(ctx)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.ErrorIs(t, m.End(ctx, operator, "6d1b2a0e-0c0e-4d2e-9d51-0a4f6b0f3f11", ""), token.ErrNotFound)

	_, tok := create(t, m, token.Spec{})
	page, _, total, err = m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, []token.Token{tok}, page)
	assert.Equal(t, 1, total)
	require.NoError(t, m.Revoke(ctx, operator, "alice", tok.ID, ""))
}
