package token_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
