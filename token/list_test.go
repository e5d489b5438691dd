package token_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

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
			page, _, total, err := m.List(t.Context(), "alice", token.ListOptions{Offset: offset, Limit: limit})
			require.NoError(t, err)
			assert.Equal(t, len(want), total)
			got := []string{}
			for _, tok := range page {
				assert.Equal(t, protocol.UserID("alice"), tok.User)
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

		var all []string
		for tok, err := range m.Of(t.Context(), "alice") {
			require.NoError(t, err)
			all = append(all, tok.ID)
		}
		assert.Equal(t, want, all)
		for tok := range m.Of(t.Context(), "alice") {
			assert.Equal(t, want[0], tok.ID)
			break
		}
		for range m.Of(t.Context(), "nobody") {
			assert.Fail(t, "who has none")
		}

		for _, limit := range []int{1, 7, 100} {
			var got []string
			for after := ""; ; {
				page, next, total, err := m.List(t.Context(), "alice", token.ListOptions{After: after, Limit: limit})
				require.NoError(t, err)
				assert.Equal(t, len(want), total)
				for _, tok := range page {
					got = append(got, tok.ID)
				}
				if next == "" {
					break
				}
				assert.Len(t, page, limit)
				after = next
			}
			assert.Equal(t, want, got)
		}
		for _, user := range []protocol.UserID{"carol", "", protocol.UserID(strings.Repeat("x", 600)), "ali", "alice."} {
			none, next, total, err := m.List(t.Context(), user, token.ListOptions{})
			require.NoError(t, err)
			assert.Zero(t, total)
			assert.Empty(t, none)
			assert.Empty(t, next)
		}
		for _, after := range []string{"x", "/", "../x", "é/x", strings.Repeat("x", 600) + "/x"} {
			_, _, _, err := m.List(t.Context(), "alice", token.ListOptions{After: after})
			assert.ErrorIs(t, err, token.ErrCursor, "%q", after)
		}
	})
}

// rows counts the keys that a store reads and returns.
type rows struct {
	store.Store
	calls, keys, listed int
}

func (r *rows) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	r.calls++
	r.keys += len(keys)
	return r.Store.Get(ctx, keys...)
}

func (r *rows) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	items, err := r.Store.List(ctx, prefix, after, limit)
	r.calls++
	r.listed += len(items)
	return items, err
}

// A page is one Get and one List, and reads the tokens that it shows, however many there are
// and however many were revoked.
func TestListReadsWhatItShows(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	for range 100 {
		create(t, m, token.Spec{})
	}
	require.NoError(t, m.RevokeAll(ctx, operator, "alice"))
	for range 1000 {
		create(t, m, token.Spec{})
	}
	seen := map[string]bool{}
	for after := ""; ; {
		r := &rows{Store: s}
		page, next, total, err := manager(t, r).List(ctx, "alice", token.ListOptions{After: after, Limit: 30})
		require.NoError(t, err)
		assert.Equal(t, 1000, total)
		assert.LessOrEqual(t, r.calls, 2)
		assert.Equal(t, 3, r.keys)
		assert.Equal(t, len(page), r.listed)
		for _, tok := range page {
			assert.False(t, seen[tok.ID])
			seen[tok.ID] = true
		}
		if next == "" {
			break
		}
		after = next
	}
	assert.Len(t, seen, 1000)

	r := &rows{Store: s}
	page, next, _, err := manager(t, r).List(ctx, "alice", token.ListOptions{Offset: 900, Limit: 100})
	require.NoError(t, err)
	assert.Len(t, page, 100)
	assert.Empty(t, next, "nobody is sent to an empty page")
	assert.Equal(t, 1000, r.listed)
	assert.Equal(t, 11, r.calls)
	r = &rows{Store: s}
	_, _, total, err := manager(t, r).List(ctx, "alice", token.ListOptions{Offset: 1000})
	require.NoError(t, err)
	assert.Equal(t, 1000, total)
	assert.Equal(t, 1, r.calls, "behind the last one nothing is read")
}

func TestOfFails(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	m := manager(t, st)
	for range 150 {
		create(t, m, token.Spec{})
	}
	st.Inject(storetest.Fault{Nth: 3, Err: errors.New("boom")}) // the second page's list
	n, failed := 0, 0
	for tok, err := range m.Of(t.Context(), "alice") {
		if err != nil {
			assert.ErrorContains(t, err, "boom")
			assert.Empty(t, tok.ID)
			failed++
			continue
		}
		n++
	}
	assert.Equal(t, 100, n)
	assert.Equal(t, 1, failed)
}

