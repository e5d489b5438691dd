package trust_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

func TestAdd(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	r.now = noon.Add(1234567 * time.Nanosecond)
	p := named(t, "github, all").publisher
	p.ID, p.Issuer = "", "" // as npm sends it
	rec, err := r.add(t.Context(), widget, p)
	require.NoError(t, err)
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, rec.ID, "npm's client takes UUIDs")
	assert.Equal(t, trust.GitHubURL, rec.Issuer, "resolved")
	assert.Equal(t, noon.Add(1234*time.Microsecond), rec.Created)
	assert.EqualValues(t, "alice", rec.CreatedBy)
	rec.GitHub.AllowEvents[0] = "x"
	assert.Equal(t, []string{"release", "push"}, r.publishers(t, widget)[0].GitHub.AllowEvents)

	require.Len(t, r.events, 1)
	assert.Equal(t, audit.Event{
		Time: r.events[0].Time, Type: audit.TrustAdded, Outcome: audit.Done, User: "alice", By: "alice", Credential: "session-1", ByCredential: "session-1", Package: widget.Name,
		Detail: map[string]string{
			"publisher": rec.ID, "package_id": "p1", "type": "github", "issuer": trust.GitHubURL, "repository": "acme/widget", "workflow": "release.yml",
			"environment": "Production", "repository_id": "731", "repository_owner_id": "42", "allow_events": "release, push",
			"reusable_workflow": "acme/ci/.github/workflows/publish.yaml@refs/tags/v3", "ref_protected": "true", "permissions": "createPackage, createStagedPackage, setDistTag, deprecate",
		},
	}, r.events[0])
}

func TestAddRefuses(t *testing.T) {
	r := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Issuers = []trust.Issuer{gitHubIssuer, forgejoIssuer} })
	long := map[string]string{"workflow": "release.yml", "repository": strings.Repeat("<", 1024)}
	good := func(change func(*trust.Publisher)) trust.Publisher {
		p := named(t, "github, only names").publisher
		change(&p)
		return p
	}
	ref := "a/b/.github/workflows/c.yml@refs/heads/" + strings.Repeat("x", 9<<10)
	for name, p := range map[string]trust.Publisher{
		"nothing":             {},
		"an ID of their own":  good(func(p *trust.Publisher) { p.ID = "0c1d2e3f-2222-4a1b-8c2d-bbbbbbbbbbbb" }),
		"no permission":       good(func(p *trust.Publisher) { p.Permissions = 0 }),
		"an issuer not here":  good(func(p *trust.Publisher) { p.Issuer += "/acme" }),
		"a kind not here":     named(t, "gitlab, only names").publisher,
		"without a claim":     {Kind: trust.KindCustom, Permissions: trust.SetDistTag, Claims: map[string]string{"repository": "acme/widget"}},
		"too long":            good(func(p *trust.Publisher) { p.GitHub.ReusableWorkflow = ref }),
		"too long as a claim": {Kind: trust.KindCustom, Permissions: trust.SetDistTag, Claims: map[string]string{"repository": long["repository"], "workflow": long["repository"]}},
	} {
		_, err := r.add(t.Context(), widget, p)
		assert.ErrorAs(t, err, new(*trust.InvalidError), name)
	}
	assert.Empty(t, items(t, r.store))
	assert.Empty(t, r.events)
	_, err := r.add(t.Context(), widget, trust.Publisher{Kind: trust.KindCustom, Permissions: trust.SetDistTag, Claims: long})
	assert.NoError(t, err, "a long claim")
}

