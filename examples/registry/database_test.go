package main

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

func newDatabase(t testing.TB) *database {
	t.Helper()
	// The name has what a URL would read as something else.
	db, _, err := openDatabase(t.Context(), filepath.Join(t.TempDir(), "a b?c#d%41.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.close()) })
	return db
}

// publication returns a first release of name by alice.
func publicationOf(name, version string) publication {
	return publication{
		Name: name, Owner: "u-alice",
		Release: release{Version: version, Manifest: []byte(`{"name":"` + name + `"}`), Tarball: "ab12", Published: time.UnixMilli(1000)},
	}
}

func TestPublishCreates(t *testing.T) {
	db := newDatabase(t)
	_, err := db.find(t.Context(), "widget")
	require.ErrorIs(t, err, errNoPackage)

	first := publicationOf("widget", "1.0.0")
	first.Tags = map[string]string{"beta": "1.0.0"}
	require.NoError(t, db.publish(t.Context(), first))

	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)
	assert.Equal(t, pkg{
		ID: p.ID, Name: "widget", Revision: 1,
		Created: time.UnixMilli(1000), Modified: time.UnixMilli(1000),
	}, p)
	assert.NotEmpty(t, p.ID)

	is, err := db.read(t.Context(), "widget", p.ID)
	require.NoError(t, err)
	assert.Equal(t, p, is.pkg)
	assert.Equal(t, []dated{{"1.0.0", time.UnixMilli(1000)}}, is.versions)
	stored, err := db.stored(t.Context(), p.ID, "1.0.0")
	require.NoError(t, err)
	assert.Equal(t, release{Version: "1.0.0", Manifest: first.Release.Manifest}, stored)
	_, err = db.stored(t.Context(), p.ID, "beta")
	assert.ErrorIs(t, err, errNoVersion)
	assert.Equal(t, []protocol.UserID{"u-alice"}, is.owners)
	assert.Equal(t, map[string]string{"beta": "1.0.0", "latest": "1.0.0"}, is.tags, "the first release is latest, too")
}

func TestPublishAgain(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)

	next := publicationOf("widget", "1.1.0-rc.1")
	next.At, next.Tags = p.ID, map[string]string{"next": "1.1.0-rc.1"}
	next.Release.Published = time.UnixMilli(2000)
	require.NoError(t, db.publish(t.Context(), next))
	other := next
	other.Release.Manifest = []byte(`{"name":"widget","other":true}`)
	assert.ErrorIs(t, db.publish(t.Context(), other), errPublished)

	after, err := db.read(t.Context(), "widget", p.ID)
	require.NoError(t, err)
	assert.Equal(t, []dated{{"1.0.0", time.UnixMilli(1000)}, {"1.1.0-rc.1", time.UnixMilli(2000)}}, after.versions, "oldest first")
	assert.Equal(t, map[string]string{"latest": "1.0.0", "next": "1.1.0-rc.1"}, after.tags)
	assert.Equal(t, int64(2), after.Revision, "the refused publish left nothing behind")
	assert.Equal(t, time.UnixMilli(2000), after.Modified)
}

// A client that lost the answer sends the same publish again, and hears what it
// missed. Nothing that happened in between is undone.
func TestPublishRetry(t *testing.T) {
	db := newDatabase(t)
	first := publicationOf("widget", "1.0.0")
	require.NoError(t, db.publish(t.Context(), first))
	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)
	next := publicationOf("widget", "1.1.0")
	next.At, next.Tags = p.ID, map[string]string{"latest": "1.1.0"}
	require.NoError(t, db.publish(t.Context(), next))

	again := first
	again.At, again.Tags = p.ID, map[string]string{"latest": "1.0.0"}
	again.Release.Published = first.Release.Published.Add(retries)
	require.NoError(t, db.publish(t.Context(), again))
	after, err := db.read(t.Context(), "widget", p.ID)
	require.NoError(t, err)
	assert.Len(t, after.versions, 2)
	assert.Equal(t, "1.1.0", after.tags["latest"])
	assert.Equal(t, int64(2), after.Revision)

	again.Release.Published = again.Release.Published.Add(time.Millisecond)
	assert.ErrorIs(t, db.publish(t.Context(), again), errPublished, "too late")
	again.Release.Published, again.Release.Tarball = first.Release.Published, "cd34"
	assert.ErrorIs(t, db.publish(t.Context(), again), errPublished, "another tarball")
}

