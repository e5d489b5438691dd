package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AU-27: the manifest of a version is no larger than what those who install it can be expected to read.
func TestManifestIsBounded(t *testing.T) {
	w := newWorld(t)
	readme := func(n int) func(_, m map[string]any) {
		return func(_, m map[string]any) { m["readme"] = strings.Repeat("x", n) }
	}
	w.mustPublish("widget", "1.0.0", readme(maxManifest-2<<10))
	res := w.publish("widget", "1.1.0", readme(maxManifest))
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.Regexp(t, `^The manifest of a version, with its readme, may have at most 524288 bytes, and this one has 52\d{4}\.$`, sentence(t, res))
	res = w.publish("widget", "1.1.0", func(top, _ map[string]any) { top["readme"] = strings.Repeat("x", maxDocument) })
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.Equal(t, "The metadata of one publish may have at most 4194304 bytes.", sentence(t, res))
	assert.Len(t, w.doc("widget")["versions"], 1)
}

// AU-27: so is the document of all versions. One that is too large, from before, can be made smaller.
func TestPackageIsBounded(t *testing.T) {
	w := newOpenWorld(t)
	alice := w.session("alice")
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("widget", "1.1.0", nil)
	w.mustPublish("other", "1.0.0", nil)
	grow := func(to int64) {
		is, err := documentSize(t.Context(), w.db.db, w.id("widget"))
		require.NoError(t, err)
		_, err = w.db.db.Exec(`UPDATE release SET size = size + ? WHERE package = ? AND version = '1.1.0'`, to-is, w.id("widget"))
		require.NoError(t, err)
	}
	message := func(text string) (int, string) {
		doc := w.doc("widget")
		for _, m := range doc["versions"].(map[string]any) {
			m.(map[string]any)["deprecated"] = text
		}
		return w.send("PUT", "/widget", alice, doc)
	}
	const says = "The manifests of all versions of a package, with their tags, may have at most 12582912 bytes together. Unpublish versions that nobody needs."
	full := func(status int, body string) {
		t.Helper()
		assert.Equal(t, http.StatusForbidden, status)
		assert.Contains(t, body, says)
	}
	grow(maxPackage)
	res := w.publish("widget", "1.2.0", nil)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	assert.Equal(t, says, sentence(t, res))
	full(w.send("PUT", "/-/package/widget/dist-tags/next", w.alice, "1.0.0"))
	full(message("no more"))
	assert.Len(t, w.doc("widget")["versions"], 2)
	w.mustPublish("other", "1.1.0", nil)

	grow(maxPackage - 4)
	status, body := message("go")
	assert.Equal(t, 200, status, body)
	full(message("gone"))
	grow(2 * maxPackage)
	status, body = message("")
	assert.Equal(t, 200, status, body)
	res = w.do("DELETE", "/widget/-/widget-1.1.0.tgz/-rev/"+w.doc("widget")["_rev"].(string), alice, nil)
	assert.Equal(t, 200, res.StatusCode, text(t, res))
	w.mustPublish("widget", "1.2.0", nil)
}

func TestDeprecationIsBounded(t *testing.T) {
	w := newOpenWorld(t)
	alice := w.session("alice")
	w.mustPublish("widget", "1.0.0", nil)
	for n, want := range map[int]int{maxMessage: 200, maxMessage + 1: 400} {
		doc := w.doc("widget")
		doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = strings.Repeat("x", n)
		status, body := w.send("PUT", "/widget", alice, doc)
		assert.Equal(t, want, status, body)
	}
	assert.Len(t, w.message("widget", "1.0.0"), maxMessage)
	res := w.publish("widget", "1.1.0", func(_, m map[string]any) { m["deprecated"] = strings.Repeat("x", maxMessage+1) })
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	assert.Equal(t, "A deprecation message may have at most 1024 bytes.", sentence(t, res))
}

// What a search shows of a manifest has bounds of its own, since it shows many.
func TestSummaryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", func(_, m map[string]any) {
		words := make([]string, 100)
		for i := range words {
			words[i] = fmt.Sprint("word", i, strings.Repeat("é", 100))
		}
		m["description"], m["keywords"] = strings.Repeat("é", 10000), words
	})
	is, err := w.db.summary(t.Context(), "widget")
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("é", 512), is.Description)
	assert.Len(t, is.Keywords, 32)
	assert.Equal(t, "word0"+strings.Repeat("é", 59), is.Keywords[0])
	assert.Equal(t, "alice", is.Publisher)
}

// big makes a public package of n versions with manifests of size bytes.
func (w *world) big(name string, n, size int) {
	w.t.Helper()
	w.mustPublish(name, "0.0.0", nil)
	for i := range n {
		version := fmt.Sprintf("1.0.%d", i)
		require.NoError(w.t, w.db.publish(w.t.Context(), publication{Name: name, At: w.id(name), Tags: map[string]string{"latest": version}, Release: release{
			Version: version, Manifest: fmt.Appendf(nil, `{"name":%q,"version":%q,"dependencies":{"a":"%s"},"dist":{"shasum":"s"}}`, name, version, strings.Repeat("x", size)),
			Tarball: "ab12", Published: time.UnixMilli(int64(i)),
		}}))
	}
}

