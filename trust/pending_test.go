package trust_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

var fresh = protocol.PackageName{Scope: "acme", Name: "new"}

func anybody(context.Context, protocol.UserID) (bool, error) { return true, nil }

func (r *registry) exchangePending(ctx context.Context, id trust.IDToken, may func(context.Context, protocol.UserID) (bool, error)) (secret credential.Secret, tok trust.Token, err error) {
	err = store.Transact(ctx, r.store, func(tx *store.Tx) (err error) {
		secret, tok, err = r.ExchangePendingTx(ctx, tx, audit.Actor{}, fresh, id, may)
		return err
	})
	return secret, tok, err
}

func (r *registry) mustPend(t testing.TB, user protocol.UserID, p trust.Publisher) trust.Pending {
	t.Helper()
	p.ID = ""
	added, err := r.AddPending(t.Context(), audit.Actor{User: user}, fresh, p)
	require.NoError(t, err)
	return added
}

func (r *registry) bindTo(ctx context.Context, id protocol.PackageID, made trust.Token) (rec trust.Record, err error) {
	err = store.Transact(ctx, r.store, func(tx *store.Tx) (err error) {
		rec, err = r.BindTx(ctx, tx, audit.Actor{}, trust.Package{ID: id, Name: fresh}, made)
		return err
	})
	return rec, err
}

// Publishers of each kind are pending if they have all IDs, and publish; they are exchanged for a token that creates
// the package alone, and become one of it.
func TestPendingOfEachKind(t *testing.T) {
	for _, p := range pairs() {
		r := newRegistry(t, store.NewMemory())
		wanted := p.publisher
		wanted.ID = ""
		id := p.token(t)
		whole, err := wanted.WithPins(trust.Pins(wanted, id))
		require.NoError(t, err, p.name)
		_, err = r.CheckPending(wanted)
		lacks := len(trust.Pins(wanted, id)) > 0
		if lacks || wanted.Permissions&trust.CreatePackage == 0 {
			var invalid *trust.InvalidError
			require.ErrorAs(t, err, &invalid, p.name)
			_, err = r.AddPending(t.Context(), alice, fresh, wanted)
			require.ErrorAs(t, err, &invalid, p.name)
			assert.Empty(t, items(t, r.store))
		}
		whole.Permissions |= trust.CreatePackage
		added := r.mustPend(t, "u-1", whole)
		assert.Equal(t, r.now.Add(trust.PendingTTL), added.Expires)
		secret, tok, err := r.exchangePending(t.Context(), id, anybody)
		require.NoError(t, err, p.name)
		assert.False(t, secret.IsZero())
		c := tok.Credential()
		assert.Equal(t, policy.Creation{Package: fresh, Owner: "u-1"}, c.Creates)
		assert.Empty(t, c.Package)
		assert.Equal(t, []protocol.Grant{{Target: protocol.OnePackage, Package: fresh, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish}}, c.Grants)
		bound, err := r.bindTo(t.Context(), "p9", tok)
		require.NoError(t, err)
		assert.Equal(t, added.ID, bound.ID)
		list, err := r.Publishers(t.Context(), nil, "p9")
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, added.Publisher, list[0].Publisher)
		again, err := r.bindTo(t.Context(), "p9", tok)
		require.NoError(t, err)
		assert.Zero(t, again)
	}
}

// A token is bound for its name alone, by the publisher that it is of, and the zero one binds none.
func TestBindNothing(t *testing.T) {
	for what, change := range map[string]func(*trust.Token){
		"no token":          func(tok *trust.Token) { *tok = trust.Token{} },
		"another publisher": func(tok *trust.Token) { tok.Publisher = "x" },
		"another name":      func(tok *trust.Token) { tok.Package.Name = "other" },
		"no owner":          func(tok *trust.Token) { tok.Owner = "" },
		"another owner":     func(tok *trust.Token) { tok.Owner = "u-2" },
		"of a package":      func(tok *trust.Token) { tok.PackageID = "p1" },
	} {
		r, p := newRegistry(t, store.NewMemory()), named(t, "github, all")
		r.mustPend(t, "u-1", p.publisher)
		_, tok, err := r.exchangePending(t.Context(), p.token(t), anybody)
		require.NoError(t, err)
		change(&tok)
		bound, err := r.bindTo(t.Context(), "p9", tok)
		require.NoError(t, err, what)
		assert.Zero(t, bound, what)
		list, err := r.Publishers(t.Context(), nil, "p9")
		require.NoError(t, err)
		assert.Empty(t, list, what)
		pending, err := r.PendingOf(t.Context(), nil, fresh, "u-1")
		require.NoError(t, err)
		assert.Empty(t, pending, "%s: the name has a package", what)
	}
	_, err := newRegistry(t, store.NewMemory()).bindTo(t.Context(), "", trust.Token{})
	assert.Error(t, err)
}

