package trust_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/trust"
)

func TestTokenKey(t *testing.T) {
	d := credential.Sum(credential.NewSecret("x"))
	assert.Equal(t, "trust-token/"+d.Prefix().String(), trust.TokenKey(d))
	p, ok := trust.PrefixFromKey(trust.TokenKey(d))
	assert.True(t, ok)
	assert.Equal(t, d.Prefix(), p)
	for _, key := range []string{"", "trust-token/", "trust-token", "trust-token/x", "token/" + d.Prefix().String(), "trust-token/" + d.String(), trust.PublishersKey("p1"),
		strings.ToUpper(trust.TokenKey(d))} {
		_, ok := trust.PrefixFromKey(key)
		assert.False(t, ok, key)
	}
}

// O-11: what an ID token is exchanged for can do with its package what the publisher permits, and nothing else.
func TestTokenCredential(t *testing.T) {
	for permissions, verbs := range map[trust.Permissions]protocol.Verbs{
		trust.CreatePackage:                           protocol.VerbPublish | protocol.VerbStage,
		trust.CreateStagedPackage:                     protocol.VerbStage,
		trust.SetDistTag:                              protocol.VerbDistTag,
		trust.Deprecate:                               protocol.VerbDeprecate,
		trust.CreateStagedPackage | trust.SetDistTag:  protocol.VerbStage | protocol.VerbDistTag,
		trust.CreatePackage | trust.SetDistTag | 1<<1: protocol.VerbPublish | protocol.VerbStage | protocol.VerbDistTag,
	} {
		tok := trust.Token{ID: "id", Name: "github acme/widget release.yml", Package: widget.Name, PackageID: "p1", Permissions: permissions, Created: noon, Expires: noon.Add(time.Hour)}
		c := tok.Credential()
		grant := protocol.Grant{Target: protocol.OnePackage, Package: widget.Name, Permission: protocol.ReadWrite, Verbs: verbs}
		require.NoError(t, grant.Validate())
		assert.Equal(t, &policy.Credential{
			ID: "id", Name: "github acme/widget release.yml", Kind: policy.KindPublisher, Package: "p1", Grants: []protocol.Grant{grant}, Created: noon, Expires: noon.Add(time.Hour),
		}, c)
	}
	for _, none := range []trust.Permissions{0, 1 << 4, 0xff} {
		c := trust.Token{Package: widget.Name, PackageID: "p1", Permissions: none}.Credential()
		assert.Equal(t, policy.KindPublisher, c.Kind)
		assert.Empty(t, c.Grants, "verbs that say nothing would narrow nothing")
	}
}

// opened returns a registry with a token, and its row.
func opened(t *testing.T) (*registry, trust.Token, store.Item) {
	t.Helper()
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, all")
	r.mustAdd(t, widget, p.publisher)
	_, tok := r.mustExchange(t, widget, p.token(t))
	rows, err := r.store.Get(t.Context(), trust.TokenKey(tok.Digest))
	require.NoError(t, err)
	return r, tok, rows[0]
}

func TestOpenToken(t *testing.T) {
	_, tok, it := opened(t)
	got, err := trust.OpenToken(it, tok.Digest)
	require.NoError(t, err)
	assert.Equal(t, tok, got, "all of it comes back")
	assert.Equal(t, tok.Expires, it.Expires, "the store deletes it")

	for i := range 32 {
		d := tok.Digest
		d[i] ^= 1
		got, err := trust.OpenToken(it, d)
		assert.ErrorIs(t, err, store.ErrNotFound, "the key shows half of the digest and proves nothing")
		assert.Zero(t, got)
	}
	_, err = trust.OpenToken(it, credential.Digest{})
	assert.ErrorIs(t, err, store.ErrNotFound)
	zero := store.Item{Key: trust.TokenKey(credential.Digest{}), Revision: 1, Value: []byte(strings.Replace(string(it.Value), tok.Digest.String(), credential.Digest{}.String(), 1))}
	_, err = trust.OpenToken(zero, credential.Digest{})
	assert.ErrorIs(t, err, store.ErrNotFound, "nothing opens nothing")
	_, err = trust.OpenToken(store.Item{Key: it.Key}, tok.Digest)
	assert.ErrorIs(t, err, store.ErrNotFound)
}

