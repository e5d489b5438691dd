package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

func TestPublishersKey(t *testing.T) {
	for _, id := range []protocol.PackageID{"p1", "a/b", "-", "Ä"} {
		got, ok := trust.PackageOf(trust.PublishersKey(id))
		assert.True(t, ok)
		assert.Equal(t, id, got)
		assert.NoError(t, store.ValidateKeys(trust.PublishersKey(id)))
	}
	assert.Empty(t, trust.PublishersKey(""))
	d := credential.Digest{1}
	for _, key := range []string{"", "trust/", "trust", trust.TokenKey(d), "access/p1", "trust-used/x"} {
		_, ok := trust.PackageOf(key)
		assert.False(t, ok, key)
	}
}

// A publisher of each kind comes back as it was added, also one that has all that it may have.
func TestRecordsComeBack(t *testing.T) {
	r := newRegistry(t, store.NewMemory())
	var want []trust.Record
	for _, p := range pairs() {
		if p.name == "circleci, a context" || p.name == "custom, all" || p.name == "github, all" {
			want = append(want, r.mustAdd(t, widget, p.publisher))
		}
	}
	require.Len(t, want, 3)
	assert.Equal(t, want, r.publishers(t, widget), "oldest first")
	assert.Empty(t, r.publishers(t, gadget))
	for i, p := range pairs() {
		other := trust.Package{ID: protocol.PackageID(strings.Repeat("x", i+1)), Name: gadget.Name}
		rec := r.mustAdd(t, other, p.publisher)
		assert.Equal(t, []trust.Record{rec}, r.publishers(t, other), p.name)
		rec.ID = p.publisher.ID
		assert.Equal(t, p.publisher, rec.Publisher, p.name)
	}
}

// A row that was damaged, or that a later version wrote, is an error and not a package without publishers: nothing
// matches, nothing lives, and nobody writes over it.
func TestDamagedPublishers(t *testing.T) {
	good := newRegistry(t, store.NewMemory())
	p := named(t, "github, only names")
	good.mustAdd(t, widget, p.publisher)
	secret, tok := good.mustExchange(t, widget, p.token(t))
	require.True(t, good.alive(t, secret))
	value := ""
	for _, it := range items(t, good.store) {
		if it.Key == trust.PublishersKey(widget.ID) {
			value = string(it.Value)
		}
	}
	require.Contains(t, value, `"publisher":{"id":"`)

	for name, bad := range map[string]string{
		"empty":                        "",
		"no JSON":                      "x",
		"cut":                          value[:len(value)-3],
		"a later schema":               strings.Replace(value, `{"v":1,`, `{"v":2,`, 1),
		"another package's":            strings.Replace(value, `"package":"p1"`, `"package":"p2"`, 1),
		"an unknown field of the row":  strings.Replace(value, `"package":`, `"frozen":true,"package":`, 1),
		"an unknown field of a record": strings.Replace(value, `"publisher":`, `"paused":true,"publisher":`, 1),
		"an unknown field":             strings.Replace(value, `"type":`, `"tag":"x","type":`, 1),
		"an unknown claim":             strings.Replace(value, `"claims":{`, `"claims":{"branch":"main",`, 1),
		"an unknown type":              strings.Replace(value, `"type":"github"`, `"type":"gitea"`, 1),
		"an unknown permission":        strings.Replace(value, `["createPackage"]`, `["createPackage","unpublish"]`, 1),
		"no permission":                strings.Replace(value, `["createPackage"]`, `[]`, 1),
		"no ID":                        strings.Replace(value, `"id":"`+tok.Publisher+`",`, "", 1),
		"no issuer":                    strings.Replace(value, `,"issuer":"`+trust.GitHubURL+`"`, "", 1),
		"no time":                      strings.Replace(value, `"created":`, `"created":-`, 1),
		"no publishers":                `{"v":1,"d":{"package":"p1"}}`,
		"an empty list":                `{"v":1,"d":{"package":"p1","publishers":[]}}`,
		"two of one ID": strings.Replace(value, `"publishers":[`, `"publishers":[`+
			strings.TrimSuffix(strings.SplitN(value, `"publishers":[`, 2)[1], `]}}`)+`,`, 1),
	} {
		require.NotEqual(t, value, bad, name)
		r := newRegistry(t, store.NewMemory())
		for _, it := range items(t, good.store) {
			overwrite(t, r.store, it.Key, string(it.Value))
		}
		overwrite(t, r.store, trust.PublishersKey(widget.ID), bad)
		before := items(t, r.store)

		_, err := r.Publishers(t.Context(), nil, widget.ID)
		assert.Error(t, err, name)
		_, err = r.Check(t.Context(), nil, widget, p.token(t))
		assert.Error(t, err, name)
		_, alive, err := r.verify(t.Context(), secret)
		assert.Error(t, err, name)
		assert.False(t, alive, name)
		_, _, err = r.exchange(t.Context(), widget, p.token(t))
		assert.Error(t, err, name)
		assert.NotErrorIs(t, err, trust.ErrMismatch, name)
		_, err = r.add(t.Context(), widget, named(t, "gitlab, only names").publisher)
		assert.Error(t, err, name)
		assert.Error(t, r.remove(t.Context(), widget, tok.Publisher), name)
		assert.Error(t, store.Transact(t.Context(), r.store, func(tx *store.Tx) error {
			_, err := r.RemoveAllTx(t.Context(), tx, alice, widget, "")
			return err
		}), name)
		assert.Equal(t, before, items(t, r.store), name)
	}
}
