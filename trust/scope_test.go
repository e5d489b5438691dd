package trust_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/trust"
)

// Two packages of @acme, which is an organization, and that scope.
var (
	acme   = trust.Scope{Name: "acme", Org: "o-1"}
	inAcme = trust.Package{ID: "p1", Name: protocol.PackageName{Scope: "acme", Name: "widget"}, Org: "o-1"}
	second = trust.Package{ID: "p2", Name: protocol.PackageName{Scope: "acme", Name: "second"}, Org: "o-1"}
)

func (r *registry) ofScope(t testing.TB, s trust.Scope) []trust.Record {
	t.Helper()
	list, err := r.ScopePublishers(t.Context(), nil, s)
	require.NoError(t, err)
	return list
}

func TestScopeKey(t *testing.T) {
	got, ok := trust.ScopeOf(trust.ScopeKey("acme"))
	assert.True(t, ok)
	assert.Equal(t, "acme", got)
	assert.NoError(t, store.ValidateKeys(trust.ScopeKey("acme")))
	for _, key := range []string{"", trust.PublishersKey("acme"), trust.PendingKey(inAcme.Name), "scope/acme"} {
		_, ok := trust.ScopeOf(key)
		assert.False(t, ok, key)
	}
	_, ok = trust.PackageOf(trust.ScopeKey("acme"))
	assert.False(t, ok)
}

// OI-40: a publisher of a scope is one of each package in it, and of no other.
func TestScopePublisher(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, acme, p.publisher)
	assert.Equal(t, "acme", rec.Scope)
	told := r.events[0]
	assert.Equal(t, audit.TrustAdded, told.Type)
	assert.Equal(t, "acme", told.Detail["scope"])
	assert.NotContains(t, told.Detail, "package_id")
	assert.Zero(t, told.Package)
	assert.EqualValues(t, "alice", told.User)
	assert.Equal(t, []trust.Record{rec}, r.ofScope(t, acme))
	assert.Empty(t, r.publishers(t, inAcme), "none of its own")

	for _, pkg := range []trust.Package{inAcme, second} { // of one ID token, as npm publish --workspaces has it
		secret, tok := r.mustExchange(t, pkg, p.token(t))
		assert.Equal(t, rec.ID, tok.Publisher)
		assert.Equal(t, "acme", tok.Scope)
		assert.Equal(t, pkg.ID, tok.Credential().Package, "it is for the one package")
		assert.Equal(t, pkg.Name, tok.Credential().Grants[0].Package)
		assert.True(t, r.alive(t, secret))
		e := r.events[len(r.events)-1]
		assert.Equal(t, audit.TrustExchanged, e.Type)
		assert.Equal(t, "acme", e.Detail["scope"])
		_, _, err := r.exchange(t.Context(), pkg, p.token(t))
		assert.ErrorIs(t, err, trust.ErrUsed)
	}

	again := p.token(t)
	again.ID = "again"
	for name, pkg := range map[string]trust.Package{
		"another scope":           {ID: "p3", Name: protocol.PackageName{Scope: "acme-labs", Name: "widget"}, Org: "o-1"},
		"no scope":                {ID: "p3", Name: protocol.PackageName{Name: "acme"}, Org: "o-1"},
		"no organization":         {ID: "p1", Name: inAcme.Name},
		"an organization anew":    {ID: "p1", Name: inAcme.Name, Org: "o-2"},
		"another package's scope": {ID: "p3", Name: protocol.PackageName{Scope: "other", Name: "acme"}, Org: "o-2"},
	} {
		_, _, err := r.exchange(t.Context(), pkg, again)
		assert.ErrorIs(t, err, trust.ErrMismatch, name)
		list, err := r.PublishersFor(t.Context(), nil, pkg)
		require.NoError(t, err)
		assert.Empty(t, list, name)
	}
}

