package trust_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/trust"
)

var (
	widget = trust.Package{ID: "p1", Name: protocol.PackageName{Scope: "acme", Name: "widget"}}
	gadget = trust.Package{ID: "p2", Name: protocol.PackageName{Name: "gadget"}}
	alice  = audit.Actor{User: "alice", Credential: "session-1"}

	noon = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) // when the tokens of pairs were issued
)

// A registry is a Manager on a store, with a clock that stands and the events that it recorded.
type registry struct {
	*trust.Manager
	store store.Store
	now   time.Time

	mu     sync.Mutex
	events []audit.Event // guarded by mu
}

func newRegistry(t testing.TB, st store.Store, change ...func(*trust.ManagerConfig)) *registry {
	t.Helper()
	r := &registry{store: st, now: noon.Add(time.Minute)}
	cfg := trust.ManagerConfig{
		Store: st, Issuers: []trust.Issuer{gitHubIssuer, gitLabIssuer, circleCIIssuer, oidcIssuer, forgejoIssuer},
		Events: audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(r.record)}),
		Now:    func() time.Time { return r.now },
	}
	for _, fn := range change {
		fn(&cfg)
	}
	var err error
	r.Manager, err = trust.NewManager(cfg)
	require.NoError(t, err)
	return r
}

func (r *registry) record(_ context.Context, e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *registry) add(ctx context.Context, to trust.Target, p trust.Publisher) (rec trust.Record, err error) {
	err = store.Transact(ctx, r.store, func(tx *store.Tx) (err error) {
		rec, err = r.AddTx(ctx, tx, alice, to, p)
		return err
	})
	return rec, err
}

func (r *registry) mustAdd(t testing.TB, to trust.Target, p trust.Publisher) trust.Record {
	t.Helper()
	p.ID = ""
	rec, err := r.add(t.Context(), to, p)
	require.NoError(t, err)
	return rec
}

func (r *registry) remove(ctx context.Context, from trust.Target, id string) error {
	return store.Transact(ctx, r.store, func(tx *store.Tx) error { return r.RemoveTx(ctx, tx, alice, from, id) })
}

func (r *registry) exchange(ctx context.Context, pkg trust.Package, id trust.IDToken) (secret credential.Secret, tok trust.Token, err error) {
	err = store.Transact(ctx, r.store, func(tx *store.Tx) (err error) {
		secret, tok, err = r.ExchangeTx(ctx, tx, audit.Actor{}, pkg, id)
		return err
	})
	return secret, tok, err
}

func (r *registry) mustExchange(t testing.TB, pkg trust.Package, id trust.IDToken) (credential.Secret, trust.Token) {
	t.Helper()
	secret, tok, err := r.exchange(t.Context(), pkg, id)
	require.NoError(t, err)
	return secret, tok
}

// publishers returns those of a package.
func (r *registry) publishers(t testing.TB, pkg trust.Package) []trust.Record {
	t.Helper()
	list, err := r.Publishers(t.Context(), nil, pkg.ID)
	require.NoError(t, err)
	return list
}

// verify is the whole check of a presented secret, as package trust says it is made.
func (r *registry) verify(ctx context.Context, secret credential.Secret) (trust.Token, bool, error) {
	d, _ := credential.Parse(secret.Reveal())
	items, err := r.store.Get(ctx, trust.TokenKey(d))
	if err != nil {
		return trust.Token{}, false, err
	}
	tok, err := trust.OpenToken(items[0], d)
	if err != nil {
		return trust.Token{}, false, err
	}
	keys := trust.StateKeys(tok.PackageID)
	if tok.Scope != "" {
		keys = trust.ScopeStateKeys(tok.Scope)
	}
	if items, err = r.store.Get(ctx, keys...); err != nil {
		return trust.Token{}, false, err
	}
	var state trust.State
	if tok.Scope != "" {
		state, err = trust.DecodeScopeState(tok.Scope, items)
	} else {
		state, err = trust.DecodeState(tok.PackageID, items)
	}
	if err != nil {
		return trust.Token{}, false, err
	}
	return tok, state.Alive(tok) && !tok.Credential().Dead(r.now), nil
}

func (r *registry) alive(t testing.TB, secret credential.Secret) bool {
	t.Helper()
	_, alive, err := r.verify(t.Context(), secret)
	require.NoError(t, err)
	return alive
}

// items returns all rows of a store.
func items(t testing.TB, s store.Store) []store.Item {
	t.Helper()
	list, err := s.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	require.Less(t, len(list), store.MaxLimit)
	return list
}

// overwrite puts a value under a key, whatever is there.
func overwrite(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	_, err := s.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
	require.NoError(t, err)
}