// A package has no two publishers that expect the same, in whatever words.
func TestAddDuplicate(t *testing.T) {
	type publisher = trust.Publisher
	all := trust.CreatePackage | trust.SetDistTag
	for _, tt := range []struct {
		name   string
		pair   string
		change func(*publisher)
		same   bool
	}{
		{"the same", "github, all", func(*publisher) {}, true},
		{"other permissions", "github, all", func(p *publisher) { p.Permissions = trust.SetDistTag }, true},
		{"without the issuer", "github, all", func(p *publisher) { p.Issuer = "" }, true},
		{"a repository in another case", "github, all", func(p *publisher) { p.GitHub.Repository = "Acme/WIDGET" }, true},
		{"an environment in another case", "github, all", func(p *publisher) { p.GitHub.Environment = "production" }, true},
		{"without IDs", "github, all", func(p *publisher) { p.GitHub.RepositoryID, p.GitHub.RepositoryOwnerID = "", "" }, true},
		{"without one ID", "github, all", func(p *publisher) { p.GitHub.RepositoryOwnerID = "" }, true},
		{"events in another order", "github, all", func(p *publisher) { p.GitHub.AllowEvents = []string{"push", "release"} }, true},
		{"a reusable workflow in another case", "github, all", func(p *publisher) {
			p.GitHub.ReusableWorkflow = "ACME/ci/.github/workflows/publish.yaml@refs/tags/v3"
		}, true},
		{"another ID", "github, all", func(p *publisher) { p.GitHub.RepositoryID = "732" }, false},
		{"another owner's ID", "github, all", func(p *publisher) { p.GitHub.RepositoryOwnerID = "43" }, false},
		{"another repository", "github, all", func(p *publisher) { p.GitHub.Repository = "acme/widget2" }, false},
		{"a workflow in another case", "github, all", func(p *publisher) { p.GitHub.Workflow = "Release.yml" }, false},
		{"no environment", "github, all", func(p *publisher) { p.GitHub.Environment = "" }, false},
		{"other events", "github, all", func(p *publisher) { p.GitHub.AllowEvents = []string{"push"} }, false},
		{"another reusable workflow", "github, all", func(p *publisher) { p.GitHub.ReusableWorkflow = "acme/ci/.github/workflows/Publish.yaml@refs/tags/v3" }, false},
		{"no reusable workflow", "github, all", func(p *publisher) { p.GitHub.ReusableWorkflow = "" }, false},
		{"any branch", "github, all", func(p *publisher) { p.GitHub.RefProtected = false }, false},
		{"the events that are the default", "github, only names", func(p *publisher) {
			p.GitHub.AllowEvents = []string{"schedule", "push", "release", "workflow_dispatch", "repository_dispatch"}
		}, true},
		{"IDs where there were none", "github, only names", func(p *publisher) { p.GitHub.RepositoryID = "1" }, true},

		{"the same", "gitlab, all", func(p *publisher) { p.Permissions = all }, true},
		{"a path in another case", "gitlab, all", func(p *publisher) { p.GitLab.ProjectPath = "Acme/Tools/widget" }, true},
		{"without IDs", "gitlab, all", func(p *publisher) { p.GitLab.ProjectID, p.GitLab.NamespaceID = "", "" }, true},
		{"events in another order", "gitlab, all", func(p *publisher) { p.GitLab.AllowEvents = []string{"pipeline", "web"} }, true},
		{"an environment in another case", "gitlab, all", func(p *publisher) { p.GitLab.Environment = "production" }, false},
		{"another file", "gitlab, all", func(p *publisher) { p.GitLab.ConfigFile = "ci.yml" }, false},
		{"another project's ID", "gitlab, all", func(p *publisher) { p.GitLab.ProjectID = "23" }, false},
		{"another namespace's ID", "gitlab, all", func(p *publisher) { p.GitLab.NamespaceID = "73" }, false},

		{"the same", "circleci, a context", func(p *publisher) { p.Permissions = all }, true},
		{"another origin", "circleci, a context", func(p *publisher) { p.CircleCI.VCSOrigin = "github.com/acme/Widget" }, false},
		{"another context", "circleci, a context", func(p *publisher) { p.CircleCI.ContextIDs = []string{context2} }, false},
		{"any context", "circleci, a context", func(p *publisher) { p.CircleCI.ContextIDs = nil }, false},

		{"the same", "oidc", func(p *publisher) { p.Permissions = all }, true},
		{"another subject", "oidc", func(p *publisher) { p.Claims["sub"] = "organization:acme:pipeline:widget" }, false},

		{"the same", "custom, all", func(p *publisher) { p.Permissions = all }, true},
		{"a folded claim in another case", "custom, all", func(p *publisher) { p.Claims["repository"] = "ACME/widget" }, true},
		{"a claim in another case", "custom, all", func(p *publisher) { p.Claims["workflow"] = "Release.yml" }, false},
		{"without what is optional", "custom, all", func(p *publisher) { delete(p.Claims, "environment") }, false},
		{"without what it may pin", "custom, all", func(p *publisher) { delete(p.Claims, "repository_id") }, true},
		{"another of what it may pin", "custom, all", func(p *publisher) { p.Claims["repository_id"] = "ab12" }, false},
	} {
		t.Run(tt.pair+"/"+tt.name, func(t *testing.T) {
			r := newRegistry(t, store.NewMemory())
			p := named(t, tt.pair)
			r.mustAdd(t, widget, p.publisher)
			other := named(t, tt.pair).publisher
			other.ID = ""
			tt.change(&other)
			r.mustAdd(t, gadget, other) // of another package it is another

			_, err := r.add(t.Context(), widget, other)
			if !tt.same {
				require.NoError(t, err)
				assert.Len(t, r.publishers(t, widget), 2)
				return
			}
			require.ErrorIs(t, err, trust.ErrDuplicate)
			assert.Len(t, r.publishers(t, widget), 1)
		})
	}
}

