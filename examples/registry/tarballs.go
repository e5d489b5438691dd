package main

import (
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A digest names a tarball by its content: the SHA-512 of its bytes, in hex.
type digest string

// Tarballs is a folder of tarballs, each in a file that is named by its content.
// A file is complete from the moment it has its name, and is never changed.
type tarballs struct {
	dir string
}

// abandoned is the age after which an unfinished draft is removed.
const abandoned = 24 * time.Hour

// openTarballs creates the folder, and removes drafts that a crash left. Recent drafts stay:
// another process may share the folder and be receiving them.
func openTarballs(dir string) (*tarballs, error) {
	t := &tarballs{dir: dir}
	if err := os.MkdirAll(t.drafts(), 0o700); err != nil {
		return nil, fmt.Errorf("open tarballs: %w", err)
	}
	entries, err := os.ReadDir(t.drafts())
	if err != nil {
		return nil, fmt.Errorf("open tarballs: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && time.Since(info.ModTime()) > abandoned {
			err = os.Remove(filepath.Join(t.drafts(), entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may be at it, too
			return nil, fmt.Errorf("open tarballs: %w", err)
		}
	}
	return t, nil
}

func (t *tarballs) drafts() string { return filepath.Join(t.dir, "drafts") }

func (t *tarballs) path(d digest) string {
	return filepath.Join(t.dir, string(d[:2]), string(d)+".tgz")
}

// open returns a tarball that was kept.
func (t *tarballs) open(d digest) (*os.File, error) {
	return os.Open(t.path(d))
}

// draft begins a tarball. The caller must call discard when it is done with it,
// kept or not.
func (t *tarballs) draft() (*draft, error) {
	f, err := os.CreateTemp(t.drafts(), "*.tgz")
	if err != nil {
		return nil, fmt.Errorf("begin tarball: %w", err)
	}
	return &draft{home: t, file: f, sha1: sha1.New(), sha512: sha512.New()}, nil
}

// A draft is a tarball that is being received.
type draft struct {
	home   *tarballs
	file   *os.File
	size   int64
	sha1   hash.Hash // npm's shasum, which old clients compare
	sha512 hash.Hash
}

// Write adds bytes to the tarball.
func (d *draft) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	d.size += int64(n)
	d.sha1.Write(p[:n])
	d.sha512.Write(p[:n])
	return n, err
}

// shasum returns npm's dist.shasum of what was written.
func (d *draft) shasum() string { return hex.EncodeToString(d.sha1.Sum(nil)) }

// integrity returns npm's dist.integrity of what was written, in the form of
// the W3C's Subresource Integrity.
func (d *draft) integrity() string {
	return "sha512-" + base64.StdEncoding.EncodeToString(d.sha512.Sum(nil))
}

// promises reports whether the bytes match an integrity string: it must have a SHA-512, and any
// of them may match.
func (d *draft) promises(integrity string) bool {
	return slices.ContainsFunc(strings.Fields(integrity), func(one string) bool {
		one, _, _ = strings.Cut(one, "?") // options have no meaning yet
		return one == d.integrity()
	})
}

// keep stores the draft as a tarball and returns its name. When it returns, the
// tarball survives a crash of the machine.
func (d *draft) keep() (digest, error) {
	name := digest(hex.EncodeToString(d.sha512.Sum(nil)))
	path := d.home.path(name)
	err := errors.Join(d.file.Sync(), d.file.Close())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.Rename(d.file.Name(), path)
	}
	if err == nil {
		err = errors.Join(syncDir(filepath.Dir(path)), syncDir(d.home.dir))
	}
	if err != nil {
		return "", fmt.Errorf("keep tarball: %w", err)
	}
	return name, nil
}

// discard drops the draft unless it was kept.
func (d *draft) discard() {
	d.file.Close()
	os.Remove(d.file.Name())
}

// syncDir makes the names in a folder survive a crash, which syncing the files
// alone does not.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

var _ io.Writer = (*draft)(nil)
