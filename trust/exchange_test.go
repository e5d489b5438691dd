package trust_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/trust"
)

func TestExchange(t *testing.T) {
	for _, p := range pairs() {
		r := newRegistry(t, store.NewMemory())
		r.now = noon.Add(1234567 * time.Nanosecond)
		rec := r.mustAdd(t, widget, p.publisher)
		id := p.token(t)
		secret, tok := r.mustExchange(t, widget, id)
		d, ok := credential.Parse(secret.Reveal())
		require.True(t, ok, p.name)
		assert.True(t, strings.HasPrefix(secret.Reveal(), "npm_"))
		created := noon.Add(1234 * time.Microsecond)
		assert.Equal(t, trust.Token{
			ID: d.Prefix().String(), Digest: d, Name: tok.Name, Package: widget.Name, PackageID: "p1", Publisher: rec.ID, Kind: p.publisher.Kind, Issuer: p.issuer.URL,
			Permissions: p.publisher.Permissions, Run: trust.RunOf(id), Created: created, Expires: created.Add(15 * time.Minute),
		}, tok, p.name)
		got, alive, err := r.verify(t.Context(), secret)
		require.NoError(t, err)
		assert.True(t, alive, p.name)
		assert.Equal(t, tok, got)

		// TK-07, LOG-01: no stored row has the secret, nor an event.
		for _, it := range items(t, r.store) {
			assert.NotContains(t, it.Key+string(it.Value), secret.Reveal()[4:])
		}
		assert.NotContains(t, fmt.Sprintf("%v %+v", r.events, tok), secret.Reveal()[4:])

		require.Len(t, r.events, 2)
		e := r.events[1]
		detail := trust.RunOf(id)
		for name, value := range map[string]string{
			"type": p.publisher.Kind.String(), "issuer": p.issuer.URL, "publisher": rec.ID, "package_id": "p1", "expires": tok.Expires.Format(time.RFC3339),
		} {
			detail[name] = value
		}
		assert.Equal(t, audit.Event{
			Time: e.Time, Type: audit.TrustExchanged, Outcome: audit.Done, Credential: tok.ID, Package: widget.Name, Grants: tok.Credential().Grants, Detail: detail,
		}, e, p.name)
	}
}

// O-04, OI-14: an ID token counts once for a package. It may be exchanged for another one too, since npm presents one ID
// token for each package of a workspace.
func TestExchangeOnce(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	r.mustAdd(t, widget, p.publisher)
	r.mustAdd(t, gadget, p.publisher)
	id := p.token(t)
	for _, pkg := range []trust.Package{widget, gadget} {
		used, err := r.Used(t.Context(), nil, pkg, id)
		require.NoError(t, err)
		assert.False(t, used)
		secret, _ := r.mustExchange(t, pkg, id)
		used, err = r.Used(t.Context(), nil, pkg, id)
		require.NoError(t, err)
		assert.True(t, used)

		before, told := items(t, r.store), len(r.events)
		again, tok, err := r.exchange(t.Context(), pkg, id)
		assert.ErrorIs(t, err, trust.ErrUsed)
		assert.True(t, again.IsZero())
		assert.Zero(t, tok)
		assert.Equal(t, before, items(t, r.store))
		assert.Len(t, r.events, told)
		assert.True(t, r.alive(t, secret), "the one that it was exchanged for stays")
	}
	id.ID = "another"
	r.mustExchange(t, widget, id)
}

