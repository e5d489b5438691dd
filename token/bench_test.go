package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

// typical returns a common token: three grants, a name, one range, of an account whose tokens
// were once revoked.
func typical(tb testing.TB) (store.Item, credential.Digest) {
	s := store.NewMemory()
	m, err := token.New(token.Config{Store: s})
	require.NoError(tb, err)
	require.NoError(tb, m.RevokeAll(tb.Context(), operator, "user-0123456789"))
	require.NoError(tb, store.Transact(tb.Context(), s, func(tx *store.Tx) error {
		return subject.RevokeEveryone(tb.Context(), tx, time.Now())
	}))
	_, tok, err := m.Create(tb.Context(), audit.Actor{Credential: "k4mz7d2q6h3x5c7v2b4n6m8a"}, token.Spec{
		User: "user-0123456789", Name: "ci nightly", CIDRs: cidrs("192.0.2.0/24"),
		Grants: []protocol.Grant{
			{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbDistTag},
			{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadOnly},
			{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadOnly},
		},
	})
	require.NoError(tb, err)
	items, err := s.Get(tb.Context(), token.Key(tok.ID))
	require.NoError(tb, err)
	return items[0], tok.Digest
}

// BenchmarkOpenFloor measures one pass over the JSON text of the record, which any decoder
// needs. Compare BenchmarkOpen of the same run with it.
func BenchmarkOpenFloor(b *testing.B) {
	it, _ := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(it.Value) {
			b.Fatal("invalid")
		}
	}
}

// BenchmarkOpen measures a verification that no cache answers, without the store.
func BenchmarkOpen(b *testing.B) {
	it, d := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := token.Open(it, d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(it.Value)), "bytes")
}

// BenchmarkListOf1000 measures the first page of a user who has a thousand tokens.
func BenchmarkListOf1000(b *testing.B) {
	s := store.NewMemory()
	m, err := token.New(token.Config{Store: s})
	require.NoError(b, err)
	for range 1000 {
		_, _, err := m.Create(b.Context(), operator, token.Spec{User: "alice", Grants: readAll})
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if page, _, _, err := m.List(b.Context(), "alice", token.ListOptions{Limit: 10}); err != nil || len(page) != 10 {
			b.Fatal(len(page), err)
		}
	}
}
