package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/npmauth/npmauth/store"
)

// loadKeys returns the keys in the file at path, of which the first one seals and all of them
// open. If the file is absent and may be created, it draws a key and writes the file first.
func loadKeys(path string, create bool) ([]store.Key, error) {
	keys, err := readKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if !create {
		return nil, fmt.Errorf("%s is missing: without it what is in the auth store cannot be read; put it back from a backup", path)
	}
	var key store.Key
	rand.Read(key[:])
	if err := writeKey(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the sealing key: %w", err)
	}
	return readKeys(path) // another process may have been first
}

// readKeys reads the keys, which are concatenated.
func readKeys(path string) ([]store.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (%v): chmod 600 it", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	const size = len(store.Key{})
	if len(data) == 0 || len(data)%size != 0 {
		return nil, fmt.Errorf("%s has no keys: it has %d bytes, which is not %d for each", path, len(data), size)
	}
	var keys []store.Key
	for part := range slices.Chunk(data, size) {
		key := store.Key(part)
		if key == (store.Key{}) || slices.Contains(keys, key) {
			return nil, fmt.Errorf("%s: key %d is none, or is there already", path, len(keys)+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// reseal seals with the first key what the others have sealed, and logs when those can be
// removed. It ends with ctx; the next start continues.
func reseal(ctx context.Context, st store.Store, log *slog.Logger) {
	err := store.Reseal(ctx, st)
	switch {
	case err == nil:
		log.InfoContext(ctx, "auth.key: all is sealed with the first key, the others can be taken away")
	case ctx.Err() == nil:
		log.ErrorContext(ctx, "auth.key: the keys after the first one are still needed", "error", err)
	}
}

// writeKey creates the file with the whole key in it, or not at all: half a key after a crash
// would lock the store for ever.
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