// OI-15: an ID token is used until the verifier refuses it, also in the leeway, and longer if the row is still there.
func TestExchangeOnceInTheLeeway(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	rec := r.mustAdd(t, widget, p.publisher)
	id := p.token(t)
	r.mustExchange(t, widget, id)
	var hint time.Time
	for _, it := range items(t, r.store) {
		if strings.HasPrefix(it.Key, "trust-used/") {
			hint = it.Expires
		}
	}
	assert.Equal(t, id.Until, hint, "the store deletes it an hour later, and not before")

	for _, now := range []time.Time{id.Expires, id.Until.Add(-time.Nanosecond)} {
		r.now = now
		_, _, err := r.exchange(t.Context(), widget, id)
		assert.ErrorIs(t, err, trust.ErrUsed)
	}
	r.now = id.Until
	_, _, err := r.exchange(t.Context(), widget, id)
	assert.ErrorIs(t, err, trust.ErrInvalidToken)
	id.Until = id.Until.Add(time.Hour)
	_, _, err = r.exchange(t.Context(), widget, id)
	assert.ErrorIs(t, err, trust.ErrUsed, "the row counts, whatever its time")

	// Nor does another publisher make it a new one.
	require.NoError(t, r.remove(t.Context(), widget, rec.ID))
	r.mustAdd(t, widget, p.publisher)
	_, _, err = r.exchange(t.Context(), widget, id)
	assert.ErrorIs(t, err, trust.ErrUsed)
}

// OI-17: two issuers give their tokens one ID, and the parts of what is remembered cannot be shifted.
func TestExchangeOnceByIssuer(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	for _, name := range []string{"github, only names", "gitlab, only names", "oidc", "custom, only names"} {
		p := named(t, name)
		r.mustAdd(t, widget, p.publisher)
		id := p.token(t)
		require.Equal(t, "a1b2", id.ID)
		r.mustExchange(t, widget, id)
	}
	id := named(t, "oidc").token(t)
	for _, tt := range []struct {
		url, jti string
		pkg      trust.Package
		want     bool
	}{
		{id.Issuer.URL, id.ID, widget, true},
		{id.Issuer.URL, id.ID + "p", trust.Package{ID: "1", Name: widget.Name}, false},
		{id.Issuer.URL + "a", "1b2", widget, false},
		{id.Issuer.URL, id.ID, gadget, false},
		{id.Issuer.URL, "A1B2", widget, false},
	} {
		other := id
		other.Issuer.URL, other.ID = tt.url, tt.jti
		used, err := r.Used(t.Context(), r.store, tt.pkg, other)
		require.NoError(t, err)
		assert.Equal(t, tt.want, used, tt)
	}
}

// O-04, OI-14: of two nodes that are presented one ID token at once, one exchanges it.
func TestExchangeOnceAtOnce(t *testing.T) {
	for round := range 20 {
		st := store.NewMemory()
		nodes := [2]*registry{newRegistry(t, st), newRegistry(t, st)}
		p := named(t, "github, only names")
		rec := nodes[0].mustAdd(t, widget, p.publisher)
		id := p.token(t)
		if round%2 == 0 { // whose IDs are pinned already, so that nothing but the use is written by both
			first := id
			first.ID = "first"
			nodes[0].mustExchange(t, widget, first)
		}
		secrets, errs := [4]credential.Secret{}, [4]error{}
		var wg sync.WaitGroup
		for n := range secrets {
			wg.Go(func() { secrets[n], _, errs[n] = nodes[n%2].exchange(t.Context(), widget, id) })
		}
		wg.Wait()
		won := 0
		for n, secret := range secrets {
			if errs[n] != nil {
				assert.ErrorIs(t, errs[n], trust.ErrUsed)
				assert.True(t, secret.IsZero())
				continue
			}
			won++
			assert.True(t, nodes[0].alive(t, secret))
		}
		require.Equal(t, 1, won)
		assert.Equal(t, rec.ID, nodes[1].publishers(t, widget)[0].ID)
	}
}

