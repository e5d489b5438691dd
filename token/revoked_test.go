package token_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

var december = time.Date(2025, 12, 9, 15, 4, 5, 678_000, time.UTC)

// classics returns n tokens of elsewhere.
func classics(n int) (list []token.Revoked) {
	for range n {
		list = append(list, token.Revoked{Digest: credential.Sum(credential.NewSecret(credential.NewID())), Kind: token.ClassicAutomation, At: december})
	}
	return list
}

// batch is how many are imported in one commit.
const batch = store.MaxOps / 4

// AU-73: what is imported is there from then on, once, as it was imported first.
func TestImportRevoked(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	var events []audit.Event
	m, err := token.New(token.Config{Store: s, Events: audit.NewRecorder(audit.RecorderConfig{
		Sink: audit.Func(func(_ context.Context, e audit.Event) { events = append(events, e) }),
	})})
	require.NoError(t, err)
	added, err := m.ImportRevoked(ctx, audit.Actor{}, slices.Values([]token.Revoked(nil)))
	require.NoError(t, err)
	require.Zero(t, added)
	require.Empty(t, events)

	list := classics(5 * batch)
	_, err = token.OpenRevoked(item(t, s, token.RevokedKey(list[0].Digest)))
	require.ErrorIs(t, err, store.ErrNotFound)
	added, err = m.ImportRevoked(ctx, audit.Actor{User: "root"}, slices.Values(append(list, list...)))
	require.NoError(t, err)
	assert.Equal(t, len(list), added)
	told := 0
	for _, e := range events {
		assert.Equal(t, audit.TokensImported, e.Type)
		assert.EqualValues(t, "root", e.By)
		assert.Equal(t, strconv.Itoa(batch), e.Detail["tokens"])
		told += batch
	}
	assert.Equal(t, len(list), told)

	events = nil
	for i := range list {
		list[i].Kind, list[i].At = token.Classic, list[i].At.AddDate(1, 0, 0)
	}
	more := classics(1)
	added, err = m.ImportRevoked(ctx, audit.Actor{}, slices.Values(append(list, more...)))
	require.NoError(t, err)
	assert.Equal(t, 1, added)
	assert.Len(t, events, 1)
	for _, r := range list {
		it := item(t, s, token.RevokedKey(r.Digest))
		got, err := token.OpenRevoked(it)
		require.NoError(t, err)
		assert.Equal(t, token.Revoked{Digest: r.Digest, Kind: token.ClassicAutomation, At: december}, got)
		assert.Zero(t, it.Expires)
		d, ok := token.DigestOfRevoked(it.Key)
		assert.True(t, ok)
		assert.Equal(t, r.Digest, d)
	}
	for _, key := range []string{"", "revoked/", "revoked/x", token.KeyOf(list[0].Digest)} {
		_, ok := token.DigestOfRevoked(key)
		assert.False(t, ok, key)
	}
}

func TestImportRevokedRefuses(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	good := classics(1)[0]
	for name, change := range map[string]func(*token.Revoked){
		"no digest":    func(r *token.Revoked) { r.Digest = credential.Digest{} },
		"no time":      func(r *token.Revoked) { r.At = time.Time{} },
		"before 1970":  func(r *token.Revoked) { r.At = time.Unix(-1, 0) },
		"unknown kind": func(r *token.Revoked) { r.Kind = token.ClassicAutomation + 1 },
	} {
		bad := good
		change(&bad)
		added, err := m.ImportRevoked(ctx, audit.Actor{}, slices.Values([]token.Revoked{bad}))
		assert.Error(t, err, name)
		assert.Zero(t, added, name)
	}
	assert.Empty(t, dump(t, s))
}

// AU-73: a live token is no old one; a token that is not live any more may be.
func TestImportRevokedOfThisRegistry(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	subjects, err := subject.New(subject.Config{Store: s})
	require.NoError(t, err)
	secret, tok := create(t, m, token.Spec{Name: "ci"})
	list := append(classics(20), token.Revoked{Digest: tok.Digest, At: december})
	try := func() (int, error) { return m.ImportRevoked(ctx, audit.Actor{}, slices.Values(list)) }
	verify := func() error {
		_, err := m.Verify(ctx, secret, netip.Addr{})
		return err
	}
	added, err := try()
	require.ErrorIs(t, err, token.ErrLive)
	assert.ErrorContains(t, err, tok.ID)
	assert.Equal(t, 16, added, "those before")
	require.NoError(t, verify())
	require.NoError(t, subjects.Disable(ctx, audit.Actor{}, "alice"))
	_, err = try()
	require.ErrorIs(t, err, token.ErrLive, "it works once the account is enabled")
	require.NoError(t, subjects.Enable(ctx, audit.Actor{}, "alice"))

	row := item(t, s, token.KeyOf(tok.Digest))
	require.NoError(t, m.Revoke(ctx, audit.Actor{}, "alice", tok.ID, ""))
	added, err = try()
	require.NoError(t, err)
	assert.Equal(t, 5, added)
	// Somebody puts the record back.
	_, err = s.Commit(ctx, store.Op{Key: row.Key, Action: store.Put, Value: row.Value, Expires: row.Expires})
	require.NoError(t, err)
	assert.Equal(t, token.ErrNotFound, verify())
}