// A publisher that has pinned IDs is the same as one without, and another than one with others.
func TestAddBesideAPin(t *testing.T) {
	for _, name := range []string{"github, only names", "gitlab, only names", "custom, only names"} {
		r, p := newRegistry(t, store.NewMemory()), named(t, name)
		r.mustAdd(t, widget, p.publisher)
		r.mustExchange(t, widget, p.token(t))
		_, err := r.add(t.Context(), widget, named(t, name).publisher)
		assert.ErrorIs(t, err, trust.ErrDuplicate, name)
		other := named(t, name).publisher
		switch {
		case other.GitHub != nil:
			other.GitHub.RepositoryID = "999"
		case other.GitLab != nil:
			other.GitLab.ProjectID = "999"
		default:
			other.Claims["repository_id"] = "999"
		}
		_, err = r.add(t.Context(), widget, other)
		assert.NoError(t, err, name)
	}
}

// What may be pinned and is folded is the same in another case.
func TestAddBesideAFoldedPin(t *testing.T) {
	issuer := trust.Issuer{Kind: trust.KindCustom, URL: "https://ci.acme.test", Claims: []trust.Claim{{Name: "job"}, {Name: "id", Pin: true, Fold: true}}}
	r := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Issuers = []trust.Issuer{issuer} })
	for _, tt := range []struct {
		id  string
		err error
	}{{"Ab", nil}, {"aB", trust.ErrDuplicate}, {"Abc", nil}} {
		_, err := r.add(t.Context(), widget, trust.Publisher{Kind: trust.KindCustom, Permissions: trust.SetDistTag, Claims: map[string]string{"job": "release", "id": tt.id}})
		assert.ErrorIs(t, err, tt.err)
	}
}

// The order of contexts, of which there may be many, says nothing.
func TestAddDuplicateContexts(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "circleci, a context").publisher
	p.CircleCI.ContextIDs = []string{context1, context2}
	r.mustAdd(t, widget, p)
	p.ID, p.CircleCI.ContextIDs = "", []string{context2, context1}
	_, err := r.add(t.Context(), widget, p)
	assert.ErrorIs(t, err, trust.ErrDuplicate)
}

func TestAddTooMany(t *testing.T) {
	for limit, change := range map[int]func(*trust.ManagerConfig){
		10: func(*trust.ManagerConfig) {},
		1:  func(cfg *trust.ManagerConfig) { cfg.Publishers = 1 },
		50: func(cfg *trust.ManagerConfig) { cfg.Publishers = 50 },
	} {
		r := newRegistry(t, store.NewMemory(), change)
		p := named(t, "github, only names").publisher
		for n := range limit {
			p.GitHub.Workflow = strings.Repeat("x", n+1) + ".yml"
			r.mustAdd(t, widget, p)
		}
		_, err := r.add(t.Context(), widget, p)
		assert.ErrorIs(t, err, trust.ErrDuplicate, "which says more than that it is one too many")
		p.GitHub.Workflow = "more.yml"
		_, err = r.add(t.Context(), widget, p)
		assert.ErrorIs(t, err, trust.ErrTooMany, limit)
		require.Len(t, r.publishers(t, widget), limit)
		require.NoError(t, r.remove(t.Context(), widget, r.publishers(t, widget)[0].ID))
		r.mustAdd(t, widget, p)
		require.Len(t, r.publishers(t, widget), limit)
	}
}

// All publishers of a package are one value of the store, which stays far below what that takes. What tokens pin finds
// room in it, and a publisher can always be removed.
func TestAddTooLong(t *testing.T) {
	r := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.Publishers = 50 })
	p := named(t, "custom, only names")
	var err error
	n := 0
	for ; n < 50 && err == nil; n++ {
		p.publisher.Claims = map[string]string{"repository": strings.Repeat("&", 500+n), "workflow": "release.yml"}
		_, err = r.add(t.Context(), widget, p.publisher)
	}
	require.ErrorIs(t, err, trust.ErrTooMany)
	added := r.publishers(t, widget)
	require.Len(t, added, n-1)
	size := func() (size int) {
		for _, it := range items(t, r.store) {
			if it.Key == trust.PublishersKey(widget.ID) {
				size = len(it.Value)
			}
		}
		return size
	}
	assert.Less(t, size(), 32<<10+100)
	assert.Greater(t, size(), 28<<10)

	for n, rec := range added {
		for name, value := range rec.Claims {
			p = p.with(name, value)
		}
		p = p.with("repository_id", strings.Repeat("<", 600))
		id := p.token(t)
		id.ID = strings.Repeat("x", n+1)
		if _, _, err = r.exchange(t.Context(), widget, id); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, trust.ErrTooMany)
	before := size()
	assert.Greater(t, before, 48<<10)
	assert.Less(t, before, 56<<10+100)
	_, err = r.add(t.Context(), widget, named(t, "oidc").publisher)
	assert.Error(t, err)
	require.NoError(t, r.remove(t.Context(), widget, added[0].ID))
	assert.Less(t, size(), before)
	assert.Len(t, r.publishers(t, widget), len(added)-1)
}