// Publishers of the package and of its scope are compared together: the one that permits most is chosen, then the oldest.
func TestScopeExchangeChooses(t *testing.T) {
	for _, tt := range []struct {
		name          string
		scope, own    trust.Permissions
		scopeFirst    bool
		wantOfScope   bool
		wantPublishes bool
	}{
		{"the scope's permits more", trust.CreatePackage, trust.CreateStagedPackage, false, true, true},
		{"its own permits more", trust.CreateStagedPackage, trust.CreatePackage, true, false, true},
		{"the scope's is older", trust.CreatePackage, trust.CreatePackage, true, true, true},
		{"its own is older", trust.CreatePackage, trust.CreatePackage, false, false, true},
		{"both only stage", trust.CreateStagedPackage, trust.CreateStagedPackage, true, true, false},
	} {
		r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
		ofScope, own := p.publisher, p.publisher
		ofScope.Permissions, own.Permissions = tt.scope, tt.own
		if !tt.scopeFirst {
			r.mustAdd(t, inAcme, own)
			r.now = r.now.Add(1000)
		}
		r.mustAdd(t, acme, ofScope)
		if tt.scopeFirst {
			r.now = r.now.Add(1000)
			r.mustAdd(t, inAcme, own)
		}
		list, err := r.Check(t.Context(), nil, inAcme, p.token(t))
		require.NoError(t, err)
		require.Len(t, list, 2)
		assert.Equal(t, tt.scopeFirst, list[0].Record.Scope == "acme", tt.name)
		_, tok := r.mustExchange(t, inAcme, p.token(t))
		assert.Equal(t, tt.wantOfScope, tok.Scope == "acme", tt.name)
		assert.Equal(t, tt.wantPublishes, tok.Permissions&trust.CreatePackage != 0, tt.name)
	}
}

// The IDs are saved where the publisher is, in the rows of both.
func TestScopeExchangePins(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	r.mustAdd(t, acme, p.publisher)
	r.mustAdd(t, acme, named(t, "oidc").publisher)
	r.mustAdd(t, inAcme, p.publisher)
	r.mustExchange(t, inAcme, p.token(t))
	assert.Equal(t, "731", r.publishers(t, inAcme)[0].GitHub.RepositoryID)
	list := r.ofScope(t, acme)
	require.Len(t, list, 2)
	assert.Equal(t, "731", list[0].GitHub.RepositoryID)

	// So it holds for the other packages, too.
	another := p.with("repository_id", "999").token(t)
	_, _, err := r.exchange(t.Context(), second, another)
	assert.ErrorIs(t, err, trust.ErrMismatch)
	before := items(t, r.store)
	r.mustExchange(t, second, p.token(t))
	after := map[string]store.Revision{}
	for _, it := range items(t, r.store) {
		after[it.Key] = it.Revision
	}
	for _, it := range before {
		assert.Equal(t, it.Revision, after[it.Key], "%s is written once", it.Key)
	}
}

// OI-18: of two first tokens at once, of two packages, that say it is another repository, one is of the publisher.
func TestScopePinsAtOnce(t *testing.T) {
	for range 20 {
		st := store.NewMemory()
		nodes, packages := [2]*registry{newRegistry(t, st), newRegistry(t, st)}, [2]trust.Package{inAcme, second}
		p := named(t, "github, only names")
		nodes[0].mustAdd(t, acme, p.publisher)
		ids := [2]string{"731", "999"}
		var errs [2]error
		var wg sync.WaitGroup
		for n := range ids {
			id := p.with("repository_id", ids[n]).token(t)
			id.ID = ids[n]
			wg.Go(func() { _, _, errs[n] = nodes[n].exchange(t.Context(), packages[n], id) })
		}
		wg.Wait()
		pinned := nodes[0].ofScope(t, acme)[0].GitHub.RepositoryID
		for n := range ids {
			if ids[n] == pinned {
				assert.NoError(t, errs[n])
			} else {
				assert.ErrorIs(t, errs[n], trust.ErrMismatch)
			}
		}
	}
}

// OI-40: removing the publisher of the scope ends the tokens of all packages. What happens to those of a package does not.
func TestScopeRemoveEndsTokens(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, acme, p.publisher)
	var secrets []credential.Secret
	for _, pkg := range []trust.Package{inAcme, second} {
		secret, _ := r.mustExchange(t, pkg, p.token(t))
		secrets = append(secrets, secret)
	}
	own := r.mustAdd(t, inAcme, named(t, "oidc").publisher)
	require.NoError(t, r.remove(t.Context(), inAcme, own.ID))
	assert.ErrorIs(t, r.remove(t.Context(), inAcme, rec.ID), trust.ErrNotFound, "it is not the package's")
	require.NoError(t, r.removeAll(t.Context(), inAcme))
	require.True(t, r.alive(t, secrets[0]))
	n := 0
	for _, err := range r.Unrevoked(t.Context()) {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 2, n)

	require.NoError(t, r.remove(t.Context(), acme, rec.ID))
	told := r.events[len(r.events)-1]
	assert.Equal(t, []any{audit.TrustRemoved, "acme", rec.ID}, []any{told.Type, told.Detail["scope"], told.Detail["publisher"]})
	for _, secret := range secrets {
		assert.False(t, r.alive(t, secret))
	}
	for tok, err := range r.Unrevoked(t.Context()) {
		assert.Fail(t, "it is dead", "%v %v", tok, err)
	}
	for _, it := range items(t, r.store) {
		assert.NotEqual(t, trust.ScopeKey("acme"), it.Key, "nothing is left of a scope without publishers")
	}
	r.mustAdd(t, acme, p.publisher)
	assert.False(t, r.alive(t, secrets[0]), "one that is added anew is another")
}