// An exchange that fails writes nothing, whatever fails.
func TestPendingExchangeFails(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, all")
	broken := errors.New("broken")
	r.mustPend(t, "u-1", p.publisher)
	r.mustPend(t, "u-2", p.publisher)
	before, told := items(t, r.store), len(r.events)
	for _, tt := range []struct {
		may  func(context.Context, protocol.UserID) (bool, error)
		want error
	}{
		{anybody, trust.ErrContested},
		{func(context.Context, protocol.UserID) (bool, error) { return false, nil }, trust.ErrMismatch},
		{func(context.Context, protocol.UserID) (bool, error) { return true, broken }, broken},
	} {
		secret, tok, err := r.exchangePending(t.Context(), p.token(t), tt.may)
		assert.ErrorIs(t, err, tt.want)
		assert.True(t, secret.IsZero())
		assert.Zero(t, tok)
	}
	expired := p.token(t)
	r.now = expired.Until
	_, _, err := r.exchangePending(t.Context(), expired, anybody)
	assert.ErrorIs(t, err, trust.ErrInvalidToken)
	assert.Equal(t, before, items(t, r.store))
	assert.Len(t, r.events, told)
}

// What the operator pins since is not in what is pending, which matches nothing then: nobody knows of which repository it
// was.
func TestPendingOfIssuerThatPinsMore(t *testing.T) {
	st, p := store.NewMemory(), named(t, "custom, all")
	newRegistry(t, st).mustPend(t, "u-1", p.publisher)
	stricter := forgejoIssuer
	stricter.Claims = append([]trust.Claim{{Name: "owner_id", Pin: true}}, stricter.Claims...)
	r := newRegistry(t, st, func(cfg *trust.ManagerConfig) { cfg.Issuers = []trust.Issuer{stricter} })
	p = p.with("owner_id", "7")
	p.issuer = stricter
	_, _, err := r.exchangePending(t.Context(), p.token(t), anybody)
	assert.ErrorIs(t, err, trust.ErrMismatch)
}

// AU-33: rows that cannot be read refuse, and so does what has no name or user.
func TestPendingRefusesNothing(t *testing.T) {
	r, p := newRegistry(t, store.NewMemory()), named(t, "github, all")
	p.publisher.ID = ""
	_, err := r.AddPending(t.Context(), audit.Actor{}, fresh, p.publisher)
	assert.Error(t, err, "of nobody")
	_, err = r.AddPending(t.Context(), alice, protocol.PackageName{}, p.publisher)
	assert.Error(t, err)
	_, err = r.PendingOf(t.Context(), nil, fresh, "")
	assert.Error(t, err)
	_, err = trust.DecodePending(fresh, "u-1", nil)
	assert.Error(t, err)
	assert.False(t, trust.State{}.Alive(trust.Token{}))
	assert.False(t, trust.State{}.Alive(trust.Token{Owner: "u-1", Package: fresh, Publisher: "x"}))
	for _, row := range []string{
		`{"v":1,"d":{"name":"@acme/new","pending":[],"more":1}}`,
		`{"v":1,"d":{"name":"@acme/new","pending":[{"publisher":null,"created":1,"by":"u-1","expires":9}]}}`,
		`{"v":2,"d":{}}`,
	} {
		_, err := r.store.Commit(t.Context(), store.Op{Key: trust.PendingKey(fresh), At: store.Any, Action: store.Put, Value: []byte(row), Expires: noon.Add(time.Hour)})
		require.NoError(t, err)
		_, err = r.PendingOf(t.Context(), nil, fresh, "u-1")
		assert.Error(t, err, row)
		_, err = r.AddPending(t.Context(), alice, fresh, p.publisher)
		assert.Error(t, err, row)
		_, _, err = r.exchangePending(t.Context(), p.token(t), anybody)
		assert.Error(t, err, row)
		_, err = r.bindTo(t.Context(), "p9", trust.Token{})
		assert.Error(t, err, row)
	}
}
