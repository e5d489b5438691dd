package trust_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/trust"
)

func (r *registry) state(t testing.TB, id protocol.PackageID) trust.State {
	t.Helper()
	rows, err := r.store.Get(t.Context(), trust.StateKeys(id)...)
	require.NoError(t, err)
	s, err := trust.DecodeState(id, rows)
	require.NoError(t, err)
	return s
}

// A token is alive while its publisher is there, and until the credentials of all accounts are revoked.
func TestStateAlive(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, widget, p.publisher)
	r.mustAdd(t, gadget, p.publisher)
	_, tok := r.mustExchange(t, widget, p.token(t))
	assert.True(t, r.state(t, widget.ID).Alive(tok), "after its publisher has pinned IDs, too")
	assert.False(t, r.state(t, gadget.ID).Alive(tok))
	assert.False(t, trust.State{}.Alive(tok))
	assert.False(t, trust.State{}.Alive(trust.Token{}))
	assert.False(t, r.state(t, widget.ID).Alive(trust.Token{}))
	assert.False(t, r.state(t, widget.ID).Alive(trust.Token{PackageID: widget.ID}))

	moved := tok
	moved.PackageID = gadget.ID
	assert.False(t, r.state(t, widget.ID).Alive(moved), "which is another package's")

	// What else happens to the package's publishers does not end it.
	other := r.mustAdd(t, widget, named(t, "oidc").publisher)
	assert.True(t, r.state(t, widget.ID).Alive(tok))
	require.NoError(t, r.remove(t.Context(), widget, other.ID))
	assert.True(t, r.state(t, widget.ID).Alive(tok))

	subjects, err := subject.New(subject.Config{Store: r.store})
	require.NoError(t, err)
	require.NoError(t, subjects.RevokeEveryone(t.Context(), alice))
	assert.False(t, r.state(t, widget.ID).Alive(tok), "all accounts")
	second := p.token(t)
	second.ID = "second"
	_, tok = r.mustExchange(t, widget, second)
	assert.NotZero(t, tok.Everyone)
	assert.True(t, r.state(t, widget.ID).Alive(tok))

	// OI-39: one that is added anew, the same in every word, is another.
	require.NoError(t, r.remove(t.Context(), widget, rec.ID))
	assert.False(t, r.state(t, widget.ID).Alive(tok))
	r.mustAdd(t, widget, p.publisher)
	assert.False(t, r.state(t, widget.ID).Alive(tok))
}

// A commit that expects the evidence does not happen once the publisher was removed.
func TestStateEvidence(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	rec := r.mustAdd(t, widget, named(t, "github, only names").publisher)
	state := r.state(t, widget.ID)
	require.Len(t, state.Evidence, 2)
	publish := func() error {
		return store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
			tx.Expect(state.Evidence...)
			tx.Put("published", nil, noon)
			return nil
		})
	}
	require.NoError(t, publish())
	require.NoError(t, r.remove(t.Context(), widget, rec.ID))
	require.ErrorAs(t, publish(), new(*store.ChangedError))

	state = r.state(t, widget.ID)
	require.NoError(t, publish())
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return subject.RevokeEveryone(t.Context(), tx, noon) }))
	require.ErrorAs(t, publish(), new(*store.ChangedError))
}

func TestDecodeStateRefuses(t *testing.T) {
	keys := trust.StateKeys("p1")
	require.Equal(t, []string{trust.PublishersKey("p1"), subject.EveryoneKey()}, keys)
	rows := []store.Item{{Key: keys[0]}, {Key: keys[1]}}
	_, err := trust.DecodeState("p1", rows)
	require.NoError(t, err)
	for name, bad := range map[string][]store.Item{
		"none":                      nil,
		"one":                       rows[:1],
		"three":                     {rows[0], rows[1], rows[1]},
		"in another order":          {rows[1], rows[0]},
		"another package's":         {{Key: trust.PublishersKey("p2")}, rows[1]},
		"not of all accounts":       {rows[0], {Key: subject.Key("alice")}},
		"damaged publishers":        {{Key: keys[0], Revision: 1, Value: []byte("x")}, rows[1]},
		"a damaged row of everyone": {rows[0], {Key: keys[1], Revision: 1, Value: []byte("x")}},
	} {
		_, err := trust.DecodeState("p1", bad)
		assert.Error(t, err, name)
	}
}