// OI-16: an exchange that fails writes nothing, and does not use up the token.
func TestExchangeMismatch(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	id := p.token(t)
	_, _, err := r.exchange(t.Context(), widget, id)
	require.ErrorIs(t, err, trust.ErrMismatch, "without a publisher")
	mismatch, ok := errors.AsType[*trust.MismatchError](err)
	require.True(t, ok)
	assert.Empty(t, mismatch.Comparisons)
	assert.EqualError(t, err, "trust: no publisher matches the ID token: there are 0")

	wrong := named(t, "github, only names").publisher
	wrong.GitHub.Workflow = "ci.yml"
	first := r.mustAdd(t, widget, wrong)
	second := r.mustAdd(t, widget, named(t, "oidc").publisher)
	before, told := items(t, r.store), len(r.events)
	secret, tok, err := r.exchange(t.Context(), widget, id)
	mismatch, ok = errors.AsType[*trust.MismatchError](err)
	require.True(t, ok)
	assert.True(t, secret.IsZero())
	assert.Zero(t, tok)
	require.Len(t, mismatch.Comparisons, 2)
	assert.Equal(t, first, mismatch.Comparisons[0].Record)
	assert.Equal(t, "different", reason(mismatch.Comparisons[0].Differences, "workflow_ref"))
	assert.Equal(t, second, mismatch.Comparisons[1].Record)
	assert.Equal(t, "different", reason(mismatch.Comparisons[1].Differences, "iss"))
	assert.EqualError(t, err, "trust: no publisher matches the ID token: there are 2")
	assert.Equal(t, before, items(t, r.store))
	assert.Len(t, r.events, told)
	used, err := r.Used(t.Context(), nil, widget, id)
	require.NoError(t, err)
	assert.False(t, used)

	r.mustAdd(t, widget, p.publisher)
	_, tok = r.mustExchange(t, widget, id)
	assert.Equal(t, r.publishers(t, widget)[2].ID, tok.Publisher)
}

func TestExchangeRefusesTokens(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Issuers = []trust.Issuer{gitHubIssuer} }), named(t, "github, only names")
	r.mustAdd(t, widget, p.publisher)
	// An issuer that was configured once.
	before := newRegistry(t, r.store)
	before.mustAdd(t, widget, named(t, "oidc").publisher)
	stored := items(t, r.store)
	good := p.token(t)
	for name, change := range map[string]func(*trust.IDToken){
		"nothing":                  func(id *trust.IDToken) { *id = trust.IDToken{} },
		"no ID":                    func(id *trust.IDToken) { id.ID = "" },
		"expired now":              func(id *trust.IDToken) { id.Until = r.now },
		"no time":                  func(id *trust.IDToken) { id.Until = time.Time{} },
		"no issuer":                func(id *trust.IDToken) { id.Issuer = trust.Issuer{} },
		"an issuer of another URL": func(id *trust.IDToken) { id.Issuer.URL += "/" },
		"an issuer of another kind": func(id *trust.IDToken) {
			id.Issuer.Kind = trust.KindOIDC
		},
		"an issuer that is not configured any more": func(id *trust.IDToken) { *id = named(t, "oidc").token(t) },
	} {
		id := good
		change(&id)
		secret, _, err := r.exchange(t.Context(), widget, id)
		assert.ErrorIs(t, err, trust.ErrInvalidToken, name)
		assert.True(t, secret.IsZero(), name)
		_, err = r.Check(t.Context(), nil, widget, id)
		assert.ErrorIs(t, err, trust.ErrInvalidToken, name)
	}
	assert.Equal(t, stored, items(t, r.store))
	good.Until = r.now.Add(time.Nanosecond)
	r.mustExchange(t, widget, good)
}

// The claims of an issuer are those of the Manager's configuration, and not what a token says with it.
func TestExchangeReadsItsOwnIssuers(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "custom, only names").with("event_name", "pull_request")
	r.mustAdd(t, widget, p.publisher)
	id := p.token(t)
	id.Issuer.Claims = []trust.Claim{{Name: "repository"}, {Name: "workflow"}}
	_, _, err := r.exchange(t.Context(), widget, id)
	assert.ErrorIs(t, err, trust.ErrMismatch)
}

