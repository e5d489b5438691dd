package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/npmauth/npmauth/store"
)

// loadKey returns the key in the file at path. If the file is absent and may be
// made, it draws a key and writes the file first.
func loadKey(path string, create bool) (store.Key, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if !create {
		return store.Key{}, fmt.Errorf("%s is missing: without it what is in the auth store cannot be read; put it back from a backup", path)
	}
	rand.Read(key[:])
	if err := writeKey(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
		return store.Key{}, fmt.Errorf("make the sealing key: %w", err)
	}
	return readKey(path) // another process may have been first
}

func readKey(path string) (store.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return store.Key{}, fmt.Errorf("read the sealing key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return store.Key{}, fmt.Errorf("%s can be read by others (%v): chmod 600 it", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return store.Key{}, fmt.Errorf("read the sealing key: %w", err)
	}
	var key store.Key
	if len(data) != len(key) {
		return store.Key{}, fmt.Errorf("%s is not a key: it has %d bytes, not %d", path, len(data), len(key))
	}
	copy(key[:], data)
	return key, nil
}

// writeKey makes the file with the whole key in it, or not at all: half a key
// after a crash would lock the store for ever.
func writeKey(path string, key store.Key) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key[:])
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename, replaces nothing
		return err
	}
	return syncDir(filepath.Dir(path))
}
