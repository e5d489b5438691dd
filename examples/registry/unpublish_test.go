package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
)

// without returns what npm sends to take a version away.
func without(doc map[string]any, version, latest string) map[string]any {
	delete(doc["versions"].(map[string]any), version)
	tags := doc["dist-tags"].(map[string]any)
	for tag, of := range tags {
		if of == version {
			delete(tags, tag)
		}
	}
	tags["latest"] = latest
	return doc
}

func TestUnpublish(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		w.mustPublish("widget", version, with("dist-tags", map[string]string{"latest": version, "line" + version[:1]: version}))
	}
	doc := w.doc("widget")
	rev := doc["_rev"].(string)
	w.ok("PUT", "/widget/-rev/"+rev, w.alice, without(doc, "2.0.0", "1.1.0"))
	is, err := w.db.readAny(t.Context(), "widget")
	require.NoError(t, err)
	assert.Len(t, is.versions, 2)
	assert.Equal(t, map[string]string{"latest": "1.1.0", "line1": "1.1.0"}, is.tags)
	w.refused(404, "GET", "/widget/-/widget-2.0.0.tgz", w.alice, nil)
	w.ok("DELETE", "/widget/-/widget-2.0.0.tgz/-rev/"+is.rev(), w.alice, nil)
	after, err := w.db.readAny(t.Context(), "widget")
	require.NoError(t, err)
	assert.Equal(t, is, after, "the second step finds it done")

	t.Run("the tarball alone", func(t *testing.T) {
		w.ok("DELETE", "/widget/-/widget-1.1.0.tgz/-rev/"+is.rev(), w.alice, nil)
		is, err := w.db.readAny(t.Context(), "widget")
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"latest": "1.0.0"}, is.tags)
	})
	t.Run("from a document that has changed", func(t *testing.T) {
		w.mustPublish("widget", "3.0.0", nil)
		doc := w.doc("widget")
		w.mustPublish("widget", "3.0.1", nil)
		assert.Contains(t, w.refused(409, "PUT", "/widget/-rev/"+doc["_rev"].(string), w.alice, without(doc, "3.0.0", "1.0.0")), "has changed")
	})
	t.Run("never again", func(t *testing.T) {
		for _, version := range []string{"2.0.0", "1.1.0"} {
			res := w.publish("widget", version, nil)
			assert.Equal(t, http.StatusForbidden, res.StatusCode)
			assert.Contains(t, sentence(t, res), "was unpublished")
		}
	})
	t.Run("by somebody else", func(t *testing.T) {
		w.refused(403, "DELETE", "/widget/-/widget-1.0.0.tgz/-rev/1-x", w.mallory, nil)
		w.refused(403, "DELETE", "/widget/-rev/1-x", w.mallory, nil)
	})
}

// A package that is unpublished and made again is another one, and has none of the old
// versions. Its name stays with those who had it.
func TestUnpublishAll(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("@alice/widget", "1.0.0", nil)
	was := w.id("widget")
	require.NoError(t, w.db.star(t.Context(), target{Name: "widget", ID: was}, "u-1", true))
	w.refused(409, "DELETE", "/widget/-rev/7-"+string(was), w.alice, nil)
	w.refused(409, "DELETE", "/widget/-rev/undefined", w.alice, nil)
	w.ok("DELETE", "/widget/-rev/1-"+string(was), w.alice, nil)
	w.refused(404, "GET", "/widget", w.alice, nil)

	assert.Contains(t, sentence(t, w.publish("widget", "1.0.0", nil)), "was unpublished")
	theirs := hosttest.PublishBody(protocol.PackageName{Name: "widget"}, "6.6.6")
	assert.Equal(t, http.StatusForbidden, w.do("PUT", "/widget", w.mallory, theirs).StatusCode)
	w.mustPublish("widget", "1.0.1", nil)
	assert.NotEqual(t, was, w.id("widget"))

	t.Run("by its last tarball", func(t *testing.T) {
		w.ok("DELETE", "/@alice/widget/-/widget-1.0.0.tgz/-rev/1-x", w.alice, nil)
		w.refused(404, "GET", "/@alice%2fwidget", w.alice, nil)
		w.mustPublish("@alice/widget", "1.0.1", nil)
	})
	t.Run("a name in between", func(t *testing.T) {
		p := publicationOf("widget", "9.0.0")
		p.Owner = "u-mallory"
		require.NoError(t, w.db.remove(t.Context(), target{Name: "widget", ID: w.id("widget")}))
		assert.ErrorIs(t, w.db.publish(t.Context(), p), errMoved, "allowed when it was free")
	})
}

func TestUnpublishConditions(t *testing.T) {
	db := newDatabase(t)
	require.NoError(t, db.publish(t.Context(), publicationOf("widget", "1.0.0")))
	p, err := db.find(t.Context(), "widget")
	require.NoError(t, err)
	is := target{Name: "widget", ID: p.ID, Revision: p.rev()}
	for name, tt := range map[string]struct {
		at   target
		err  error
		what string
	}{
		"another package": {target{Name: "widget", ID: "other"}, errMoved, "1.0.0"},
		"another name":    {target{Name: "gadget", ID: p.ID}, errNoPackage, "1.0.0"},
		"another time":    {target{Name: "widget", ID: p.ID, Revision: "0-" + string(p.ID)}, errStale, "1.0.0"},
		"another version": {is, errNoVersion, "2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorIs(t, db.unpublish(t.Context(), tt.at, []string{tt.what}, nil), tt.err)
			if !errors.Is(tt.err, errNoVersion) {
				assert.ErrorIs(t, db.remove(t.Context(), tt.at), tt.err)
			}
		})
	}
	assert.ErrorIs(t, db.unpublish(t.Context(), is, []string{"1.0.0"}, map[string]string{"latest": "1.0.0"}), errNoVersion, "a tag on what goes")
	_, err = db.read(t.Context(), "widget", p.ID)
	assert.NoError(t, err, "all or nothing")
}
