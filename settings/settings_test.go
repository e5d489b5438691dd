package settings_test

import (
	"context"
	"fmt"
	"strings"
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

// Whether only security keys count, or only trusted publishers publish, is kept beside the mode, and a record that earlier versions can read
// has no word of it.
func TestKeysOnly(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	value := func(key string) string {
		items, err := st.Get(ctx, key)
		require.NoError(t, err)
		return string(items[0].Value)
	}
	for _, s := range []policy.Settings{{Publish: protocol.NoFactor, KeysOnly: true}, {KeysOnly: true, PublishersOnly: true}, {PublishersOnly: true}, {Publish: protocol.FactorOnly}} {
		require.NoError(t, set(ctx, st, m, "1", s))
		got, err := m.Get(ctx, st, "1")
		require.NoError(t, err)
		assert.Equal(t, s, got)
		assert.Equal(t, s.KeysOnly, strings.Contains(value(settings.SettingsKey("1")), "keys_only"))
		assert.Equal(t, s.PublishersOnly, strings.Contains(value(settings.SettingsKey("1")), "publishers_only"))
	}
	assert.Equal(t, `{"v":1,"d":{"id":"1","publish":"publish"}}`, value(settings.SettingsKey("1")))
	require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		_, err := m.Add(ctx, tx, settings.Package{ID: "2", Settings: policy.Settings{KeysOnly: true, PublishersOnly: true}})
		return err
	}))
	got, err := m.Get(ctx, nil, "2")
	require.NoError(t, err)
	assert.True(t, got.KeysOnly)
	assert.True(t, got.PublishersOnly)
	assert.Equal(t, "true", settings.Changed("2", got).Detail["keys_only"])
	assert.Equal(t, "true", settings.Changed("2", got).Detail["publishers_only"])
}

// A scope has settings by its name, of which none is the default.
func TestScope(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	set := func(scope string, s settings.Scope) error {
		return store.Transact(ctx, st, func(tx *store.Tx) error { return m.SetScope(ctx, tx, scope, s) })
	}
	is := func(scope string) settings.Scope {
		s, err := m.Scope(ctx, nil, scope)
		require.NoError(t, err)
		return s
	}
	assert.Zero(t, is("acme"))
	require.NoError(t, set("acme", settings.Scope{KeysOnly: true}))
	assert.Equal(t, settings.Scope{KeysOnly: true}, is("acme"))
	require.NoError(t, set("acme", settings.Scope{PublishersOnly: true}))
	assert.Equal(t, settings.Scope{PublishersOnly: true}, is("acme"))
	assert.Zero(t, is("acme-labs"))
	scope, ok := settings.ScopeOf(settings.ScopeKey("acme"))
	assert.True(t, ok)
	assert.Equal(t, "acme", scope)
	_, ok = settings.ScopeOf(settings.SettingsKey("acme"))
	assert.False(t, ok)
	_, ok = settings.PackageOf(settings.ScopeKey("acme"))
	assert.False(t, ok)
	require.NoError(t, set("acme", settings.Scope{}))
	assert.Zero(t, is("acme"))
	assert.Equal(t, map[string]string{
		"scope": "acme", "keys_only": "true", "publishers_only": "false", "stage_only": "false", "approvals": "1", "other_approver": "false",
	}, settings.ScopeChanged("acme", settings.Scope{KeysOnly: true}).Detail)

	// A setting that no package could have would be silent.
	for _, scope := range []string{"", "@acme", "acme/widget", "Acme corp"} {
		assert.Error(t, set(scope, settings.Scope{KeysOnly: true}), scope)
	}
	_, err = m.Scope(ctx, nil, "")
	assert.Error(t, err)
	for _, value := range []string{`{"v":2,"d":{}}`, `{"v":1,"d":{"scope":"acme","more":1}}`, `{"v":1,"d":{"scope":"other"}}`, ``} {
		_, err := st.Commit(ctx, store.Op{Key: settings.ScopeKey("acme"), At: store.Any, Action: store.Put, Value: []byte(value)})
		require.NoError(t, err)
		_, err = m.Scope(ctx, st, "acme")
		assert.Error(t, err, value)
	}
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

// What is said of staged versions is stored, told, and of a package and its scope the stricter holds.
func TestStagingSettings(t *testing.T) {
	st := store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	of := policy.Settings{StageOnly: true, Approvals: 2, OtherApprover: true}
	require.NoError(t, set(t.Context(), st, m, "p-1", of))
	got, err := m.Get(t.Context(), st, "p-1")
	require.NoError(t, err)
	assert.Equal(t, of, got)
	assert.Equal(t, "2", settings.Changed("p-1", of).Detail["approvals"])
	taken := settings.Changed("p-1", policy.Settings{}).Detail
	assert.Equal(t, []string{"false", "1", "false"}, []string{taken["stage_only"], taken["approvals"], taken["other_approver"]}, "that it was taken back is told, too")

	scope := settings.Scope{StageOnly: true, Approvals: 3, OtherApprover: true, PublishersOnly: true, KeysOnly: true}
	require.NoError(t, store.Transact(t.Context(), st, func(tx *store.Tx) error { return m.SetScope(t.Context(), tx, "acme", scope) }))
	stored, err := m.Scope(t.Context(), st, "acme")
	require.NoError(t, err)
	assert.Equal(t, scope, stored)
	assert.Equal(t, "true", settings.ScopeChanged("acme", scope).Detail["stage_only"])
	assert.Equal(t, policy.Settings{KeysOnly: true, PublishersOnly: true, StageOnly: true, Approvals: 3, OtherApprover: true}, scope.Narrow(policy.Settings{Approvals: 2}))
	assert.Equal(t, of, settings.Scope{Approvals: 1}.Narrow(of))
	assert.Equal(t, 1, policy.Settings{}.Needed())
}

// More approvals than one commit can judge are refused.
func TestTooManyApprovals(t *testing.T) {
	st := store.NewMemory()
	m, err := settings.New(settings.Config{Store: st})
	require.NoError(t, err)
	for approvals, ok := range map[uint8]bool{policy.MaxApprovals: true, policy.MaxApprovals + 1: false, 255: false} {
		of := policy.Settings{Approvals: approvals}
		id := protocol.PackageID(fmt.Sprint("p-", approvals))
		added := store.Transact(t.Context(), st, func(tx *store.Tx) error {
			_, err := m.Add(t.Context(), tx, settings.Package{ID: id, Settings: of})
			return err
		})
		scope := store.Transact(t.Context(), st, func(tx *store.Tx) error {
			return m.SetScope(t.Context(), tx, "acme", settings.Scope{Approvals: approvals})
		})
		for _, err := range []error{set(t.Context(), st, m, id, of), added, scope} {
			assert.Equal(t, ok, err == nil, "%d: %v", approvals, err)
		}
	}
	s, err := m.Scope(t.Context(), nil, "acme")
	require.NoError(t, err)
	assert.EqualValues(t, policy.MaxApprovals, s.Approvals)
}
