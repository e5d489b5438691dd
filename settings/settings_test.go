package settings_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
)

func set(ctx context.Context, st store.Store, m *settings.Manager, id protocol.PackageID, s policy.Settings) error {
	return store.Transact(ctx, st, func(tx *store.Tx) error { return m.Set(ctx, tx, id, s) })
}

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	if err != nil {
		panic(err)
	}
	if err := set(ctx, st, m, "42", policy.Settings{Publish: protocol.FactorOnly}); err != nil {
		panic(err)
	}
	s, err := m.Get(ctx, st, "42")
	fmt.Println(s.Publish == protocol.FactorOnly, err)
	// Output: true <nil>
}

func TestSettings(t *testing.T) {
	st := store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	s, err := m.Get(t.Context(), st, "a/b")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOrBypass, s.Publish, "npm's default, of a package that nobody decided about")
	require.NoError(t, set(t.Context(), st, m, "a/b", policy.Settings{Publish: protocol.FactorOnly}))
	s, err = m.Get(t.Context(), st, "a/b")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOnly, s.Publish)
	other, err := m.Get(t.Context(), st, "a")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOrBypass, other.Publish, "another ID is another package")
	require.NoError(t, set(t.Context(), st, m, "a/b", policy.Settings{}))
	s, err = m.Get(t.Context(), st, "a/b")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOrBypass, s.Publish)
	id, ok := settings.PackageOf(settings.SettingsKey("a/b"))
	assert.True(t, ok)
	assert.EqualValues(t, "a/b", id)
	_, ok = settings.PackageOf("token/x")
	assert.False(t, ok)
}

// Get reads through the given reader: a transaction, or the store for nil.
func TestSettingsOfAReader(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	require.NoError(t, set(ctx, st, m, "1", policy.Settings{Publish: protocol.FactorOnly}))
	s, err := m.Get(ctx, nil, "1")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOnly, s.Publish)
	require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		if err := m.Set(ctx, tx, "1", policy.Settings{}); err != nil {
			return err
		}
		for r, want := range map[store.Reader]protocol.PublishMode{tx: protocol.FactorOrBypass, nil: protocol.FactorOnly} {
			s, err := m.Get(ctx, r, "1")
			require.NoError(t, err)
			assert.Equal(t, want, s.Publish)
		}
		return nil
	}))
}

// A row that cannot be decoded is an error and not the default.
func TestUnreadableSettings(t *testing.T) {
	st := store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	_, err = m.Get(t.Context(), st, "")
	assert.Error(t, err)
	assert.Error(t, set(t.Context(), st, m, "", policy.Settings{}))
	_, err = settings.New(settings.Config{})
	assert.Error(t, err)
	for _, value := range []string{`{"v":2,"d":{}}`, `{"v":1,"d":{"id":"1"}}`, `{"v":1,"d":{"id":"1","publish":"nothing"}}`, `{"v":1,"d":{"id":"1","publish":"factor","more":1}}`, ``, `{}`} {
		_, err := st.Commit(t.Context(), store.Op{Key: settings.SettingsKey("1"), At: store.Any, Action: store.Put, Value: []byte(value)})
		require.NoError(t, err)
		_, err = m.Get(t.Context(), st, "1")
		assert.Error(t, err, value)
	}
}
