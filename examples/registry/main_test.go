package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlant(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	people, err := account.NewDirectory(account.DirectoryConfig{Store: store.NewMemory(), Hasher: hasher})
	require.NoError(t, err)

	require.NoError(t, plant(t.Context(), people, []seed{{"alice", "a"}, {"bob", "b"}}))
	require.NoError(t, plant(t.Context(), people, []seed{{"alice", "another"}}))
	alice, err := people.Lookup(t.Context(), "alice")
	require.NoError(t, err)
	for pw, want := range map[string]bool{"a": true, "another": false} {
		ok, err := people.CheckPassword(t.Context(), alice.ID, credential.NewSecret(pw))
		require.NoError(t, err)
		assert.Equal(t, want, ok, "an account that exists is left alone: %s", pw)
	}
	assert.ErrorContains(t, plant(t.Context(), people, []seed{{"Not A Name", "x"}}), "-seed Not A Name")
}

func TestOpenStore(t *testing.T) {
	dir := t.TempDir()
	o := options{data: dir, store: storeChoice{"sqlite", filepath.Join(dir, "auth.db")}}
	secret := []byte("JBSWY3DPEHPK3PXP")

	st, older, closeStore, err := openStore(t.Context(), o)
	require.NoError(t, err)
	assert.False(t, older)
	_, err = st.Commit(t.Context(), store.Op{Key: "factor/1", Action: store.Put, Value: secret})
	require.NoError(t, err)
	require.NoError(t, closeStore())
	files, err := filepath.Glob(filepath.Join(dir, "auth.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.NotContains(t, string(data), string(secret), "what is at rest is sealed")
	}

	st, _, closeStore, err = openStore(t.Context(), o)
	require.NoError(t, err)
	items, err := st.Get(t.Context(), "factor/1")
	require.NoError(t, err)
	assert.Equal(t, secret, items[0].Value)
	require.NoError(t, closeStore())

	require.NoError(t, os.Remove(filepath.Join(dir, "auth.key")))
	_, _, _, err = openStore(t.Context(), o)
	assert.ErrorContains(t, err, "auth.key is missing", "a new key would read nothing of it")
}

// Nodes that share a store must share its key. Of two that meet on a new store with
// keys of their own, one is refused, in words.
func TestSealedByAnother(t *testing.T) {
	one, other := filepath.Join(t.TempDir(), "auth.key"), filepath.Join(t.TempDir(), "auth.key")
	engine := store.NewMemory()
	_, err := loadKeys(other, true) // it found the store empty, too
	require.NoError(t, err)
	_, _, err = sealed(t.Context(), engine, one)
	require.NoError(t, err)
	_, _, err = sealed(t.Context(), engine, other)
	assert.ErrorContains(t, err, other+" has not the key")
	_, _, err = sealed(t.Context(), engine, filepath.Join(t.TempDir(), "auth.key"))
	assert.ErrorContains(t, err, "auth.key is missing")

	again, _, err := sealed(t.Context(), engine, one)
	require.NoError(t, err)
	_, err = again.List(t.Context(), "", "", 100)
	assert.NoError(t, err)
}

// The same race once more, lost between the look and the mark.
func TestSealedMeanwhile(t *testing.T) {
	engine := &lateStore{Memory: store.NewMemory()}
	one, other := filepath.Join(t.TempDir(), "auth.key"), filepath.Join(t.TempDir(), "auth.key")
	engine.meanwhile = func() {
		_, _, err := sealed(t.Context(), engine.Memory, one)
		assert.NoError(t, err)
	}
	_, _, err := sealed(t.Context(), engine, other)
	assert.ErrorContains(t, err, other+" has not the key")
}

// A lateStore lets something happen after its first List.
type lateStore struct {
	*store.Memory
	meanwhile func()
}

func (s *lateStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	items, err := s.Memory.List(ctx, prefix, after, limit)
	if s.meanwhile != nil {
		s.meanwhile()
		s.meanwhile = nil
	}
	return items, err
}

func TestAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	for addr, want := range map[string]string{
		"127.0.0.1:0": "http://127.0.0.1:" + port + "/", ":0": "http://localhost:" + port + "/", "[::1]:0": "http://[::1]:" + port + "/",
	} {
		assert.Equal(t, want, address(addr, listener), addr)
	}
}
