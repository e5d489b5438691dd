package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/npmauth/npmauth/store"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	_, err := loadKey(path, false)
	assert.ErrorContains(t, err, "backup", "a store without its key is not given a new one")
	assert.NoFileExists(t, path)

	key, err := loadKey(path, true)
	require.NoError(t, err)
	assert.NotEqual(t, store.Key{}, key)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	for _, create := range []bool{true, false} {
		again, err := loadKey(path, create)
		require.NoError(t, err)
		assert.Equal(t, key, again)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left behind")
}

func TestLoadKeyRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	require.NoError(t, os.WriteFile(path, make([]byte, 31), 0o600))
	_, err := loadKey(path, true)
	assert.ErrorContains(t, err, "31 bytes")

	require.NoError(t, os.WriteFile(path, make([]byte, 32), 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = loadKey(path, true)
	assert.ErrorContains(t, err, "chmod 600")
}

// Two processes that start at the same time end up with one key.
func TestWriteKeyIsFirstOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	require.NoError(t, writeKey(path, store.Key{1}))
	assert.ErrorIs(t, writeKey(path, store.Key{2}), os.ErrExist)
	key, err := loadKey(path, true)
	require.NoError(t, err)
	assert.Equal(t, store.Key{1}, key)
}