// A token of a scope's publisher depends on the row of the scope, and on that of all accounts.
func TestScopeState(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, acme, p.publisher)
	_, tok := r.mustExchange(t, inAcme, p.token(t))
	state := func(scope string) trust.State {
		rows, err := r.store.Get(t.Context(), trust.ScopeStateKeys(scope)...)
		require.NoError(t, err)
		s, err := trust.DecodeScopeState(scope, rows)
		require.NoError(t, err)
		return s
	}
	s := state("acme")
	require.Len(t, s.Evidence, 2)
	assert.True(t, s.Alive(tok))
	assert.False(t, state("other").Alive(tok))
	assert.False(t, r.state(t, inAcme.ID).Alive(tok), "which is not among its own")
	for name, change := range map[string]func(*trust.Token){
		"of the package alone":      func(t *trust.Token) { t.Scope = "" },
		"of another scope":          func(t *trust.Token) { t.Scope = "other" },
		"of a package of another":   func(t *trust.Token) { t.Package.Scope = "other" },
		"of another publisher":      func(t *trust.Token) { t.Publisher = "x" },
		"under another number":      func(t *trust.Token) { t.Everyone++ },
		"that creates its package":  func(t *trust.Token) { t.PackageID = "" },
		"the zero Token":            func(t *trust.Token) { *t = trust.Token{} },
		"the zero Token of a scope": func(t *trust.Token) { *t = trust.Token{Scope: "acme"} },
	} {
		changed := tok
		change(&changed)
		assert.False(t, s.Alive(changed), name)
	}

	publish := func() error {
		return store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
			tx.Expect(s.Evidence...)
			tx.Put("published", nil, noon)
			return nil
		})
	}
	require.NoError(t, publish())
	r.mustAdd(t, inAcme, named(t, "oidc").publisher)
	require.NoError(t, publish(), "what belongs to the package does not matter")
	require.NoError(t, r.remove(t.Context(), acme, rec.ID))
	require.ErrorAs(t, publish(), new(*store.ChangedError))
	s = state("acme")
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return subject.RevokeEveryone(t.Context(), tx, noon) }))
	require.ErrorAs(t, publish(), new(*store.ChangedError))

	keys := trust.ScopeStateKeys("acme")
	for name, bad := range map[string][]store.Item{
		"none": nil, "one": {{Key: keys[0]}}, "in another order": {{Key: keys[1]}, {Key: keys[0]}},
		"a package's":         {{Key: trust.PublishersKey("acme")}, {Key: keys[1]}},
		"not of all accounts": {{Key: keys[0]}, {Key: subject.Key("alice")}},
		"damaged":             {{Key: keys[0], Revision: 1, Value: []byte("x")}, {Key: keys[1]}},
	} {
		_, err := trust.DecodeScopeState("acme", bad)
		assert.Error(t, err, name)
	}
	_, err := trust.DecodeScopeState("", []store.Item{{Key: trust.ScopeKey("")}, {Key: keys[1]}})
	assert.Error(t, err)
}