// An import that fails, at whatever commit, is run again.
func TestImportRevokedGoesOn(t *testing.T) {
	list := classics(5 * batch)
	for n := 1; ; n++ {
		engine := store.NewMemory()
		faulty := storetest.NewFaulty(engine, storetest.Fault{On: storetest.Commits, Nth: n})
		first, err := manager(t, faulty).ImportRevoked(t.Context(), audit.Actor{}, slices.Values(list))
		if !faulty.Struck() {
			require.NoError(t, err)
			require.Equal(t, 6, n, "five commits")
			return
		}
		require.ErrorIs(t, err, storetest.ErrFault)
		second, err := manager(t, engine).ImportRevoked(t.Context(), audit.Actor{}, slices.Values(list))
		require.NoError(t, err)
		assert.Equal(t, len(list), first+second)
	}
}

// A record that cannot be read may be of a token that was revoked: that is no answer.
func TestRevokedThatCannotBeRead(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	secret, tok := create(t, m, token.Spec{Name: "ci"})
	key := token.RevokedKey(tok.Digest)
	for _, value := range []string{"", "{}", `{"v":2,"d":{}}`, `{"v":1,"d":{"digest":"` + tok.Digest.String() + `","kind":"unknown","at":1}}`} {
		require.NoError(t, store.Transact(ctx, s, func(tx *store.Tx) error {
			tx.Put(key, []byte(value), time.Time{})
			return nil
		}))
		_, err := token.OpenRevoked(item(t, s, key))
		require.ErrorIs(t, err, store.ErrSchema)
		_, err = m.Verify(ctx, secret, netip.Addr{})
		assert.ErrorIs(t, err, store.ErrSchema, value)
		_, err = m.ImportRevoked(ctx, audit.Actor{}, slices.Values([]token.Revoked{{Digest: tok.Digest, At: december}}))
		assert.ErrorIs(t, err, store.ErrSchema, value)
	}
}

func TestClassicKindText(t *testing.T) {
	for kind, want := range map[token.ClassicKind]string{
		token.Classic: "classic", token.ClassicReadOnly: "read-only", token.ClassicPublish: "publish", token.ClassicAutomation: "automation",
	} {
		text, err := kind.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
		assert.Equal(t, want, kind.String())
		var got token.ClassicKind
		require.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, kind, got)
	}
	var k token.ClassicKind
	assert.Error(t, k.UnmarshalText([]byte("granular")))
	_, err := (token.ClassicAutomation + 1).MarshalText()
	assert.Error(t, err)
}

// A batch is one commit, with the rows of dead tokens' accounts and a row of the audit log.
func TestImportRevokedFitsACommit(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	log, err := audit.NewLog(audit.LogConfig{Store: s})
	require.NoError(t, err)
	m, err := token.New(token.Config{Store: s, Events: audit.NewRecorder(audit.RecorderConfig{Log: log})})
	require.NoError(t, err)
	subjects, err := subject.New(subject.Config{Store: s})
	require.NoError(t, err)
	dead := make([]token.Revoked, 40)
	for i := range dead {
		user := protocol.UserID(fmt.Sprint("user-", i))
		_, tok := create(t, m, token.Spec{Name: "ci", User: user})
		require.NoError(t, subjects.RevokeAll(ctx, audit.Actor{}, user))
		dead[i] = token.Revoked{Digest: tok.Digest, At: december}
	}
	for name, list := range map[string][]token.Revoked{"of elsewhere": classics(40), "dead ones of this registry": dead} {
		added, err := m.ImportRevoked(ctx, audit.Actor{User: "root"}, slices.Values(list))
		require.NoError(t, err, name)
		assert.Equal(t, 40, added, name)
	}
}