func TestAll(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	want := map[string]bool{}
	for i := range 250 {
		user := protocol.UserID(fmt.Sprint("user", i%130))
		_, tok := create(t, m, token.Spec{User: user})
		if i%130 >= 40 {
			want[tok.ID] = true
		}
	}
	for i := range 40 {
		require.NoError(t, m.RevokeAll(ctx, operator, protocol.UserID(fmt.Sprint("user", i))))
	}
	r := &rows{Store: s}
	for tok, err := range manager(t, r).All(ctx) {
		require.NoError(t, err)
		assert.True(t, want[tok.ID])
		delete(want, tok.ID)
	}
	assert.Empty(t, want)
	assert.Equal(t, 250, r.listed)
	assert.Equal(t, 6, r.calls, "three pages, and the subjects of each in one Get")
	for range m.All(ctx) {
		break
	}
	require.NoError(t, store.Transact(ctx, s, func(tx *store.Tx) error { return subject.RevokeEveryone(ctx, tx, time.Now()) }))
	for range m.All(ctx) {
		assert.Fail(t, "none is left")
	}
}

// all returns the IDs that a sequence yields.
func all(t *testing.T, tokens iter.Seq2[token.Token, error]) (ids []string) {
	t.Helper()
	for tok, err := range tokens {
		require.NoError(t, err)
		ids = append(ids, tok.ID)
	}
	return ids
}

// Tokens of a disabled account work once it is enabled: they are not revoked.
func TestUnrevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := t.Context(), store.NewMemory()
		m := manager(t, s)
		subjects, err := subject.New(subject.Config{Store: s})
		require.NoError(t, err)
		create(t, m, token.Spec{Days: 1})
		create(t, m, token.Spec{User: "carol"})
		require.NoError(t, m.RevokeAll(ctx, operator, "carol"))
		var want []string
		for i := range 205 {
			_, tok := create(t, m, token.Spec{User: protocol.UserID(fmt.Sprint("u", i%3)), Days: 10})
			want = append(want, tok.ID)
		}
		require.NoError(t, subjects.Disable(ctx, operator, "u1"))
		time.Sleep(token.Day)

		assert.ElementsMatch(t, want, all(t, m.Unrevoked(ctx)))
		assert.Len(t, all(t, m.All(ctx)), 205-68)
		assert.Len(t, all(t, m.Of(ctx, "u1")), 68)
		for range m.Unrevoked(ctx) {
			break
		}
		broken := storetest.NewFaulty(s, storetest.Fault{On: storetest.Lists, Nth: 2})
		n := 0
		for tok, err := range manager(t, broken).Unrevoked(ctx) {
			if err != nil {
				assert.ErrorIs(t, err, storetest.ErrFault)
				assert.Zero(t, tok)
				break
			}
			n++
		}
		assert.Less(t, n, 100)
		assert.True(t, broken.Struck())
	})
}

// A token that was there before is not missing because another one was created after they were
// counted.
func TestOfWhileOneIsCreated(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	var want []string
	for range 100 {
		_, tok := create(t, m, token.Spec{})
		want = append(want, tok.ID)
	}
	for _, on := range []storetest.Calls{storetest.Gets, storetest.Lists} {
		faulty := storetest.NewFaulty(s, storetest.Fault{On: on, After: on == storetest.Gets, Do: func() { create(t, m, token.Spec{}) }})
		assert.Subset(t, all(t, manager(t, faulty).Of(t.Context(), "alice")), want)
		assert.True(t, faulty.Struck())
	}
}

func TestByID(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{User: "bob"})
	got, err := m.ByID(ctx, tok.ID)
	require.NoError(t, err)
	assert.Equal(t, tok, got)
	require.NoError(t, m.RevokeAll(ctx, operator, "bob"))
	for _, id := range []string{tok.ID, "", tok.ID[:25], strings.Repeat("a", 26), strings.Repeat("x", 600)} {
		_, err := m.ByID(ctx, id)
		assert.Equal(t, token.ErrNotFound, err, "%q", id)
	}
	_, err = manager(t, storetest.NewFaulty(s, storetest.Fault{})).ByID(ctx, tok.ID)
	assert.ErrorIs(t, err, storetest.ErrFault)
}