// OI-38: whenever the publisher of the scope is removed while a token is exchanged for a package, none is alive afterwards.
func TestScopeExchangeWhileRemoved(t *testing.T) {
	p := named(t, "github, only names")
	for name, remove := range map[string]func(context.Context, *registry) error{
		"removed": func(ctx context.Context, r *registry) error { return r.remove(ctx, acme, r.ofScope(t, acme)[0].ID) },
		"all removed": func(ctx context.Context, r *registry) error {
			return store.Transact(ctx, r.store, func(tx *store.Tx) error {
				_, err := r.RemoveScopeTx(ctx, tx, alice, "acme", "transferred")
				return err
			})
		},
		"an organization anew": func(ctx context.Context, r *registry) error {
			_, err := r.add(ctx, trust.Scope{Name: "acme", Org: "o-2"}, named(t, "gitlab, only names").publisher)
			return err
		},
	} {
		exchanged := 0
		for _, on := range []storetest.Calls{storetest.Gets, storetest.Commits} {
			for _, after := range []bool{false, true} {
				below := store.NewMemory()
				other := newRegistry(t, below)
				other.mustAdd(t, acme, p.publisher)
				faulty := storetest.NewFaulty(below)
				r := newRegistry(t, faulty)
				var removed error
				faulty.Inject(storetest.Fault{On: on, After: after, Do: func() { removed = remove(t.Context(), other) }})
				secret, _, err := r.exchange(t.Context(), inAcme, p.token(t))
				require.True(t, faulty.Struck())
				require.NoError(t, removed)
				if err != nil {
					assert.ErrorIs(t, err, trust.ErrMismatch, name)
					continue
				}
				exchanged++
				assert.False(t, r.alive(t, secret), "%s %d %t: it was made before", name, on, after)
			}
		}
		assert.Equal(t, 1, exchanged, name)
		for _, on := range []storetest.Calls{storetest.Gets, storetest.Commits} {
			for _, after := range []bool{false, true} {
				below := store.NewMemory()
				r := newRegistry(t, below)
				r.mustAdd(t, acme, p.publisher)
				faulty := storetest.NewFaulty(below)
				var secret credential.Secret
				var err error
				other := newRegistry(t, faulty)
				faulty.Inject(storetest.Fault{On: on, After: after, Do: func() { secret, _, err = r.exchange(t.Context(), inAcme, p.token(t)) }})
				require.NoError(t, remove(t.Context(), other))
				require.True(t, faulty.Struck())
				if err != nil {
					assert.ErrorIs(t, err, trust.ErrMismatch)
					continue
				}
				assert.False(t, r.alive(t, secret), "%s %d %t", name, on, after)
			}
		}
	}
}

// Duplicates and the limit are those of each row.
func TestScopeDuplicatesAndLimit(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Publishers = 2 }), named(t, "github, only names")
	r.mustAdd(t, acme, p.publisher)
	r.mustAdd(t, inAcme, p.publisher)
	_, err := r.add(t.Context(), acme, p.publisher)
	assert.ErrorIs(t, err, trust.ErrDuplicate)
	r.mustAdd(t, acme, named(t, "oidc").publisher)
	_, err = r.add(t.Context(), acme, named(t, "gitlab, only names").publisher)
	assert.ErrorIs(t, err, trust.ErrTooMany)
	r.mustAdd(t, inAcme, named(t, "gitlab, only names").publisher)
}

// OI-40: an organization that is created anew has none of the publishers of the one before, and cannot remove them one by one:
// its first one takes their place.
func TestScopeOfAnotherOrganization(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, acme, p.publisher)
	anew := trust.Scope{Name: "acme", Org: "o-2"}
	assert.Empty(t, r.ofScope(t, anew))
	assert.ErrorIs(t, r.remove(t.Context(), anew, rec.ID), trust.ErrNotFound)
	assert.Len(t, r.ofScope(t, acme), 1)
	told := len(r.events)
	theirs := r.mustAdd(t, anew, p.publisher)
	require.Len(t, r.events, told+2)
	gone := r.events[told]
	assert.Equal(t, []any{audit.TrustRemoved, map[string]string{"scope": "acme", "publishers": "1"}, []string{"another-organization"}}, []any{gone.Type, gone.Detail, gone.Reasons})
	assert.Empty(t, r.ofScope(t, acme))
	assert.Equal(t, []trust.Record{theirs}, r.ofScope(t, anew))

	n := -1
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) (err error) {
		n, err = r.RemoveScopeTx(t.Context(), tx, audit.Actor{}, "acme", "transferred")
		return err
	}))
	assert.Equal(t, 1, n)
	last := r.events[len(r.events)-1]
	assert.Equal(t, map[string]string{"scope": "acme", "publishers": "1"}, last.Detail)
	assert.Equal(t, []string{"transferred"}, last.Reasons)
	assert.Empty(t, items(t, r.store))
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) (err error) {
		n, err = r.RemoveScopeTx(t.Context(), tx, audit.Actor{}, "acme", "")
		return err
	}))
	assert.Zero(t, n)
}