// Of several publishers that match, the one that permits most is taken, then one that may publish, then the oldest.
func TestExchangeChooses(t *testing.T) {
	const publish, stage, tags = trust.CreatePackage, trust.CreateStagedPackage, trust.SetDistTag
	for _, tt := range []struct {
		permissions []trust.Permissions
		want        int
	}{
		{[]trust.Permissions{stage, publish}, 1},
		{[]trust.Permissions{publish, stage}, 0},
		{[]trust.Permissions{stage, publish, publish | tags}, 2},
		{[]trust.Permissions{publish | stage | tags, publish | tags}, 0},
		{[]trust.Permissions{stage | tags, publish}, 1}, // two verbs each
		{[]trust.Permissions{publish, stage | tags}, 0},
		{[]trust.Permissions{stage, stage | tags}, 1},
		{[]trust.Permissions{tags, stage}, 0},
		{[]trust.Permissions{stage, stage, publish | stage, publish}, 2},
	} {
		r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
		for n, permissions := range tt.permissions {
			p.publisher.Permissions = permissions
			p.publisher.GitHub.AllowEvents = []string{"push", strings.Repeat("x", n+1)} // so that none is another's duplicate
			r.mustAdd(t, widget, p.publisher)
		}
		other := named(t, "oidc").publisher // which does not match
		other.Permissions = publish | stage | tags
		r.mustAdd(t, widget, other)
		_, tok := r.mustExchange(t, widget, p.token(t))
		assert.Equal(t, r.publishers(t, widget)[tt.want].ID, tok.Publisher, tt)
		assert.Equal(t, tt.permissions[tt.want], tok.Permissions)
	}
}

// OI-18, O-05: the first token says which repository it is, of all that will ever have the name. It says so to each
// publisher that it matches, not only to the one whose token is given.
func TestExchangePins(t *testing.T) {
	for _, tt := range []struct {
		pair, claim, other string
		id                 func(trust.Publisher) string
	}{
		{"github, only names", "repository_id", "999", func(p trust.Publisher) string { return p.GitHub.RepositoryID }},
		{"github, only names", "repository_owner_id", "999", func(p trust.Publisher) string { return p.GitHub.RepositoryOwnerID }},
		{"gitlab, only names", "project_id", "999", func(p trust.Publisher) string { return p.GitLab.ProjectID }},
		{"gitlab, only names", "namespace_id", "999", func(p trust.Publisher) string { return p.GitLab.NamespaceID }},
		{"custom, only names", "repository_id", "Zz", func(p trust.Publisher) string { return p.Claims["repository_id"] }},
	} {
		r, p := newRegistry(t, store.NewMemory()), named(t, tt.pair)
		wide := r.mustAdd(t, widget, p.publisher)
		narrow := named(t, tt.pair).publisher // for jobs of one environment, which match both
		narrow.Permissions = trust.SetDistTag
		switch {
		case narrow.GitHub != nil:
			narrow.GitHub.Environment = "Production"
		case narrow.GitLab != nil:
			narrow.GitLab.Environment = "Production"
		default:
			narrow.Claims["environment"] = "Production"
		}
		r.mustAdd(t, widget, narrow)
		apart := r.mustAdd(t, widget, named(t, "oidc").publisher)

		_, tok := r.mustExchange(t, widget, p.token(t))
		require.Equal(t, wide.ID, tok.Publisher)
		list := r.publishers(t, widget)
		for _, rec := range list[:2] {
			assert.Equal(t, p.claims[tt.claim], tt.id(rec.Publisher), "%s of %s", tt.claim, tt.pair)
		}
		assert.Equal(t, wide.Created, list[0].Created)
		assert.Equal(t, wide.CreatedBy, list[0].CreatedBy)
		assert.Equal(t, apart, list[2], "what does not match takes nothing")
		narrow.ID = ""

		again := p.with(tt.claim, tt.other).token(t)
		again.ID = "again"
		_, _, err := r.exchange(t.Context(), widget, again)
		mismatch, ok := errors.AsType[*trust.MismatchError](err)
		require.True(t, ok, "%s of %s: %v", tt.claim, tt.pair, err)
		for _, c := range mismatch.Comparisons[:2] {
			assert.Equal(t, "different", reason(c.Differences, tt.claim))
		}
		same := p.token(t)
		same.ID = "same"
		r.mustExchange(t, widget, same)
		assert.Equal(t, list, r.publishers(t, widget))
	}
}