func TestNewManager(t *testing.T) {
	issuers := []trust.Issuer{gitHubIssuer}
	for _, tt := range []struct {
		field string
		cfg   trust.ManagerConfig
	}{
		{"Store", trust.ManagerConfig{Issuers: issuers}},
		{"Issuers", trust.ManagerConfig{Issuers: []trust.Issuer{{}}}},
		{"Issuers", trust.ManagerConfig{Issuers: []trust.Issuer{gitHubIssuer, gitHubIssuer}}},
		{"Publishers", trust.ManagerConfig{Issuers: issuers, Publishers: -1}},
		{"Publishers", trust.ManagerConfig{Issuers: issuers, Publishers: 51}},
		{"TokenTTL", trust.ManagerConfig{Issuers: issuers, TokenTTL: -time.Second}},
		{"TokenTTL", trust.ManagerConfig{Issuers: issuers, TokenTTL: time.Second - 1}},
		{"TokenTTL", trust.ManagerConfig{Issuers: issuers, TokenTTL: time.Hour + 1}},
	} {
		if tt.field != "Store" {
			tt.cfg.Store = store.NewMemory()
		}
		_, err := trust.NewManager(tt.cfg)
		assert.ErrorContains(t, err, "ManagerConfig."+tt.field)
	}
	for _, cfg := range []trust.ManagerConfig{{}, {Publishers: 50, TokenTTL: time.Hour}, {Publishers: 1, TokenTTL: time.Second}} {
		cfg.Store, cfg.Issuers = store.NewMemory(), issuers
		_, err := trust.NewManager(cfg)
		assert.NoError(t, err)
	}
}

func TestManagerKeepsItsIssuers(t *testing.T) {
	mine := []trust.Issuer{{Kind: trust.KindCustom, URL: "https://ci.acme.test", Claims: []trust.Claim{{Name: "repository"}, {Name: "event", OneOf: []string{"push"}}}}}
	m, err := trust.NewManager(trust.ManagerConfig{Store: store.NewMemory(), Issuers: mine})
	require.NoError(t, err)
	mine[0].URL, mine[0].Claims[0].Name, mine[0].Claims[1].OneOf[0] = "x", "x", "x"
	got := m.Issuers()
	assert.Equal(t, "https://ci.acme.test", got[0].URL)
	assert.Equal(t, "repository", got[0].Claims[0].Name)
	assert.Equal(t, "push", got[0].Claims[1].OneOf[0])
	got[0].URL, got[0].Claims[0].Name, got[0].Claims[1].OneOf[0] = "y", "y", "y"
	assert.Equal(t, "https://ci.acme.test", m.Issuers()[0].URL)
	assert.Equal(t, "repository", m.Issuers()[0].Claims[0].Name)
	assert.Equal(t, "push", m.Issuers()[0].Claims[1].OneOf[0])
}

// The clock of a Manager without one is the time.
func TestManagerWithoutAClock(t *testing.T) {
	before := time.Now().Add(-time.Microsecond)
	r := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Now, cfg.Events = nil, nil })
	rec := r.mustAdd(t, widget, named(t, "github, only names").publisher)
	assert.False(t, rec.Created.Before(before))
	assert.False(t, rec.Created.After(time.Now()))
}

// Whatever call of the store fails, the answer is its error, nothing is written and no secret is returned.
func TestManagerWithoutAStore(t *testing.T) {
	p := named(t, "github, only names")
	for n := range 2 {
		for name, do := range map[string]func(*registry) error{
			"add":      func(r *registry) error { _, err := r.add(t.Context(), gadget, p.publisher); return err },
			"remove":   func(r *registry) error { return r.remove(t.Context(), widget, r.publishers(t, widget)[0].ID) },
			"exchange": func(r *registry) error { _, _, err := r.exchange(t.Context(), widget, p.token(t)); return err },
			"remove all": func(r *registry) error {
				return store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
					_, err := r.RemoveAllTx(t.Context(), tx, alice, widget, "")
					return err
				})
			},
			"revoke": func(r *registry) error {
				return store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
					_, err := r.RevokeTokenTx(t.Context(), tx, alice, credential.Prefix{}.String(), "")
					return err
				})
			},
		} {
			below := store.NewMemory()
			newRegistry(t, below).mustAdd(t, widget, p.publisher)
			before := items(t, below)
			faulty := storetest.NewFaulty(below)
			r := newRegistry(t, faulty)
			on := []storetest.Calls{storetest.Gets, storetest.Commits}[n]
			if name == "revoke" && on == storetest.Commits {
				continue // there is nothing to revoke
			}
			nth := 1
			if name == "remove" && on == storetest.Gets {
				nth = 2 // the first is that of the test
			}
			faulty.Inject(storetest.Fault{On: on, Nth: nth, Times: storetest.Always})
			assert.ErrorIs(t, do(r), storetest.ErrFault, "%s %d", name, n)
			assert.True(t, faulty.Struck())
			assert.Equal(t, before, items(t, below), name)
			assert.Empty(t, r.events, name)
		}
	}
	r := newRegistry(t, storetest.NewFaulty(store.NewMemory(), storetest.Fault{Times: storetest.Always}))
	_, err := r.Publishers(t.Context(), nil, widget.ID)
	assert.ErrorIs(t, err, storetest.ErrFault)
	_, err = r.Check(t.Context(), nil, widget, p.token(t))
	assert.ErrorIs(t, err, storetest.ErrFault)
	_, err = r.Used(t.Context(), nil, widget, p.token(t))
	assert.ErrorIs(t, err, storetest.ErrFault)
}

