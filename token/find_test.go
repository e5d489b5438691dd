package token_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

func TestFindHint(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	secret, tok := create(t, m, token.Spec{})
	_, other := create(t, m, token.Spec{})
	_, theirs := create(t, m, token.Spec{User: "bob"})

	id, err := m.FindHint(t.Context(), "alice", tok.Hint)
	require.NoError(t, err)
	assert.Equal(t, tok.ID, id)
	for _, hint := range []string{"", "npm_", tok.Hint[:7], secret.Reveal()[:9], secret.Reveal(), theirs.Hint, tok.ID, tok.ID[:8]} {
		_, err := m.FindHint(t.Context(), "alice", hint)
		assert.ErrorIs(t, err, token.ErrNotFound, hint)
	}

	for _, it := range dump(t, s) { // a second token that begins like the first
		if bytes.Contains(it.Value, []byte(other.Hint)) {
			value := bytes.ReplaceAll(it.Value, []byte(other.Hint), []byte(tok.Hint))
			_, err := s.Commit(t.Context(), store.Op{Key: it.Key, At: it.Revision, Action: store.Put, Value: value, Expires: it.Expires})
			require.NoError(t, err)
		}
	}
	_, err = m.FindHint(t.Context(), "alice", tok.Hint)
	assert.ErrorIs(t, err, token.ErrAmbiguous)
	require.NoError(t, m.Revoke(t.Context(), operator, "alice", tok.ID, ""))
	id, err = m.FindHint(t.Context(), "alice", tok.Hint)
	require.NoError(t, err, "a token that has ended does not count")
	assert.Equal(t, other.ID, id)
}

func TestFindHintFails(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	m := manager(t, st)
	_, tok := create(t, m, token.Spec{})
	boom := errors.New("boom")
	st.Inject(storetest.Fault{Nth: 2, Err: boom}) // the list, after the count
	id, err := m.FindHint(t.Context(), "alice", tok.Hint)
	assert.ErrorIs(t, err, boom)
	assert.Empty(t, id)
}

// No text finds another's token, and a cursor lists the user's own, whatever it is.
func FuzzFind(f *testing.F) {
	s := store.NewMemory()
	m, err := token.New(token.Config{Store: s})
	require.NoError(f, err)
	ids := map[string]bool{}
	for i := range 3 {
		secret, tok, err := m.Create(f.Context(), operator, token.Spec{User: "alice", Grants: readAll})
		require.NoError(f, err)
		ids[tok.ID] = true
		_, theirs, err := m.Create(f.Context(), operator, token.Spec{User: "bob", Grants: readAll})
		require.NoError(f, err)
		_, next, _, err := m.List(f.Context(), "alice", token.ListOptions{Limit: 1})
		require.NoError(f, err)
		for _, text := range []string{tok.ID, tok.Hint, secret.Reveal(), theirs.ID, theirs.Hint, next, strings.Repeat("0", i)} {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		find := func(text string) (all []string) {
			if tok, err := m.Get(t.Context(), "alice", text); err == nil {
				all = append(all, tok.ID)
			} else {
				require.ErrorIs(t, err, token.ErrNotFound)
			}
			if id, err := m.FindHint(t.Context(), "alice", text); err == nil {
				all = append(all, id)
			} else {
				require.True(t, errors.Is(err, token.ErrNotFound) || errors.Is(err, token.ErrAmbiguous), "%v", err)
			}
			page, _, _, err := m.List(t.Context(), "alice", token.ListOptions{After: text})
			if err != nil {
				require.ErrorIs(t, err, token.ErrCursor)
			}
			for _, tok := range page {
				all = append(all, tok.ID)
			}
			return all
		}
		fuzzbound.Check(t, text, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 128 << 10, PerByte: 8}, Work: fuzzbound.Limit{Base: 5}}, func(text string) int { return len(find(text)) })
		for _, id := range find(text) {
			require.True(t, ids[id], "another's token")
		}
	})
}