// OI-18: of two first tokens at once that say it is another repository, one is of the publisher and the other is not.
func TestExchangePinsAtOnce(t *testing.T) {
	for range 20 {
		st := store.NewMemory()
		nodes := [2]*registry{newRegistry(t, st), newRegistry(t, st)}
		p := named(t, "github, only names")
		nodes[0].mustAdd(t, widget, p.publisher)
		ids := [2]string{"731", "999"}
		var errs [2]error
		var wg sync.WaitGroup
		for n := range ids {
			id := p.with("repository_id", ids[n]).token(t)
			id.ID = ids[n]
			wg.Go(func() { _, _, errs[n] = nodes[n].exchange(t.Context(), widget, id) })
		}
		wg.Wait()
		pinned := nodes[0].publishers(t, widget)[0].GitHub.RepositoryID
		for n := range ids {
			if ids[n] == pinned {
				assert.NoError(t, errs[n])
			} else {
				assert.ErrorIs(t, errs[n], trust.ErrMismatch)
			}
		}
	}
}

// OI-38: whenever the publisher is removed while a token is exchanged, none is alive afterwards. So it is when the
// credentials of all accounts are revoked.
func TestExchangeWhileRemoved(t *testing.T) {
	p := named(t, "github, only names")
	for name, remove := range map[string]func(context.Context, *registry) error{
		"removed": func(ctx context.Context, r *registry) error {
			return r.remove(ctx, widget, r.publishers(t, widget)[0].ID)
		},
		"all removed": func(ctx context.Context, r *registry) error { return r.removeAll(ctx, widget) },
		"everyone revoked": func(ctx context.Context, r *registry) error {
			return store.Transact(ctx, r.store, func(tx *store.Tx) error { return subject.RevokeEveryone(ctx, tx, noon) })
		},
	} {
		exchanged := 0
		for _, on := range []storetest.Calls{storetest.Gets, storetest.Commits} {
			for _, after := range []bool{false, true} {
				below := store.NewMemory()
				other := newRegistry(t, below)
				other.mustAdd(t, widget, p.publisher)
				faulty := storetest.NewFaulty(below)
				r := newRegistry(t, faulty)
				var removed error
				faulty.Inject(storetest.Fault{On: on, After: after, Do: func() { removed = remove(t.Context(), other) }})
				secret, _, err := r.exchange(t.Context(), widget, p.token(t))
				require.True(t, faulty.Struck())
				require.NoError(t, removed)
				switch {
				case err == nil && (name != "everyone revoked" || on == storetest.Commits && after):
					exchanged++
					assert.False(t, r.alive(t, secret), "%s %d %t: it was made before", name, on, after)
				case err == nil: // run once more, under the new number
					assert.True(t, r.alive(t, secret), "%s %d %t", name, on, after)
				default:
					assert.ErrorIs(t, err, trust.ErrMismatch, name)
				}
			}
		}
		assert.Equal(t, 1, exchanged, name)

		// The other way round: the token is exchanged at each moment of the removal.
		for _, on := range []storetest.Calls{storetest.Gets, storetest.Commits} {
			for _, after := range []bool{false, true} {
				below := store.NewMemory()
				r := newRegistry(t, below)
				r.mustAdd(t, widget, p.publisher)
				faulty := storetest.NewFaulty(below)
				var secret credential.Secret
				var err error
				other := newRegistry(t, faulty)
				faulty.Inject(storetest.Fault{On: on, After: after, Do: func() { secret, _, err = r.exchange(t.Context(), widget, p.token(t)) }})
				require.NoError(t, remove(t.Context(), other))
				require.True(t, faulty.Struck())
				if err != nil {
					assert.ErrorIs(t, err, trust.ErrMismatch)
					continue
				}
				if name == "everyone revoked" && on == storetest.Commits && after {
					assert.True(t, r.alive(t, secret), "it was made after")
					continue
				}
				assert.False(t, r.alive(t, secret), "%s %d %t", name, on, after)
			}
		}
	}
}

