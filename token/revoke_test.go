package token_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

func TestRevoke(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	for name, revoke := range map[string]func(token.Token) error{
		"by ID":           func(tok token.Token) error { return m.Revoke(t.Context(), "alice", tok.ID) },
		"by digest":       func(tok token.Token) error { return m.RevokeDigest(t.Context(), "alice", tok.Digest) },
		"by the operator": func(tok token.Token) error { return m.End(t.Context(), tok.ID) },
	} {
		_, tok := create(t, m, token.Spec{})
		got, err := m.Get(t.Context(), "alice", tok.ID)
		require.NoError(t, err)
		assert.Equal(t, tok, got)
		id, err := m.Find(t.Context(), "alice", tok.Digest)
		require.NoError(t, err)
		assert.Equal(t, tok.ID, id)

		require.NoError(t, revoke(tok), name)
		assert.False(t, item(t, s, token.Key(tok.Digest)).Exists(), name) // TK-20
		assert.ErrorIs(t, revoke(tok), token.ErrNotFound, "%s, again", name)
		assert.ErrorIs(t, exists(m.Get(t.Context(), "alice", tok.ID)), token.ErrNotFound)
		_, err = m.Find(t.Context(), "alice", tok.Digest)
		assert.ErrorIs(t, err, token.ErrNotFound)
		assert.Empty(t, dump(t, s), "%s leaves nothing behind", name)
	}
}

// TK-24: somebody else's token is one that never was.
func TestRevokeAnothers(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{})
	before := dump(t, s)
	for _, user := range []policy.UserID{"mallory", "", "Alice", "alice ", "alic"} {
		unknown := m.Revoke(t.Context(), user, credential.NewID())
		require.ErrorIs(t, unknown, token.ErrNotFound)
		assert.Equal(t, unknown, m.Revoke(t.Context(), user, tok.ID))
		assert.Equal(t, unknown, m.RevokeDigest(t.Context(), user, tok.Digest))
		assert.Equal(t, unknown, exists(m.Get(t.Context(), user, tok.ID)))
		_, err := m.Find(t.Context(), user, tok.Digest)
		assert.Equal(t, unknown, err)
	}
	assert.Equal(t, before, dump(t, s))
}

// TK-25: exactly the ID, and nothing that looks like a pattern of it.
func TestRevokeExactly(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	secret, tok := create(t, m, token.Spec{})
	before := dump(t, s)
	for _, id := range []string{
		"", tok.ID[:1], tok.ID[:35], tok.ID + "0", tok.ID + " ", strings.ToUpper(tok.ID) + "x", "%", "*", "a*", "/", "../token", tok.Hint,
		tok.Digest.String(), // TK-07
		secret.Reveal(), "\x00", strings.Repeat("a", 4096), tok.ID[:8] + "%",
	} {
		assert.ErrorIs(t, m.Revoke(t.Context(), "alice", id), token.ErrNotFound, "%q", id)
		assert.ErrorIs(t, m.End(t.Context(), id), token.ErrNotFound, "%q", id)
		assert.ErrorIs(t, exists(m.Get(t.Context(), "alice", id)), token.ErrNotFound, "%q", id)
	}
	assert.ErrorIs(t, m.RevokeDigest(t.Context(), "alice", credential.Digest{}), token.ErrNotFound)
	assert.Equal(t, before, dump(t, s))
}

func TestRevokeConcurrently(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{})
	create(t, m, token.Spec{})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = m.Revoke(t.Context(), "alice", tok.ID) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			assert.ErrorIs(t, err, token.ErrNotFound)
		}
	}
	assert.Equal(t, 1, done)
	_, total, err := m.List(t.Context(), "alice", 0, 10)
	require.NoError(t, err)
	assert.Equal(t, 1, total)
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, store.NewMemory())
		var want []string
		for i := range 205 {
			days := 10
			if i%5 == 0 {
				days = 1
			}
			_, tok := create(t, m, token.Spec{Days: days})
			if days > 1 {
				want = append([]string{tok.ID}, want...)
			}
			time.Sleep(time.Second)
		}
		create(t, m, token.Spec{User: "bob"})
		time.Sleep(token.Day) // a fifth of them is dead

		ids := func(offset, limit int) []string {
			page, total, err := m.List(t.Context(), "alice", offset, limit)
			require.NoError(t, err)
			assert.Equal(t, len(want), total)
			got := []string{}
			for _, tok := range page {
				assert.Equal(t, policy.UserID("alice"), tok.User)
				got = append(got, tok.ID)
			}
			return got
		}
		assert.Equal(t, want[:10], ids(0, 10), "newest first")
		assert.Equal(t, want[10:20], ids(10, 10))
		assert.Equal(t, want[160:], ids(160, 10))
		assert.Empty(t, ids(164, 10))
		// TK-28
		assert.Equal(t, want[:10], ids(-5, 10))
		assert.Equal(t, want[:100], ids(0, 1e9))
		assert.Equal(t, want[:100], ids(0, -1))
		assert.Equal(t, want[:100], ids(0, 0))
		assert.Empty(t, ids(1e9, 10))

		none, total, err := m.List(t.Context(), "carol", 0, 10)
		require.NoError(t, err)
		assert.Zero(t, total)
		assert.Empty(t, none)
		none, _, err = m.List(t.Context(), "", 0, 10)
		require.NoError(t, err)
		assert.Empty(t, none)
	})
}

