package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// PW-08: without its key a registry that has data does not start, and draws no new one.
func TestLoadKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	_, err := loadKeys(path, false)
	assert.ErrorContains(t, err, "backup", "a store without its key is not given a new one")
	assert.NoFileExists(t, path)

	keys, err := loadKeys(path, true)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	assert.NotEqual(t, store.Key{}, keys[0])
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	for _, create := range []bool{true, false} {
		again, err := loadKeys(path, create)
		require.NoError(t, err)
		assert.Equal(t, keys, again)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left behind")

	var older store.Key
	older[31] = 1
	require.NoError(t, os.WriteFile(path, append(keys[0][:], older[:]...), 0o600))
	both, err := loadKeys(path, false)
	require.NoError(t, err)
	assert.Equal(t, []store.Key{keys[0], older}, both, "the first one is first")
}

func TestLoadKeysRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	one := bytes.Repeat([]byte{1}, 32)
	for what, data := range map[string][]byte{
		"0 bytes": nil, "31 bytes": one[:31], "33 bytes": append(bytes.Clone(one), 1), "63 bytes": append(bytes.Clone(one), one[:31]...),
		"key 1": make([]byte, 32), "key 2": append(bytes.Clone(one), one...), "key 3": append(bytes.Repeat([]byte{2}, 32), append(bytes.Clone(one), make([]byte, 32)...)...),
	} {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, err := loadKeys(path, true)
		assert.ErrorContains(t, err, what)
	}
	require.NoError(t, os.WriteFile(path, one, 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	_, err := loadKeys(path, true)
	assert.ErrorContains(t, err, "chmod 600")
}

// Two processes that start at the same time end up with one key.
func TestWriteKeyIsFirstOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	require.NoError(t, writeKey(path, store.Key{1}))
	assert.ErrorIs(t, writeKey(path, store.Key{2}), os.ErrExist)
	keys, err := loadKeys(path, true)
	require.NoError(t, err)
	assert.Equal(t, []store.Key{{1}}, keys)
}
