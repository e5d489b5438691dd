package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func keyLimits(t tb, e env) {
	longest := strings.Repeat("x", e.maxKey)
	commit(t, e.s, put(longest, "long", store.Absent))
	assert.Equal(t, "long", string(get(t, e.s, longest).Value))
	assert.Equal(t, []string{longest}, keysOf(list(t, e.s, longest, "", 10)))
	assert.Empty(t, list(t, e.s, "x", longest, 10))

	for _, key := range []string{"", longest + "x", "tab\t", "nul\x00", "del\x7f", "ümlaut", "bad\xff"} {
		for _, op := range []store.Op{put(key, "x", store.Any), check(key, store.Absent), del(key, store.Any)} {
			_, err := e.s.Commit(t.Context(), put("good", "x", store.Any), op)
			assert.ErrorIs(t, err, store.ErrInvalid, "commit of %q", key)
		}
		_, err := e.s.Get(t.Context(), key)
		assert.ErrorIs(t, err, store.ErrInvalid, "get of %q", key)
		_, err = e.s.Get(t.Context(), longest, key)
		assert.ErrorIs(t, err, store.ErrInvalid, "get of %q", key)
		if key != "" {
			_, err = e.s.List(t.Context(), key, "", 1)
			assert.ErrorIs(t, err, store.ErrInvalid, "prefix %q", key)
			_, err = e.s.List(t.Context(), "", key, 1)
			assert.ErrorIs(t, err, store.ErrInvalid, "after %q", key)
		}
	}
	holds(t, e.s, map[string]string{longest: "long"})
}

func commitLimits(t tb, e env) {
	tooMany := make([]store.Op, store.MaxOps+1)
	for i := range tooMany {
		tooMany[i] = put("k"+number(i), "x", store.Any)
	}
	for name, ops := range map[string][]store.Op{
		"no ops":            nil,
		"too many ops":      tooMany,
		"a key twice":       {put("k", "x", store.Any), put("l", "x", store.Any), put("k", "y", store.Any)},
		"a key twice, once": {check("k", store.Absent), put("k", "x", store.Absent)},
		"value too long":    {put("l", "x", store.Any), put("k", strings.Repeat("x", store.MaxValue+store.Overhead+1), store.Any)},
		"negative revision": {put("l", "x", store.Any), put("k", "x", -2)},
		"unknown action":    {put("l", "x", store.Any), {Key: "k", Action: store.Delete + 1}},
		"check of anything": {put("l", "x", store.Any), check("k", store.Any)},
		"check with value":  {put("l", "x", store.Any), {Key: "k", Value: []byte("x")}},
		"delete with value": {put("l", "x", store.Any), {Key: "k", Action: store.Delete, Value: []byte("x")}},
		"check with expiry": {put("l", "x", store.Any), {Key: "k", Expires: time.Unix(1, 0)}},
	} {
		_, err := e.s.Commit(t.Context(), ops...)
		assert.ErrorIs(t, err, store.ErrInvalid, name)
	}
	holds(t, e.s, map[string]string{})
}

func readLimits(t tb, e env) {
	_, err := e.s.Get(t.Context())
	assert.ErrorIs(t, err, store.ErrInvalid, "no keys")
	keys := make([]string, store.MaxKeys+1)
	for i := range keys {
		keys[i] = "k" + number(i)
	}
	_, err = e.s.Get(t.Context(), keys...)
	assert.ErrorIs(t, err, store.ErrInvalid, "too many keys")
	for _, limit := range []int{-1, 0, store.MaxLimit + 1} {
		_, err = e.s.List(t.Context(), "", "", limit)
		assert.ErrorIs(t, err, store.ErrInvalid, "limit %d", limit)
	}
}

// roomForSeal is for backends: a wrapper may have used the room already.
func roomForSeal(t tb, e env) {
	if _, ok := e.s.(interface{ Unwrap() store.Store }); ok {
		t.Skip("a wrapper")
	}
	value := strings.Repeat("x", store.MaxValue)
	s := store.Seal(e.s, store.Key{1})
	commit(t, s, put("k", value, store.Absent))
	require.Equal(t, value, string(get(t, s, "k").Value))
	room := strings.Repeat("x", store.MaxValue+store.Overhead)
	commit(t, e.s, put("k", room, store.Any))
	assert.Equal(t, room, string(get(t, e.s, "k").Value))
}
