package main

import (
	"io"
	"io/fs"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// The tarballs of staged and of published versions are those that were sent.
func TestTarballsForPages(t *testing.T) {
	w := newWorld(t)
	name := protocol.PackageName{Name: "widget"}
	require.Less(t, w.do(http.MethodPut, "/widget", w.alice, hosttest.PublishBody(name, "1.0.0")).StatusCode, 300)
	p, err := w.db.find(t.Context(), "widget")
	require.NoError(t, err)
	r, err := w.db.release(t.Context(), p.ID, "1.0.0")
	require.NoError(t, err)
	const id = "0c1d2e3f-3333-4a1b-8c2d-cccccccccccc"
	require.NoError(t, w.db.stage(t.Context(), id, publication{Name: "widget", Release: release{Version: "1.1.0", Tarball: r.Tarball, Published: time.Now()}}))

	f := facts{db: w.db, people: w.people, tarballs: w.tarballs}
	for what, open := range map[string]func() (io.ReadCloser, error){
		"published": func() (io.ReadCloser, error) { return f.PublishedTarball(t.Context(), p.ID, "1.0.0") },
		"staged":    func() (io.ReadCloser, error) { return f.StagedTarball(t.Context(), id) },
	} {
		src, err := open()
		require.NoError(t, err, what)
		data, err := io.ReadAll(src)
		require.NoError(t, err, what)
		assert.NoError(t, src.Close(), what)
		assert.Equal(t, hosttest.Tarball(name, "1.0.0"), data, what)
	}
	_, err = f.PublishedTarball(t.Context(), p.ID, "9.0.0")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.StagedTarball(t.Context(), "another")
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