// A stalled writer takes some bytes of an answer, says so, and waits.
type stalled struct {
	*httptest.ResponseRecorder
	bytes   int
	stalls  chan<- struct{}
	release <-chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	if s.bytes += len(p); s.bytes > 64<<10 && s.stalls != nil {
		s.stalls <- struct{}{}
		<-s.release
		s.stalls = nil
	}
	return len(p), nil
}

// AU-27: a reader of a big document takes the memory of one version of it, not of all.
func TestReadersOfABigDocument(t *testing.T) {
	w := newWorld(t)
	const versions, size, readers = 8, 400 << 10, 8
	w.big("widget", versions, size)
	for _, accept := range []string{"*/*", abbreviatedType} {
		stalls, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		before := heap()
		for range readers {
			all.Go(func() {
				r := httptest.NewRequest("GET", "/widget", nil)
				r.Header.Set("Accept", accept)
				to := &stalled{ResponseRecorder: httptest.NewRecorder(), stalls: stalls, release: release}
				w.handler.ServeHTTP(to, r)
				assert.Greater(t, to.bytes, versions*size)
			})
		}
		for range readers {
			<-stalls
		}
		assert.Less(t, heap()-before, int64(readers*2*size), "%d readers of %d bytes", readers, versions*size)
		close(release)
		all.Wait()
	}
	var doc struct {
		Versions map[string]struct{ Dist struct{ Tarball string } }
		Time     map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(w.ok("GET", "/widget", "", nil)), &doc))
	assert.Len(t, doc.Versions, versions+1)
	assert.Len(t, doc.Time, versions+3)
	res := w.do("HEAD", "/widget", "", nil)
	assert.Equal(t, 200, res.StatusCode)
	assert.Empty(t, text(t, res))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Few manifests are rendered at a time, which takes several times their memory.
func TestFewManifestsAreRenderedAtATime(t *testing.T) {
	v := viewAt(t, "http://registry.example/")
	var now, peak atomic.Int32
	read := func(context.Context, string) (release, error) {
		n := now.Add(1)
		for was := peak.Load(); n > was && !peak.CompareAndSwap(was, n); was = peak.Load() {
		}
		runtime.Gosched()
		now.Add(-1)
		return release{Version: "1.0.0", Manifest: []byte(`{"dist":{}}`)}, nil
	}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			_, err := v.render(t.Context(), pkg{Name: "widget"}, "1.0.0", read, nil)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.LessOrEqual(t, int(peak.Load()), cap(rendering))
	assert.Empty(t, rendering)

	for range cap(rendering) {
		rendering <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.render(gone, pkg{Name: "widget"}, "1.0.0", read, nil)
	assert.ErrorIs(t, err, context.Canceled, "who is gone waits no longer")
	for range cap(rendering) {
		<-rendering
	}
}

// A document that cannot be written to its end is cut off: half of it is not JSON, and a client that
// gets it repeats its request. Nothing of it is sent if that is found soon enough.
func TestDocumentThatChangesWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	w.big("widget", 3, 40<<10)
	lose := func(version string) {
		_, err := w.db.db.Exec(`DELETE FROM manifest WHERE package = ? AND version = ?`, w.id("widget"), version)
		require.NoError(t, err)
	}
	lose("1.0.1") // as a transaction of another node may, between two reads
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { w.do("GET", "/widget", "", nil, "Accept", abbreviatedType) })
	lose("1.0.2") // latest, which comes first
	assert.Contains(t, w.refused(409, "GET", "/widget", "", nil), "Try again")
	res := w.do("GET", "/widget", "", nil)
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	assert.Empty(t, res.Header.Get("ETag"))
}

// The ETag is of all that a document is made from, and no more.
func TestETags(t *testing.T) {
	w := newOpenWorld(t)
	alice, mallory := w.session("alice"), w.session("mallory")
	w.mustPublish("widget", "1.0.0", nil)
	tag := func(accept string) string {
		res := w.do("GET", "/widget", "", nil, "Accept", accept)
		require.Equal(t, 200, res.StatusCode)
		return res.Header.Get("ETag")
	}
	seen := map[string]string{}
	changed := func(what string) {
		t.Helper()
		for _, accept := range []string{"*/*", abbreviatedType} {
			is := tag(accept)
			assert.Equal(t, is, tag(accept))
			assert.NotContains(t, seen, is, what)
			seen[is] = what
			for _, sent := range []string{is, "W/" + is, `"x", ` + is, "*"} {
				res := w.do("GET", "/widget", "", nil, "Accept", accept, "If-None-Match", sent)
				assert.Equal(t, http.StatusNotModified, res.StatusCode, sent)
				assert.Equal(t, is, res.Header.Get("ETag"))
				assert.Empty(t, text(t, res))
			}
			for _, sent := range []string{`"x"`, "", is[:len(is)-1]} {
				assert.Equal(t, 200, w.do("GET", "/widget", "", nil, "Accept", accept, "If-None-Match", sent).StatusCode, sent)
			}
		}
	}
	changed("published")
	w.mustPublish("widget", "1.1.0", nil)
	changed("another version")
	w.ok("PUT", "/-/package/widget/dist-tags/next", w.alice, "1.0.0")
	changed("a tag")
	w.ok("PUT", "/widget", mallory, map[string]any{"_id": "widget", "_rev": w.doc("widget")["_rev"], "users": map[string]bool{"mallory": true}})
	changed("a star")
	w.ok("PUT", "/-/package/widget/owners", alice, map[string]any{"user": "mallory"})
	changed("an owner")
}