func (r *registry) removeAll(ctx context.Context, pkg trust.Package) error {
	return store.Transact(ctx, r.store, func(tx *store.Tx) error {
		_, err := r.RemoveAllTx(ctx, tx, alice, pkg, "")
		return err
	})
}

// A transaction that runs again makes another secret, and the last one is the token's.
func TestExchangeReruns(t *testing.T) {
	below := store.NewMemory()
	p := named(t, "github, only names")
	newRegistry(t, below).mustAdd(t, widget, p.publisher)
	r := newRegistry(t, storetest.ConflictNth(below, 1, 2))
	var drawn []credential.Secret
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
		secret, _, err := r.ExchangeTx(t.Context(), tx, audit.Actor{}, widget, p.token(t))
		drawn = append(drawn, secret)
		return err
	}))
	require.Len(t, drawn, 3)
	assert.True(t, r.alive(t, drawn[2]))
	for _, secret := range drawn[:2] {
		_, _, err := r.verify(t.Context(), secret)
		assert.ErrorIs(t, err, store.ErrNotFound)
	}
	assert.Len(t, r.events, 1)
}

// A caller's commit has room for more: a first exchange, which pins, takes five ops and those of its event.
func TestExchangeOps(t *testing.T) {
	below := store.NewMemory()
	p := named(t, "github, only names")
	newRegistry(t, below).mustAdd(t, widget, p.publisher)
	ops := 0
	r := newRegistry(t, storetest.NewFaulty(below, storetest.Fault{On: storetest.Commits, Nth: 9, If: func(c storetest.Call) bool {
		ops = len(c.Ops)
		return true
	}}))
	r.mustExchange(t, widget, p.token(t))
	assert.Equal(t, 5, ops)
}

// A row of a use that cannot be read refuses.
func TestExchangeDamagedUse(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	r.mustAdd(t, widget, p.publisher)
	r.mustExchange(t, widget, p.token(t))
	for _, it := range items(t, r.store) {
		if !strings.HasPrefix(it.Key, "trust-used/") {
			continue
		}
		assert.NotContains(t, it.Key+string(it.Value), "a1b2", "of the token there is a digest alone")
		for _, bad := range []string{"", "x", strings.Replace(string(it.Value), `"until"`, `"later":1,"until"`, 1), strings.Replace(string(it.Value), `"id":"`, `"id":"0`, 1)} {
			overwrite(t, r.store, it.Key, bad)
			_, _, err := r.exchange(t.Context(), widget, p.token(t))
			assert.ErrorIs(t, err, store.ErrSchema)
			_, err = r.Used(t.Context(), nil, widget, p.token(t))
			assert.ErrorIs(t, err, store.ErrSchema)
		}
		return
	}
	require.Fail(t, "there is no use")
}

// Check says what an exchange would, and writes nothing.
func TestCheck(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	list, err := r.Check(t.Context(), nil, widget, p.token(t))
	require.NoError(t, err)
	assert.Empty(t, list)
	first := r.mustAdd(t, widget, named(t, "oidc").publisher)
	second := r.mustAdd(t, widget, p.publisher)
	before, told := items(t, r.store), len(r.events)
	list, err = r.Check(t.Context(), nil, widget, p.token(t))
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, first, list[0].Record)
	assert.Equal(t, "different", reason(list[0].Differences, "iss"))
	assert.Equal(t, trust.Comparison{Record: second}, list[1])
	assert.Equal(t, before, items(t, r.store))
	assert.Len(t, r.events, told)

	// It reads from where it is told to.
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
		if err := r.RemoveTx(t.Context(), tx, alice, widget, second.ID); err != nil {
			return err
		}
		list, err := r.Check(t.Context(), tx, widget, p.token(t))
		assert.Len(t, list, 1)
		return err
	}))
}
