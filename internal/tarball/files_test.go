package tarball_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/tarball"
)

func TestReadFiles(t *testing.T) {
	data := zip(packed(t, map[string]string{"package/package.json": packageJSON, "package/lib/a.js": "a", "alone": "b"}, tar.FormatPAX))
	for name, src := range map[string]io.Reader{"at once": bytes.NewReader(data), "byte by byte": iotest.OneByteReader(bytes.NewReader(data)), "with the end": iotest.DataErrReader(bytes.NewReader(data))} {
		files := map[string]tarball.File{}
		content, err := tarball.ReadFiles(src, nil, func(f tarball.File) error { files[f.Path] = f; return nil })
		require.NoError(t, err, name)
		assert.Equal(t, "1.0.0", content.Manifest.Version, name)
		assert.Equal(t, map[string]tarball.File{
			"package.json": {"package.json", int64(len(packageJSON)), sha256.Sum256([]byte(packageJSON))},
			"lib/a.js":     {"lib/a.js", 1, sha256.Sum256([]byte("a"))}, "alone": {"alone", 1, sha256.Sum256([]byte("b"))},
		}, files, name)
	}
}

func TestReadFilesEnds(t *testing.T) {
	data := zip(packed(t, map[string]string{"package/package.json": packageJSON, "package/a.js": "a"}, tar.FormatPAX))
	none := func(tarball.File) error { return nil }
	for n := range data {
		_, err := tarball.ReadFiles(bytes.NewReader(data[:n]), nil, none)
		_, ok := errors.AsType[*tarball.Error](err)
		require.True(t, ok, "%d: %v", n, err)
	}
	broken := errors.New("broken")
	_, err := tarball.ReadFiles(io.MultiReader(bytes.NewReader(data[:40]), iotest.ErrReader(broken)), nil, none)
	assert.ErrorIs(t, err, broken)
	_, err = tarball.ReadFiles(bytes.NewReader(data), nil, func(tarball.File) error { return broken })
	assert.ErrorIs(t, err, broken)
	done := make(chan struct{})
	close(done)
	_, err = tarball.ReadFiles(bytes.NewReader(data), done, none)
	assert.Error(t, err)
}