func TestRemove(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	first := r.mustAdd(t, widget, named(t, "github, all").publisher)
	second := r.mustAdd(t, widget, named(t, "oidc").publisher)
	other := r.mustAdd(t, gadget, named(t, "oidc").publisher)
	for _, id := range []string{"", "x", other.ID, strings.ToUpper(first.ID)} {
		assert.ErrorIs(t, r.remove(t.Context(), widget, id), trust.ErrNotFound)
	}
	assert.ErrorIs(t, r.remove(t.Context(), trust.Package{ID: "p3", Name: widget.Name}, first.ID), trust.ErrNotFound)
	require.Len(t, r.events, 3)

	require.NoError(t, r.remove(t.Context(), widget, first.ID))
	assert.Equal(t, []trust.Record{second}, r.publishers(t, widget))
	require.Len(t, r.events, 4)
	e := r.events[3]
	assert.Equal(t, audit.TrustRemoved, e.Type)
	assert.Equal(t, audit.Done, e.Outcome)
	assert.Equal(t, widget.Name, e.Package)
	assert.EqualValues(t, "alice", e.By)
	assert.EqualValues(t, "alice", e.User)
	assert.Equal(t, first.ID, e.Detail["publisher"])
	assert.Equal(t, "p1", e.Detail["package_id"])
	assert.Equal(t, "acme/widget", e.Detail["repository"])
	assert.ErrorIs(t, r.remove(t.Context(), widget, first.ID), trust.ErrNotFound, "it is removed once")

	require.NoError(t, r.remove(t.Context(), widget, second.ID))
	assert.Empty(t, r.publishers(t, widget))
	for _, it := range items(t, r.store) {
		assert.Equal(t, trust.PublishersKey(gadget.ID), it.Key, "nothing is left of the package without publishers")
	}
	assert.Equal(t, []trust.Record{other}, r.publishers(t, gadget))
}

func TestRemoveAll(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	p := named(t, "github, only names")
	r.mustAdd(t, widget, p.publisher)
	r.mustAdd(t, widget, named(t, "oidc").publisher)
	r.mustAdd(t, gadget, p.publisher)
	secret, _ := r.mustExchange(t, widget, p.token(t))
	kept, _ := r.mustExchange(t, gadget, p.token(t))
	removeAll := func(pkg trust.Package, reason string) (n int) {
		require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) (err error) {
			n, err = r.RemoveAllTx(t.Context(), tx, alice, pkg, reason)
			return err
		}))
		return n
	}
	told := len(r.events)
	assert.Equal(t, 2, removeAll(widget, "unpublished"))
	assert.Empty(t, r.publishers(t, widget))
	assert.False(t, r.alive(t, secret))
	assert.True(t, r.alive(t, kept))
	require.Len(t, r.events, told+1)
	e := r.events[told]
	assert.Equal(t, audit.TrustRemoved, e.Type)
	assert.Equal(t, []string{"unpublished"}, e.Reasons)
	assert.Equal(t, map[string]string{"publishers": "2", "package_id": "p1"}, e.Detail)
	assert.Equal(t, widget.Name, e.Package)

	assert.Zero(t, removeAll(widget, "unpublished"), "there is nothing to remove")
	require.Len(t, r.events, told+1)
	assert.Equal(t, 1, removeAll(gadget, ""))
	assert.Empty(t, r.events[told+1].Reasons)
}

// A package's publishers go by its ID: one that is created anew under the name has none.
func TestPublishersOfANamesake(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, only names")
	r.mustAdd(t, widget, p.publisher)
	again := trust.Package{ID: "p9", Name: widget.Name}
	assert.Empty(t, r.publishers(t, again))
	_, _, err := r.exchange(t.Context(), again, p.token(t))
	assert.ErrorIs(t, err, trust.ErrMismatch)
}

// Of two that are added at once none is lost, and the limit holds.
func TestAddAtOnce(t *testing.T) {
	st := store.NewMemory()
	nodes := []*registry{newRegistry(t, st), newRegistry(t, st)}
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for n := range 16 {
		wg.Go(func() {
			p := trust.Publisher{Kind: trust.KindOIDC, Issuer: oidcIssuer.URL, Permissions: trust.CreatePackage, Claims: map[string]string{"sub": strings.Repeat("x", n/2+1)}}
			_, err := nodes[n%2].add(t.Context(), widget, p)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	added := 0
	for err := range errs {
		if err == nil {
			added++
			continue
		}
		assert.ErrorIs(t, err, trust.ErrDuplicate)
	}
	assert.Equal(t, 8, added)
	assert.Len(t, nodes[0].publishers(t, widget), 8)
}