// AU-33: a nil transaction is an error, and so is a package without ID or name.
func TestManagerRefusesNothing(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, widget, p.publisher)
	ctx := t.Context()
	_, err := r.AddTx(ctx, nil, alice, widget, p.publisher)
	assert.ErrorIs(t, err, store.ErrInvalid)
	assert.ErrorIs(t, r.RemoveTx(ctx, nil, alice, widget, rec.ID), store.ErrInvalid)
	_, err = r.RemoveAllTx(ctx, nil, alice, widget, "")
	assert.ErrorIs(t, err, store.ErrInvalid)
	_, _, err = r.ExchangeTx(ctx, nil, alice, widget, p.token(t))
	assert.ErrorIs(t, err, store.ErrInvalid)
	_, err = r.RevokeTokenTx(ctx, nil, alice, credential.Prefix{}.String(), "")
	assert.ErrorIs(t, err, store.ErrInvalid)
	var none *store.Tx
	list, err := r.Publishers(ctx, none, widget.ID)
	require.NoError(t, err, "a nil reader is the Manager's own store")
	assert.Len(t, list, 1)

	before := items(t, r.store)
	for name, pkg := range map[string]trust.Package{"no ID": {Name: widget.Name}, "no name": {ID: "p1"}, "a name that is none": {ID: "p1", Name: protocol.PackageName{Name: "a b"}}} {
		_, err := r.add(ctx, pkg, named(t, "oidc").publisher)
		assert.Error(t, err, name)
		assert.Error(t, r.remove(ctx, pkg, rec.ID), name)
		_, _, err = r.exchange(ctx, pkg, p.token(t))
		assert.Error(t, err, name)
		assert.Error(t, store.Transact(ctx, r.store, func(tx *store.Tx) error {
			_, err := r.RemoveAllTx(ctx, tx, alice, pkg, "")
			return err
		}), name)
	}
	_, err = r.Publishers(ctx, nil, "")
	assert.Error(t, err)
	_, err = r.Check(ctx, nil, trust.Package{}, p.token(t))
	assert.Error(t, err)
	_, err = r.Used(ctx, nil, trust.Package{ID: widget.ID}, p.token(t))
	assert.Error(t, err)
	_, err = trust.DecodeState("", []store.Item{{Key: trust.PublishersKey("")}, {Key: trust.StateKeys("p1")[1]}})
	assert.Error(t, err)
	assert.Equal(t, before, items(t, r.store))
}

// Without issuers nothing is added, and what there was is listed and removed.
func TestManagerWithoutIssuers(t *testing.T) {
	st := store.NewMemory()
	with, err := trust.NewManager(trust.ManagerConfig{Store: st, Issuers: []trust.Issuer{gitHubIssuer}})
	require.NoError(t, err)
	without, err := trust.NewManager(trust.ManagerConfig{Store: st})
	require.NoError(t, err)
	p, err := trust.ParsePublisher([]byte(`[{"type":"github","claims":{"repository":"acme/widget","workflow_ref":{"file":"release.yml"}},"permissions":["createPackage"]}]`))
	require.NoError(t, err)
	add := func(m *trust.Manager) error {
		return store.Transact(t.Context(), st, func(tx *store.Tx) error {
			_, err := m.AddTx(t.Context(), tx, audit.Actor{}, widget, p)
			return err
		})
	}
	require.Error(t, add(without))
	require.NoError(t, add(with))
	list, err := without.Publishers(t.Context(), nil, widget.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, without.Remove(t.Context(), audit.Actor{}, widget, list[0].ID))
	list, err = with.Publishers(t.Context(), nil, widget.ID)
	require.NoError(t, err)
	assert.Empty(t, list)
}
