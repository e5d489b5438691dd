package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (w *world) message(name, version string) any {
	return w.doc(name)["versions"].(map[string]any)[version].(map[string]any)["deprecated"]
}

func TestDeprecate(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("widget", "1.1.0", func(_, m map[string]any) { m["deprecated"] = "from birth" })
	assert.Equal(t, "from birth", w.message("widget", "1.1.0"))

	say := func(version string, message any) map[string]any {
		doc := w.doc("widget")
		doc["versions"].(map[string]any)[version].(map[string]any)["deprecated"] = message
		return doc
	}
	w.ok("PUT", "/widget", w.alice, say("1.0.0", "use \x1b[31m2"))
	assert.Equal(t, "use \x1b[31m2", w.message("widget", "1.0.0"))
	assert.Equal(t, "from birth", w.message("widget", "1.1.0"))
	short := text(t, w.do("GET", "/widget", "", nil, "Accept", abbreviatedType))
	assert.Contains(t, short, `"deprecated":"from birth"`, "which npm install warns of")

	w.ok("PUT", "/widget", w.alice, say("1.1.0", ""))
	assert.Nil(t, w.message("widget", "1.1.0"))

	stale := say("1.0.0", "stale")
	w.ok("PUT", "/widget", w.alice, say("1.0.0", "newer"))
	w.refused(409, "PUT", "/widget", w.alice, stale)
	w.refused(403, "PUT", "/widget", w.mallory, say("1.0.0", "mine"))
	assert.Equal(t, "newer", w.message("widget", "1.0.0"))
}

// A message is a change of the package that was judged, as it was read.
func TestDeprecateConditions(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	doc := w.doc("widget")
	doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = "old"
	body, err := json.Marshal(doc)
	require.NoError(t, err)
	w.between = func() {
		w.between = func() {}
		require.NoError(t, w.db.setTag(t.Context(), "widget", w.id("widget"), "beta", "1.0.0"))
	}
	res := w.do("PUT", "/widget", w.alice, body)
	assert.Equal(t, 409, res.StatusCode)
	assert.Contains(t, sentence(t, res), "has changed")
	at := target{Name: "widget", ID: w.id("widget")}
	assert.ErrorIs(t, w.db.deprecate(t.Context(), at, map[string]string{"1.0.0": "x", "9.9.9": "x"}), errNoVersion)
	assert.Nil(t, w.message("widget", "1.0.0"), "all or nothing")
}