// ST-09: a record that cannot be decoded completely is no token.
func TestOpenTokenRefuses(t *testing.T) {
	_, tok, it := opened(t)
	value := string(it.Value)
	for name, bad := range map[string]string{
		"an unknown field":      strings.Replace(value, `"package":`, `"cidrs":"10.0.0.0/8","package":`, 1),
		"a later schema":        strings.Replace(value, `{"v":1,`, `{"v":2,`, 1),
		"no JSON":               "x",
		"no package":            strings.Replace(value, `"package":"@acme/widget"`, `"package":""`, 1),
		"a package that is not": strings.Replace(value, `"package":"@acme/widget"`, `"package":"@acme"`, 1),
		"no package ID":         strings.Replace(value, `"package_id":"p1"`, `"package_id":""`, 1),
		"no publisher":          strings.Replace(value, `"publisher":"`+tok.Publisher+`"`, `"publisher":""`, 1),
		"no issuer":             strings.Replace(value, `"issuer":"`+trust.GitHubURL+`"`, `"issuer":""`, 1),
		"no kind":               strings.Replace(value, `"type":"github"`, `"type":"unknown"`, 1),
		"an unknown kind":       strings.Replace(value, `"type":"github"`, `"type":"gitea"`, 1),
		"a kind left out":       strings.Replace(value, `"type":"github",`, ``, 1),
		"no permission":         strings.Replace(value, `["createPackage","createStagedPackage","setDistTag","deprecate"]`, `[]`, 1),
		"null for permissions":  strings.Replace(value, `["createPackage","createStagedPackage","setDistTag","deprecate"]`, `null`, 1),
		"an unknown permission": strings.Replace(value, `["createPackage",`, `["createPackage","unpublish",`, 1),
		"no beginning":          strings.Replace(value, `"created":`, `"created":-`, 1),
		"no end":                strings.Replace(value, `"expires":`, `"expires":-`, 1),
	} {
		require.NotEqual(t, value, bad, name)
		it.Value = []byte(bad)
		got, err := trust.OpenToken(it, tok.Digest)
		assert.Error(t, err, name)
		assert.Zero(t, got, name)
	}
}

// OI-39: a token lives for the time that was configured, which is an hour at most, and not at its last instant.
func TestTokenExpires(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{0: 15 * time.Minute, time.Second: time.Second, time.Hour: time.Hour} {
		r, p := newRegistry(t, store.NewMemory(), func(cfg *trust.ManagerConfig) { cfg.TokenTTL = ttl }), named(t, "github, only names")
		r.mustAdd(t, widget, p.publisher)
		secret, tok := r.mustExchange(t, widget, p.token(t))
		assert.Equal(t, r.now, tok.Created)
		assert.Equal(t, r.now.Add(want), tok.Expires)
		r.now = tok.Expires.Add(-time.Nanosecond)
		assert.True(t, r.alive(t, secret))
		r.now = tok.Expires
		assert.False(t, r.alive(t, secret))
	}
}

func TestRevokeToken(t *testing.T) {
	r, tok, _ := opened(t)
	revoke := func(id, reason string) (got trust.Token, err error) {
		err = store.Transact(t.Context(), r.store, func(tx *store.Tx) (err error) {
			got, err = r.RevokeTokenTx(t.Context(), tx, alice, id, reason)
			return err
		})
		return got, err
	}
	told := len(r.events)
	for _, id := range []string{"", "x", tok.ID[:25], strings.ToUpper(tok.ID), tok.Digest.String(), tok.Publisher, strings.Repeat("x", 600)} {
		_, err := revoke(id, "leaked")
		assert.ErrorIs(t, err, trust.ErrNotFound, id)
	}
	r.now = tok.Expires
	_, err := revoke(tok.ID, "leaked")
	assert.ErrorIs(t, err, trust.ErrNotFound, "it has expired")
	require.Len(t, r.events, told)

	r.now = tok.Expires.Add(-time.Nanosecond)
	got, err := revoke(tok.ID, "leaked")
	require.NoError(t, err)
	assert.Equal(t, tok, got)
	rows, err := r.store.Get(t.Context(), trust.TokenKey(tok.Digest))
	require.NoError(t, err)
	assert.False(t, rows[0].Exists())
	_, err = trust.OpenToken(rows[0], tok.Digest)
	assert.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, r.events, told+1)
	assert.Equal(t, audit.Event{
		Time: r.events[told].Time, Type: audit.TrustRevoked, Outcome: audit.Done, By: "alice", Credential: tok.ID, ByCredential: "session-1", Package: widget.Name,
		Reasons: []string{"leaked"}, Detail: map[string]string{"publisher": tok.Publisher, "package_id": "p1"},
	}, r.events[told])
	_, err = revoke(tok.ID, "")
	assert.ErrorIs(t, err, trust.ErrNotFound)
	assert.Len(t, r.publishers(t, widget), 1, "the publisher stays")

	r, tok, it := opened(t)
	overwrite(t, r.store, it.Key, strings.Replace(string(it.Value), `"package":`, `"later":1,"package":`, 1))
	_, err = revoke(tok.ID, "")
	assert.Error(t, err)
	assert.NotErrorIs(t, err, trust.ErrNotFound)
}

