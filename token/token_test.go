package token_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

var (
	widget   = protocol.PackageName{Scope: "acme", Name: "widget"}
	readAll  = []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}
	writeOne = []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite}}
)

func manager(t *testing.T, s store.Store) *token.Manager {
	t.Helper()
	m, err := token.New(token.Config{Store: s})
	require.NoError(t, err)
	return m
}

func create(t *testing.T, m *token.Manager, spec token.Spec) (credential.Secret, token.Token) {
	t.Helper()
	if spec.User == "" {
		spec.User = "alice"
	}
	if spec.Grants == nil {
		spec.Grants = readAll
	}
	secret, tok, err := m.Create(t.Context(), audit.Actor{}, spec)
	require.NoError(t, err)
	return secret, tok
}

func item(t *testing.T, s store.Store, key string) store.Item {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0]
}

func TestCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		m := manager(t, s)
		time.Sleep(1234567 * time.Nanosecond) // a time that is no whole microsecond
		now := time.Now().UTC().Truncate(time.Microsecond)
		spec := token.Spec{
			User: "alice", Name: "ci – nightly", Description: "reads, mostly",
			Grants: append([]protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}}, writeOne...),
			Bypass: true,
			CIDRs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
			Days:   3,
		}
		secret, tok, err := m.Create(t.Context(), audit.Actor{Credential: "session-1"}, spec)
		require.NoError(t, err)
		d, ok := credential.Parse(secret.Reveal())
		require.True(t, ok)
		assert.Equal(t, token.Token{
			ID: tok.ID, Digest: d, Hint: secret.Reveal()[:8], User: "alice", Name: "ci – nightly", Description: "reads, mostly",
			Grants: spec.Grants, Bypass: true, CIDRs: spec.CIDRs, Created: now, Expires: now.Add(72 * time.Hour), CreatedBy: "session-1",
		}, tok)
		assert.NotEmpty(t, tok.ID)
		assert.NotContains(t, secret.Reveal(), tok.ID)
		assert.False(t, tok.ReadOnly())

		assert.Equal(t, token.IDOf(d), tok.ID)
		assert.Equal(t, token.Key(tok.ID), token.KeyOf(d))

		got, numbers, err := token.Open(item(t, s, token.KeyOf(d)), d)
		require.NoError(t, err)
		assert.Zero(t, numbers, "nothing of the account was ever revoked")
		assert.Equal(t, &policy.Credential{
			ID: tok.ID, Name: "ci – nightly", Kind: policy.KindToken, User: "alice", Grants: spec.Grants, Bypass: true, CIDRs: spec.CIDRs, Created: now, Expires: tok.Expires,
		}, got, "every restriction comes back: TK-29")

		// TK-08, TK-09: half-open, and no later after it was stored.
		assert.False(t, got.Dead(tok.Expires.Add(-time.Nanosecond)))
		assert.True(t, got.Dead(tok.Expires))
		assert.False(t, tok.Expires.After(time.Now().Add(72*time.Hour)))

		// TK-07, LOG-01: no stored row has the secret.
		for _, it := range dump(t, s) {
			assert.NotContains(t, it.Key+string(it.Value), secret.Reveal())
			assert.NotContains(t, it.Key+string(it.Value), secret.Reveal()[10:])
		}
		assert.Contains(t, fmt.Sprintf("%v %+v", secret, secret), "[redacted]")

		spec.Grants[0].Permission = protocol.ReadWrite
		assert.Equal(t, protocol.ReadOnly, tok.Grants[0].Permission, "the spec is copied")
	})
}

func dump(t *testing.T, s store.Store) (all []store.Item) {
	t.Helper()
	after := ""
	for {
		items, err := s.List(t.Context(), "", after, store.MaxLimit)
		require.NoError(t, err)
		all = append(all, items...)
		if len(items) < store.MaxLimit {
			return all
		}
		after = items[len(items)-1].Key
	}
}

// What is written with a token in one commit is committed with it or not at all.
func TestCreateTx(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	spec := token.Spec{User: "alice", Grants: readAll}
	refused := errors.New("wrong code")
	err := store.Transact(ctx, s, func(tx *store.Tx) error {
		if _, _, err := m.CreateTx(ctx, tx, audit.Actor{}, spec); err != nil {
			return err
		}
		tx.Put("spent", nil, time.Time{})
		return refused
	})
	assert.Same(t, refused, err)
	assert.Empty(t, dump(t, s), "neither the token nor the factor")

	// The result is that of the last run.
	f := storetest.ConflictNth(s, 1, 3)
	var secret credential.Secret
	var tok token.Token
	runs := 0
	require.NoError(t, store.Transact(ctx, f, func(tx *store.Tx) (err error) {
		runs++
		tx.Put("spent", nil, time.Time{})
		secret, tok, err = m.CreateTx(ctx, tx, audit.Actor{}, spec)
		return err
	}))
	assert.Equal(t, 4, runs)
	assert.True(t, item(t, s, "spent").Exists())
	_, _, err = token.Open(item(t, s, token.Key(tok.ID)), credential.Sum(secret))
	assert.NoError(t, err)
	_, _, total, err := m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, total, "and nothing of the others")
}