// A publish is a publish of the package that was judged, or none.
func TestPublishConditions(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))

	for name, at := range map[string]protocol.PackageID{
		"must not exist": "",
		"another":        "another",
	} {
		t.Run(name, func(t *testing.T) {
			p := publicationOf("widget", "2.0.0")
			p.At = at
			assert.ErrorIs(t, db.publish(t.Context(), p), errMoved)
		})
	}
	t.Run("is gone", func(t *testing.T) {
		p := publicationOf("gadget", "1.0.0")
		p.At = "gone"
		assert.ErrorIs(t, db.publish(t.Context(), p), errMoved)
		_, err := db.find(t.Context(), "gadget")
		assert.ErrorIs(t, err, errNoPackage)
	})
	t.Run("tag without version", func(t *testing.T) {
		p := publicationOf("gadget", "1.0.0")
		p.Tags = map[string]string{"next": "9.9.9"}
		assert.ErrorIs(t, db.publish(t.Context(), p), errNoVersion)
		_, err := db.find(t.Context(), "gadget")
		assert.ErrorIs(t, err, errNoPackage, "all or nothing")
	})
}

func TestPublishRace(t *testing.T) {
	db := newDatabase(t)
	const creators = 8
	errs := make([]error, creators)
	var wg sync.WaitGroup
	for i := range creators {
		wg.Go(func() {
			p := publicationOf("widget", "1.0.0")
			p.Owner = protocol.UserID(rune('a' + i))
			errs[i] = db.publish(t.Context(), p)
		})
	}
	wg.Wait()
	var won int
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			assert.ErrorIs(t, err, errMoved)
		}
	}
	assert.Equal(t, 1, won)
}

func TestRelease(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)

	for name, want := range map[string]error{"1.0.0": nil, "latest": nil, "2.0.0": errNoVersion, "": errNoVersion} {
		r, err := db.release(t.Context(), p.ID, name)
		assert.ErrorIs(t, err, want, "%q", name)
		if want == nil {
			assert.Equal(t, "1.0.0", r.Version)
		}
	}
}

func TestTags(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)

	require.NoError(t, db.setTag(t.Context(), "widget", p.ID, "stable", "1.0.0"))
	assert.ErrorIs(t, db.setTag(t.Context(), "widget", p.ID, "stable", "2.0.0"), errNoVersion)
	assert.ErrorIs(t, db.setTag(t.Context(), "widget", "other", "stable", "1.0.0"), errMoved)
	assert.ErrorIs(t, db.removeTag(t.Context(), "widget", "other", "stable"), errMoved)
	assert.ErrorIs(t, db.removeTag(t.Context(), "gadget", "other", "stable"), errNoPackage)
	tags, err := db.tags(t.Context(), p.ID)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"latest": "1.0.0", "stable": "1.0.0"}, tags)

	require.NoError(t, db.removeTag(t.Context(), "widget", p.ID, "stable"))
	assert.ErrorIs(t, db.removeTag(t.Context(), "widget", p.ID, "stable"), errNoTag)
	after, err := db.find(t.Context(), "widget")
	require.NoError(t, err)
	assert.Equal(t, int64(3), after.Revision, "published, tagged, untagged")
}

// What a publish acknowledged is there when the file is opened by another
// process, which has nothing but the disk.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	db, _, err := openDatabase(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	var mode string
	var sync int
	require.NoError(t, errors.Join(
		db.db.QueryRow(`PRAGMA journal_mode`).Scan(&mode),
		db.db.QueryRow(`PRAGMA synchronous`).Scan(&sync)))
	assert.Equal(t, "wal", mode)
	assert.Equal(t, 2, sync, "FULL")

	// While the first is still open, as after a kill, and a process writes.
	tx, err := db.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	other, _, err := openDatabase(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	_, err = other.find(t.Context(), "widget")
	assert.NoError(t, err)
	require.NoError(t, errors.Join(other.close(), db.close()))
}
