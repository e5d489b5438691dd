package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTarballs(t testing.TB) *tarballs {
	t.Helper()
	files, err := openTarballs(filepath.Join(t.TempDir(), "tarballs"))
	require.NoError(t, err)
	return files
}

func draftOf(t *testing.T, files *tarballs, content string) *draft {
	t.Helper()
	d, err := files.draft()
	require.NoError(t, err)
	t.Cleanup(d.discard)
	_, err = io.WriteString(d, content)
	require.NoError(t, err)
	return d
}

// drafts returns how many files are half-written.
func drafts(t *testing.T, files *tarballs) int {
	t.Helper()
	entries, err := os.ReadDir(files.drafts())
	require.NoError(t, err)
	return len(entries)
}

func TestKeep(t *testing.T) {
	files := newTarballs(t)
	d := draftOf(t, files, "hello")
	// Known values of the hashes of "hello".
	assert.Equal(t, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", d.shasum())
	assert.Equal(t, "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==", d.integrity())
	name, err := d.keep()
	require.NoError(t, err)
	d.discard()

	f, err := files.open(name)
	require.NoError(t, err)
	defer f.Close()
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	assert.Zero(t, drafts(t, files))

	again, err := draftOf(t, files, "hello").keep()
	require.NoError(t, err, "the same content twice")
	assert.Equal(t, name, again)
}

func TestDiscard(t *testing.T) {
	files := newTarballs(t)
	d := draftOf(t, files, "hello")
	assert.Equal(t, 1, drafts(t, files))
	d.discard()
	assert.Zero(t, drafts(t, files))

}

// Whoever starts removes what a crash left, and nothing that another process is
// receiving.
func TestAbandonedDrafts(t *testing.T) {
	files := newTarballs(t)
	left := draftOf(t, files, "left by a crash")
	past := time.Now().Add(-abandoned - time.Minute)
	require.NoError(t, os.Chtimes(left.file.Name(), past, past))
	under := draftOf(t, files, "under way")

	_, err := openTarballs(files.dir)
	require.NoError(t, err)
	assert.NoFileExists(t, left.file.Name())
	name, err := under.keep()
	require.NoError(t, err)
	f, err := files.open(name)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestPromises(t *testing.T) {
	d := draftOf(t, newTarballs(t), "hello")
	for integrity, want := range map[string]bool{
		d.integrity(): true,
		"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00= " + d.integrity(): true,
		d.integrity() + "?some=option":                       true,
		"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=":                  false, // right, and too weak
		"sha512-AAAA":                                        false,
		"":                                                   false,
	} {
		assert.Equal(t, want, d.promises(integrity), "%q", integrity)
	}
}