// exists drops what was looked up.
func exists(_ token.Token, err error) error { return err }

func TestRevokeAll(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	_, kept := create(t, m, token.Spec{User: "mallory"})
	before := dump(t, s)
	ids := map[string]bool{}
	for range 250 { // more than a page, and than a commit
		_, tok := create(t, m, token.Spec{})
		ids[tok.ID] = true
		m.Touch(&policy.Credential{ID: tok.ID, Expires: tok.Expires}, time.Now())
	}
	require.NoError(t, m.Flush(ctx))
	ended, err := m.RevokeAll(ctx, "alice")
	require.NoError(t, err)
	assert.Len(t, ended, len(ids))
	for _, id := range ended {
		assert.True(t, ids[id])
		delete(ids, id)
	}
	assert.Empty(t, ids, "each once")
	assert.Equal(t, before, dump(t, s), "nothing is left, and nobody else's is touched")
	require.NoError(t, exists(m.Get(ctx, "mallory", kept.ID)))
	ended, err = m.RevokeAll(ctx, "alice")
	assert.Empty(t, ended)
	assert.NoError(t, err)
	ended, err = m.RevokeAll(ctx, "")
	assert.Empty(t, ended)
	assert.NoError(t, err)
}

// What an outage left is ended by the next call, and nothing of it is half there.
func TestRevokeAllGoesOn(t *testing.T) {
	ctx, s := t.Context(), storetest.NewFaulty(store.NewMemory())
	m := manager(t, s)
	for range 40 {
		create(t, m, token.Spec{})
	}
	s.Inject(storetest.Fault{On: storetest.Commits, Nth: 3, Err: context.DeadlineExceeded})
	first, err := m.RevokeAll(ctx, "alice")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotEmpty(t, first)
	left, total, err := m.List(ctx, "alice", 0, 0)
	require.NoError(t, err)
	assert.Equal(t, 40-len(first), total)
	for _, tok := range left {
		assert.NotContains(t, first, tok.ID)
	}
	second, err := m.RevokeAll(ctx, "alice")
	require.NoError(t, err)
	assert.Len(t, second, total)
	assert.Empty(t, dump(t, s))
}

// Tokens made while all are revoked are whole or gone, and counted as such.
func TestRevokeAllAndCreate(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m, other := manager(t, s), manager(t, s)
	for range 60 {
		create(t, m, token.Spec{})
	}
	made := make([]token.Token, 30)
	var group sync.WaitGroup
	group.Go(func() {
		for i := range made {
			var err error
			_, made[i], err = other.Create(ctx, token.Spec{User: "alice", Grants: readAll}, nil)
			assert.NoError(t, err)
		}
	})
	var ended []string
	group.Go(func() {
		var err error
		ended, err = m.RevokeAll(ctx, "alice")
		assert.NoError(t, err)
	})
	group.Wait()
	list, total, err := m.List(ctx, "alice", 0, 0)
	require.NoError(t, err)
	assert.Equal(t, 90, total+len(ended))
	for _, tok := range made {
		listed := slices.ContainsFunc(list, func(t token.Token) bool { return t.ID == tok.ID })
		assert.Equal(t, listed, item(t, s, token.Key(tok.Digest)).Exists())
		assert.NotEqual(t, listed, slices.Contains(ended, tok.ID))
	}
	for range total { // the count agrees: all of it can be given back
		all, _, err := m.List(ctx, "alice", 0, 1)
		require.NoError(t, err)
		require.NoError(t, m.Revoke(ctx, "alice", all[0].ID))
	}
	assert.Empty(t, dump(t, s))
}
