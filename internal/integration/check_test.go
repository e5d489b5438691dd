package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/store"
)

// lived returns a store in which a few lives were lived, and what was done.
func lived(t *testing.T) (*integration.Library, []integration.Deed) {
	t.Helper()
	library := open(t, "sqlite:"+t.TempDir()+"/auth.db")
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	var deeds []integration.Deed
	library.Live(t.Context(), "alice", func(d integration.Deed) { deeds = append(deeds, d) })
	library.Live(t.Context(), "bob", func(integration.Deed) {})
	_, err := library.Load(t.Context(), "carol")
	require.NoError(t, err)
	return library, deeds
}

// The checks of this package find what they look for.
func TestCheckFinds(t *testing.T) {
	library, deeds := lived(t)
	check := func() string {
		problems, err := integration.Check(t.Context(), library.Store)
		require.NoError(t, err)
		return strings.Join(problems, "\n")
	}
	require.Empty(t, check())
	require.Empty(t, library.Verify(t.Context(), deeds))
	require.Empty(t, check(), "after what Verify did")

	commit := func(op store.Op) {
		t.Helper()
		op.At = store.Any
		_, err := library.Store.Commit(t.Context(), op)
		require.NoError(t, err)
	}
	for name, tt := range map[string]struct{ prefix, want string }{
		"a unique row is missing":    {"session.id/", "lacks its row session.id/"},
		"a listed row is missing":    {"token.list/", "lacks its row token.list/"},
		"a row of a list is missing": {"session.user/alice/", "lacks its row session.user/"},
		"a record is missing":        {"session/", "no record has this row"},
		"a counted token is missing": {"token/", "token-count/"},
		"a counter is missing":       {"token-count/", "is missing where there are"},
		"a factor nobody asks for":   {"subject/", "nobody asks for it"},
		"a mode without a factor":    {"twofactor/", "and another factor"},
		"a row of a challenge":       {"twofactor-challenge.poll/", "lacks its row"},
		"a login that must forget":   {"login.salted/", "lacks its row login.salted/yes/"},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := library.Store.List(t.Context(), tt.prefix, "", 1)
			require.NoError(t, err)
			require.NotEmpty(t, items)
			commit(store.Op{Key: items[0].Key, Action: store.Delete})
			assert.Contains(t, check(), tt.want)
			commit(store.Op{Key: items[0].Key, Action: store.Put, Value: items[0].Value, Expires: items[0].Expires})
			assert.Empty(t, check())
		})
	}
	for name, tt := range map[string]struct{ key, value, want string }{
		"a row without a record":     {"session.id/stray", "x", "no record has this row"},
		"a table that is new":        {"novelty/x", `{"v":1,"d":{}}`, "of no table that is known"},
		"half a record":              {"session/x", `{"v":1,"d":{"id":`, "not a record"},
		"a record of another":        {"subject/x", `{"v":1,"d":{"id":"y"}}`, `the record of "y"`},
		"a key of another size":      {"serverkey/x", "short", "not the value of such a key"},
		"a store of another's":       {"npmauth/ready", "theirs", "not the value of such a key"},
		"a time that is none":        {"token-used/x", "yesterday", "not the value of such a key"},
		"a user without a password":  {"user/x", `{"v":1,"d":{"id":"x","name":"x"}}`, "has no password row"},
		"a use of no client":         {"legacy-use/x", `{"v":1,"d":{"user":"x","clients":[]}}`, "has 0 clients"},
		"a password without a user":  {"password/x", `{"v":1,"d":{"id":"x"}}`, "has no user"},
		"a challenge that is no one": {"twofactor-challenge/x", `{"v":1,"d":{"id":"x","state":"waiting"}}`, "waits and is not counted"},
	} {
		t.Run(name, func(t *testing.T) {
			commit(store.Op{Key: tt.key, Action: store.Put, Value: []byte(tt.value)})
			assert.Contains(t, check(), tt.want)
			commit(store.Op{Key: tt.key, Action: store.Delete})
			assert.Empty(t, check())
		})
	}
}

func TestVerifyFinds(t *testing.T) {
	for name, tt := range map[string]struct {
		prefix string // of what is lost
		want   string
	}{
		"a token":     {"token/", "was created and is gone"},
		"a session":   {"session/", "sessions, of"},
		"a factor":    {"twofactor/", "the factor is gone"},
		"an approval": {"login/", "the approval is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			library, deeds := lived(t)
			for {
				items, err := library.Store.List(t.Context(), tt.prefix, "", 1)
				require.NoError(t, err)
				if len(items) == 0 {
					break
				}
				_, err = library.Store.Commit(t.Context(), store.Op{Key: items[0].Key, At: items[0].Revision, Action: store.Delete})
				require.NoError(t, err)
			}
			assert.Contains(t, strings.Join(library.Verify(t.Context(), deeds), "\n"), tt.want)
		})
	}
	t.Run("a revoked token", func(t *testing.T) {
		library, deeds := lived(t)
		alive := deeds[1] // the report of the first token, which is never revoked
		require.Equal(t, "create", alive.Do)
		deeds = append(deeds, integration.Deed{Do: "revoke", User: "alice", ID: alive.ID}, integration.Deed{Do: "revoke", User: "alice", ID: alive.ID, Done: true})
		assert.Contains(t, strings.Join(library.Verify(t.Context(), deeds), "\n"), "was revoked and is alive")
	})
	t.Run("a code", func(t *testing.T) {
		library, deeds := lived(t)
		factor, err := library.Enrol(t.Context(), "dora")
		require.NoError(t, err)
		spent := integration.Deed{Do: "spend", User: "dora", Shot: integration.Shot{Kind: "recovery", User: "dora", Value: factor.Recovery[0]}}
		deeds = append(deeds, spent)
		spent.Done = true
		deeds = append(deeds, spent)
		assert.Contains(t, strings.Join(library.Verify(t.Context(), deeds), "\n"), "the recovery was spent, and once more")
	})
}