// The name of a token says which publisher it is of, in a bounded line.
func TestTokenName(t *testing.T) {
	long := named(t, "github, only names")
	long.name = "long"
	long.publisher.GitHub.Workflow = strings.Repeat("x", 250) + ".yml"
	ref := "acme/widget/.github/workflows/" + long.publisher.GitHub.Workflow + "@refs/heads/main"
	long = long.with("workflow_ref", ref).with("job_workflow_ref", ref)
	want := map[string]string{
		"github, only names": "github acme/widget release.yml", "github, all": "github acme/widget release.yml",
		"gitlab, only names": "gitlab acme/tools/widget .gitlab-ci.yml", "gitlab, all": "gitlab acme/tools/widget .gitlab-ci.yml",
		"circleci, any context": "circleci github.com/acme/widget", "circleci, a context": "circleci github.com/acme/widget",
		"oidc":               "oidc organization:acme:pipeline:Widget",
		"custom, only names": "custom acme/widget release.yml", "custom, all": "custom acme/widget release.yml Production",
		"long": ("github acme/widget " + long.publisher.GitHub.Workflow)[:253] + "…",
	}
	for _, p := range append(pairs(), long) {
		r := newRegistry(t, store.NewMemory())
		r.mustAdd(t, widget, p.publisher)
		_, tok := r.mustExchange(t, widget, p.token(t))
		assert.Equal(t, want[p.name], tok.Name, p.name)
		assert.Equal(t, tok.Name, tok.Credential().Name)
		delete(want, p.name)
	}
	assert.Empty(t, want)
}

// What can be used of all packages is listed, page by page, and nothing that has ended.
func TestUnrevoked(t *testing.T) {
	r, tok, it := opened(t)
	other := trust.Package{ID: "p2", Name: protocol.PackageName{Name: "other"}}
	p := named(t, "gitlab, all")
	added := r.mustAdd(t, other, p.publisher)
	_, second := r.mustExchange(t, other, p.token(t))
	listed := func() (ids []string, err error) {
		for got, e := range r.Unrevoked(t.Context()) {
			require.NoError(t, err, "an error is the last element")
			if err = e; e == nil {
				ids = append(ids, got.ID)
			}
		}
		return ids, err
	}
	is := func(want ...string) {
		t.Helper()
		ids, err := listed()
		require.NoError(t, err)
		assert.ElementsMatch(t, want, ids)
	}
	is(tok.ID, second.ID)
	for range r.Unrevoked(t.Context()) {
		break // the caller may have enough
	}
	require.NoError(t, r.remove(t.Context(), other, added.ID))
	is(tok.ID)

	// More than a page.
	want := []string{tok.ID}
	put := func(name, from, to string) string {
		d := credential.Sum(credential.NewSecret(name))
		value := strings.Replace(string(it.Value), tok.Digest.String(), d.String(), 1)
		if from != "" {
			require.Contains(t, value, from)
			value = strings.Replace(value, from, to, 1)
		}
		_, err := r.store.Commit(t.Context(), store.Op{Key: trust.TokenKey(d), At: store.Any, Action: store.Put, Value: []byte(value)})
		require.NoError(t, err)
		return d.Prefix().String()
	}
	for i := range store.MaxLimit + 10 {
		want = append(want, put(fmt.Sprint("token ", i), "", ""))
	}
	is(want...)
	now := r.now
	r.now = tok.Expires.Add(-time.Microsecond)
	is(want...)
	r.now = tok.Expires
	is()
	r.now = now

	put("a broken one", `"type":"github"`, `"type":"gitea"`)
	_, err := listed()
	assert.Error(t, err, "which may be a restriction")
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return subject.RevokeEveryone(t.Context(), tx, noon) }))
	_, err = listed()
	assert.Error(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range r.Unrevoked(ended) {
		assert.ErrorIs(t, err, context.Canceled)
	}
}

// Nothing is left of what was revoked for everybody.
func TestUnrevokedOfEverybody(t *testing.T) {
	r, _, _ := opened(t)
	require.NoError(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error { return subject.RevokeEveryone(t.Context(), tx, noon) }))
	for tok, err := range r.Unrevoked(t.Context()) {
		assert.Fail(t, "it is dead", "%v %v", tok, err)
	}
}