// ST-01, ST-03: a store that fails creates no token, and an unknown outcome is told apart.
func TestCreateStoreErrors(t *testing.T) {
	for _, broken := range []error{errors.New("down"), store.ErrUnknown} {
		s := failing(store.NewMemory(), storetest.Commits, broken)
		secret, tok, err := manager(t, s).Create(t.Context(), audit.Actor{}, token.Spec{User: "alice", Grants: readAll})
		assert.ErrorIs(t, err, broken)
		assert.True(t, secret.IsZero())
		assert.Zero(t, tok)
	}
	m := manager(t, failing(store.NewMemory(), storetest.Gets, errors.New("down")))
	_, _, err := m.Create(t.Context(), audit.Actor{}, token.Spec{User: "alice", Grants: readAll})
	assert.ErrorContains(t, err, "down")
	id := token.IDOf(credential.Digest{1})
	_, _, _, listed := m.List(t.Context(), "alice", token.ListOptions{})
	_, swept := manager(t, failing(store.NewMemory(), storetest.Lists, errors.New("down"))).Sweep(t.Context())
	for name, err := range map[string]error{
		"Revoke":    m.Revoke(t.Context(), audit.Actor{}, "alice", id, ""),
		"RevokeAll": m.RevokeAll(t.Context(), audit.Actor{}, "alice"),
		"End":       m.End(t.Context(), audit.Actor{}, id, ""),
		"Get":       exists(m.Get(t.Context(), "alice", id)),
		"List":      listed,
		"Sweep":     swept,
	} {
		assert.ErrorContains(t, err, "down", name)
		assert.NotErrorIs(t, err, token.ErrNotFound, name)
	}
	_, err = m.Find(t.Context(), "alice", credential.Digest{1})
	assert.ErrorContains(t, err, "down")
	_, err = m.Used(t.Context(), "x")
	assert.ErrorContains(t, err, "down")
}

// failing is a store that fails calls of a kind.
func failing(s store.Store, kind storetest.Calls, err error) *storetest.Faulty {
	return storetest.NewFaulty(s, storetest.Fault{On: kind, Times: storetest.Always, Err: err})
}

func TestLimitPerUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := policy.DefaultLimits()
		limits.Tokens = 3
		m, err := token.New(token.Config{Store: store.NewMemory(), Limits: func() policy.Limits { return limits }})
		require.NoError(t, err)
		_, first := create(t, m, token.Spec{Days: 2})
		create(t, m, token.Spec{Days: 1})
		create(t, m, token.Spec{Days: 1})
		full := func() {
			t.Helper()
			secret, _, err := m.Create(t.Context(), audit.Actor{}, token.Spec{User: "alice", Grants: readAll})
			require.ErrorIs(t, err, token.ErrTooMany)
			assert.True(t, secret.IsZero())
		}
		full()
		create(t, m, token.Spec{User: "bob"}) // has a limit of his own
		require.NoError(t, m.Revoke(t.Context(), audit.Actor{}, "alice", first.ID, ""))
		create(t, m, token.Spec{Days: 2})
		full()
		time.Sleep(token.Day) // two expire, and cease to count
		create(t, m, token.Spec{})
		create(t, m, token.Spec{})
		full()
	})
}

// ST-15: no race exceeds the limit.
func TestLimitPerUserConcurrently(t *testing.T) {
	limits := policy.DefaultLimits()
	limits.Tokens = 4
	m, err := token.New(token.Config{Store: store.NewMemory(), Limits: func() policy.Limits { return limits }})
	require.NoError(t, err)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = m.Create(t.Context(), audit.Actor{}, token.Spec{User: "alice", Grants: readAll})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, token.ErrTooMany) {
			assert.ErrorIs(t, err, store.ErrConflict)
		}
	}
	_, _, total, err := m.List(t.Context(), "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, made, total)
	assert.LessOrEqual(t, total, 4)
	assert.Positive(t, total)
}

func TestNew(t *testing.T) {
	_, err := token.New(token.Config{})
	assert.ErrorContains(t, err, "Config.Store")
	for field, change := range map[string]func(*policy.Limits){
		"Tokens":           func(l *policy.Limits) { l.Tokens = 3001 },
		"Targets":          func(l *policy.Limits) { l.Targets = 101 },
		"Orgs":             func(l *policy.Limits) { l.Orgs = 51 },
		"MinTokenTTL":      func(l *policy.Limits) { l.MinTokenTTL = -1 },
		"MaxWriteTokenTTL": func(l *policy.Limits) { l.MaxWriteTokenTTL = policy.MaxTokenTTL + 1 },
		"ReadTokenTTL":     func(l *policy.Limits) { l.ReadTokenTTL = policy.MaxTokenTTL + 1 },
	} {
		limits := policy.DefaultLimits()
		change(&limits)
		_, err := token.New(token.Config{Store: store.NewMemory(), Limits: func() policy.Limits { return limits }})
		assert.ErrorContains(t, err, field)
	}
}

// The records of a token at every limit fit a store's value, sealed too.
func TestLargestToken(t *testing.T) {
	limits := policy.DefaultLimits()
	limits.Targets, limits.Tokens = 100, 3000
	s := store.Seal(store.NewMemory(), store.Key{1})
	m, err := token.New(token.Config{Store: s, Limits: func() policy.Limits { return limits }})
	require.NoError(t, err)
	spec := token.Spec{User: "alice", Name: strings.Repeat("€", 64), Description: strings.Repeat("&", 1000)}
	long := strings.Repeat("a", 100)
	for i := range 100 {
		name := protocol.PackageName{Scope: long, Name: fmt.Sprintf("%s-%09d", long, i)}
		spec.Grants = append(spec.Grants, protocol.Grant{Target: protocol.OnePackage, Package: name, Permission: protocol.StageOnly})
	}
	for i := range 50 {
		spec.Grants = append(spec.Grants, protocol.Grant{Target: protocol.OneOrg, Scope: fmt.Sprintf("%s%s-%d", long, long, i), Permission: protocol.ReadWrite})
	}
	for i := range token.MaxCIDRs {
		spec.CIDRs = append(spec.CIDRs, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(i)}), 128))
	}
	_, _, err = m.Create(t.Context(), audit.Actor{}, spec)
	require.NoError(t, err)
}
