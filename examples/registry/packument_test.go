package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func viewAt(t testing.TB, base string) view {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	return view{base: u}
}

// HS-13: the URL of a tarball is at the name of this machine by which the client reaches the registry,
// and no other Host header changes it.
func TestTarballsAreWhereTheClientIs(t *testing.T) {
	w := newWorld(t)
	w.registry.view = viewAt(t, "http://localhost:4873/npm/")
	w.registry.view.names = []string{"localhost:4873", "127.0.0.1:4873", "[::1]:4873"}
	require.NoError(t, w.registry.db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	tags := map[string]string{}
	for host, want := range map[string]string{
		"localhost:4873": "localhost:4873", "127.0.0.1:4873": "127.0.0.1:4873", "[::1]:4873": "[::1]:4873",
		"127.0.0.1": "localhost:4873", "127.0.0.1:80": "localhost:4873", "LOCALHOST:4873": "localhost:4873", "evil.example:4873": "localhost:4873",
		"127.0.0.1:4873.evil.example": "localhost:4873", "": "localhost:4873",
	} {
		for path, accept := range map[string]string{"/widget": "", "/widget/1.0.0": "", "/widget/latest": "application/json", "/widget?": abbreviatedType} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			r.Header.Set("Accept", accept)
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			require.Equal(t, http.StatusOK, rec.Code, path)
			assert.Contains(t, rec.Body.String(), `"http://`+want+`/npm/widget/-/widget-1.0.0.tgz"`, host)
			if path == "/widget" {
				tags[want] = rec.Header().Get("ETag")
			}
		}
	}
	assert.Len(t, tags, 3)
	assert.NotEqual(t, tags["localhost:4873"], tags["127.0.0.1:4873"], "a cache must not mix them up")
}

func TestPackument(t *testing.T) {
	db := newDatabase(t)
	v := viewAt(t, "https://npm.acme.test/pkg/")
	first := publicationOf("@acme/widget", "1.0.0")
	first.Release.Manifest = []byte(`{"name":"@acme/widget","version":"1.0.0","description":"old","scripts":{"postinstall":"x"},"dependencies":{"a":"1"},"dist":{"shasum":"s"}}`)
	require.NoError(t, db.publish(t.Context(), first))
	p, err := db.find(t.Context(), "@acme/widget")
	require.NoError(t, err)
	next := publicationOf("@acme/widget", "1.1.0")
	next.At, next.Tags = p.ID, map[string]string{"latest": "1.1.0"}
	next.Release.Manifest = []byte(`{"name":"@acme/widget","version":"1.1.0","description":"new","scripts":{"test":"x"},"readme":"# R","dist":{"shasum":"t"}}`)
	next.Release.Published = first.Release.Published.Add(1500 * time.Millisecond)
	require.NoError(t, db.publish(t.Context(), next))
	is, err := db.read(t.Context(), "@acme/widget", p.ID)
	require.NoError(t, err)

	read := func(ctx context.Context, version string) (release, error) { return db.stored(ctx, p.ID, version) }
	var full, short strings.Builder
	require.NoError(t, v.packument(t.Context(), &full, is, []string{"alice"}, []string{"bob"}, read))
	assert.JSONEq(t, fmt.Sprintf(`{
		"_id": "@acme/widget", "_rev": "2-%s", "name": "@acme/widget", "description": "new", "readme": "# R",
		"dist-tags": {"latest": "1.1.0"},
		"maintainers": [{"name": "alice", "email": ""}], "users": {"bob": true},
		"time": {"created": "1970-01-01T00:00:01.000Z", "modified": "1970-01-01T00:00:02.500Z", "1.0.0": "1970-01-01T00:00:01.000Z", "1.1.0": "1970-01-01T00:00:02.500Z"},
		"versions": {
			"1.0.0": {"name": "@acme/widget", "version": "1.0.0", "description": "old", "scripts": {"postinstall": "x"}, "dependencies": {"a": "1"}, "hasInstallScript": true,
				"dist": {"shasum": "s", "tarball": "https://npm.acme.test/pkg/@acme/widget/-/widget-1.0.0.tgz"}},
			"1.1.0": {"name": "@acme/widget", "version": "1.1.0", "description": "new", "scripts": {"test": "x"}, "readme": "# R",
				"dist": {"shasum": "t", "tarball": "https://npm.acme.test/pkg/@acme/widget/-/widget-1.1.0.tgz"}}
		}
	}`, p.ID), full.String())

	require.NoError(t, v.abbreviated(t.Context(), &short, is, []string{"alice"}, read))
	assert.JSONEq(t, fmt.Sprintf(`{
		"_id": "@acme/widget", "_rev": "2-%s", "name": "@acme/widget", "modified": "1970-01-01T00:00:02.500Z", "dist-tags": {"latest": "1.1.0"},
		"maintainers": [{"name": "alice", "email": ""}],
		"versions": {
			"1.0.0": {"name": "@acme/widget", "version": "1.0.0", "dependencies": {"a": "1"}, "hasInstallScript": true,
				"dist": {"shasum": "s", "tarball": "https://npm.acme.test/pkg/@acme/widget/-/widget-1.0.0.tgz"}},
			"1.1.0": {"name": "@acme/widget", "version": "1.1.0",
				"dist": {"shasum": "t", "tarball": "https://npm.acme.test/pkg/@acme/widget/-/widget-1.1.0.tgz"}}
		}
	}`, p.ID), short.String())
}

func TestTarballNames(t *testing.T) {
	assert.Equal(t, "widget-1.0.0.tgz", tarballFile("@acme/widget", "1.0.0"))
	assert.Equal(t, "widget-1.0.0.tgz", tarballFile("widget", "1.0.0"))
}
