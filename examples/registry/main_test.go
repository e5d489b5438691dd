package main

import (
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
	o := options{data: dir, store: storeChoice{path: filepath.Join(dir, "auth.db")}}
	secret := []byte("JBSWY3DPEHPK3PXP")

	st, older, closeStore, err := openStore(o)
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

	st, _, closeStore, err = openStore(o)
	require.NoError(t, err)
	items, err := st.Get(t.Context(), "factor/1")
	require.NoError(t, err)
	assert.Equal(t, secret, items[0].Value)
	require.NoError(t, closeStore())

	require.NoError(t, os.Remove(filepath.Join(dir, "auth.key")))
	_, _, _, err = openStore(o)
	assert.ErrorContains(t, err, "auth.key is missing", "a new key would read nothing of it")
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
