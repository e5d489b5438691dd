package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

func TestPlant(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	people, err := account.NewDirectory(account.DirectoryConfig{Store: store.NewMemory(), Hasher: hasher})
	require.NoError(t, err)

	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	require.NoError(t, plant(t.Context(), log, people, []seed{{"alice", "a"}, {"bob", "password1234"}, {"carol", "correct horse battery"}}))
	assert.Equal(t, 2, strings.Count(out.String(), "weak"), out.String())
	assert.NotContains(t, out.String(), "password1234")
	assert.NotContains(t, out.String(), "carol")
	out.Reset()
	require.NoError(t, plant(t.Context(), log, people, []seed{{"alice", "another"}}))
	assert.Empty(t, out.String())
	alice, err := people.Lookup(t.Context(), "alice")
	require.NoError(t, err)
	for pw, want := range map[string]bool{"a": true, "another": false} {
		ok, err := people.CheckPassword(t.Context(), alice.ID, credential.NewSecret(pw))
		require.NoError(t, err)
		assert.Equal(t, want, ok, "an account that exists is left alone: %s", pw)
	}
	assert.ErrorContains(t, plant(t.Context(), log, people, []seed{{"Not A Name", "x"}}), "-seed Not A Name")
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

// node makes a node's npmauth on engine, with the key in the folder data, and asks
// whether it is ready.
func node(t *testing.T, engine store.Store, data string) error {
	t.Helper()
	st, _, err := sealed(t.Context(), engine, filepath.Join(data, keyFile))
	if err != nil {
		return err
	}
	auth, err := npmauth.New(npmauth.Config{BaseURL: "http://registry.example/", Store: st, Packages: facts{}})
	require.NoError(t, err)
	return ready(t.Context(), auth, data)
}

// Nodes that share a store must share its key. Of two that meet on a new store with
// keys of their own, one is refused, in words.
func TestSealedByAnother(t *testing.T) {
	one, other := t.TempDir(), t.TempDir()
	engine := store.NewMemory()
	_, err := loadKeys(filepath.Join(other, keyFile), true) // it found the store empty, too
	require.NoError(t, err)
	require.NoError(t, node(t, engine, one))
	err = node(t, engine, other)
	require.ErrorIs(t, err, store.ErrSeal)
	assert.ErrorContains(t, err, filepath.Join(other, keyFile)+" has not the key that the auth store was sealed with: put the right one back")
	assert.ErrorContains(t, node(t, engine, t.TempDir()), "auth.key is missing")
	assert.NoError(t, node(t, engine, one), "once more")
}

// The same race once more, lost between the look and the first row.
func TestSealedMeanwhile(t *testing.T) {
	engine := &lateStore{Memory: store.NewMemory()}
	one, other := t.TempDir(), t.TempDir()
	engine.meanwhile = func() { assert.NoError(t, node(t, engine.Memory, one)) }
	assert.ErrorContains(t, node(t, engine, other), filepath.Join(other, keyFile)+" has not the key")
}

// A store that cannot be used ends the start with what to do about it.
func TestStoreNotReady(t *testing.T) {
	engine := &lateStore{Memory: store.NewMemory(), broken: errors.New("read-only file system")}
	err := node(t, engine, t.TempDir())
	assert.ErrorContains(t, err, "the auth store that -store names cannot be used; see that it can be reached and written")
	assert.ErrorIs(t, err, engine.broken)
}

// A lateStore lets something happen after its first List, and fails to write if it is
// broken.
type lateStore struct {
	*store.Memory
	meanwhile func()
	broken    error
}

func (s *lateStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	return s.Memory.Commit(ctx, ops...)
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
		"localhost:0": "http://localhost:" + port + "/",
	} {
		assert.Equal(t, want, address(addr, listener), addr)
	}
	assert.Equal(t, []string{"localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port}, loopbackNames(listener))
}

// The name localhost is every loopback address of the machine, at one port, and none of them is left
// to another process.
func TestListenAtLocalhost(t *testing.T) {
	listeners, err := listen("localhost:0")
	require.NoError(t, err)
	defer closeAll(listeners)
	_, port, err := net.SplitHostPort(listeners[0].Addr().String())
	require.NoError(t, err)
	hosts := []string{"127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "::1")
	}
	require.Len(t, listeners, len(hosts))
	for i, host := range hosts {
		assert.Equal(t, net.JoinHostPort(host, port), listeners[i].Addr().String())
	}
	_, err = listen("localhost:" + port)
	assert.Error(t, err, "both are taken")
	for i := range listeners {
		require.NoError(t, listeners[i].Close())
		if len(listeners) == 2 {
			_, err = listen("localhost:" + port)
			assert.Error(t, err, "the other one is")
			listeners[i], err = net.Listen("tcp", net.JoinHostPort(hosts[i], port))
			require.NoError(t, err, "what could be had was given back")
		}
	}
	one, err := listen("127.0.0.1:0")
	require.NoError(t, err)
	defer closeAll(one)
	assert.Len(t, one, 1, "an address is itself")
}