// A scope without a name or an organization is an error, and so is a row that cannot be decoded: nothing matches, nothing
// lives, and nobody writes over it. A token's record names no other scope than its package's.
func TestScopeRefuses(t *testing.T) {
	good, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := good.mustAdd(t, acme, p.publisher)
	secret, tok := good.mustExchange(t, inAcme, p.token(t))
	for _, s := range []trust.Scope{{}, {Name: "acme"}, {Org: "o-1"}, {Name: "@acme", Org: "o-1"}, {Name: "a/b", Org: "o-1"}} {
		_, err := good.add(t.Context(), s, p.publisher)
		assert.Error(t, err)
		assert.Error(t, good.remove(t.Context(), s, rec.ID))
		_, err = good.ScopePublishers(t.Context(), nil, s)
		assert.Error(t, err)
	}
	_, err := good.add(t.Context(), nil, p.publisher)
	assert.Error(t, err)
	assert.Error(t, good.remove(t.Context(), nil, rec.ID))
	for _, name := range []string{"", "@acme"} {
		assert.Error(t, store.Transact(t.Context(), good.store, func(tx *store.Tx) error {
			_, err := good.RemoveScopeTx(t.Context(), tx, alice, name, "")
			return err
		}))
	}
	value := ""
	for _, it := range items(t, good.store) {
		if it.Key == trust.ScopeKey("acme") {
			value = string(it.Value)
		}
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"no JSON":          "x",
		"another scope's":  strings.Replace(value, `"scope":"acme"`, `"scope":"other"`, 1),
		"no organization":  strings.Replace(value, `"organization":"o-1"`, `"organization":""`, 1),
		"an unknown field": strings.Replace(value, `"scope":`, `"frozen":true,"scope":`, 1),
		"no publishers":    `{"v":1,"d":{"scope":"acme","organization":"o-1"}}`,
		"no issuer":        strings.Replace(value, `,"issuer":"`+trust.GitHubURL+`"`, "", 1),
	} {
		require.NotEqual(t, value, bad, name)
		r := newRegistry(t, store.NewMemory())
		for _, it := range items(t, good.store) {
			overwrite(t, r.store, it.Key, string(it.Value))
		}
		overwrite(t, r.store, trust.ScopeKey("acme"), bad)
		before := items(t, r.store)
		_, err := r.ScopePublishers(t.Context(), nil, acme)
		assert.Error(t, err, name)
		_, err = r.Check(t.Context(), nil, inAcme, p.token(t))
		assert.Error(t, err, name)
		_, alive, err := r.verify(t.Context(), secret)
		assert.Error(t, err, name)
		assert.False(t, alive, name)
		_, _, err = r.exchange(t.Context(), second, p.token(t))
		assert.Error(t, err, name)
		assert.NotErrorIs(t, err, trust.ErrMismatch, name)
		_, err = r.add(t.Context(), acme, named(t, "oidc").publisher)
		assert.Error(t, err, name)
		assert.Error(t, r.remove(t.Context(), acme, rec.ID), name)
		assert.Error(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
			_, err := r.RemoveScopeTx(t.Context(), tx, alice, "acme", "")
			return err
		}), name)
		assert.Equal(t, before, items(t, r.store), name)
	}

	it, err := good.store.Get(t.Context(), trust.TokenKey(tok.Digest))
	require.NoError(t, err)
	for _, bad := range []string{
		strings.Replace(string(it[0].Value), `"scope":"acme"`, `"scope":"other"`, 1),
		strings.Replace(string(it[0].Value), `"package_id":"p1"`, `"owner":"alice"`, 1),
	} {
		require.NotEqual(t, string(it[0].Value), bad)
		changed := it[0]
		changed.Value = []byte(bad)
		_, err := trust.OpenToken(changed, tok.Digest)
		assert.Error(t, err)
		assert.NotErrorIs(t, err, store.ErrNotFound)
	}
}

// The revocation of one token tells whose publisher it was of.
func TestScopeRevokeToken(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	r.mustAdd(t, acme, p.publisher)
	secret, tok := r.mustExchange(t, inAcme, p.token(t))
	_, err := r.RevokeToken(t.Context(), alice, tok.ID, "")
	require.NoError(t, err)
	assert.Equal(t, "acme", r.events[len(r.events)-1].Detail["scope"])
	_, _, err = r.verify(t.Context(), secret)
	assert.ErrorIs(t, err, store.ErrNotFound)
}

// A caller's commit has room for more: a first exchange, which pins in both rows, takes six ops and those of its event.
func TestScopeExchangeOps(t *testing.T) {
	below := store.NewMemory()
	p := named(t, "github, only names")
	newRegistry(t, below).mustAdd(t, acme, p.publisher)
	newRegistry(t, below).mustAdd(t, inAcme, p.publisher)
	ops := 0
	r := newRegistry(t, storetest.NewFaulty(below, storetest.Fault{On: storetest.Commits, Nth: 9, If: func(c storetest.Call) bool {
		ops = len(c.Ops)
		return true
	}}))
	r.mustExchange(t, inAcme, p.token(t))
	assert.Equal(t, 6, ops)
}
