package storetest

import (
	"bytes"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func emptyStore(t tb, e env) {
	assert.False(t, get(t, e.s, "k").Exists())
	assert.Empty(t, list(t, e.s, "", "", store.MaxLimit), "Open must return an empty store")
}

func putAndGet(t tb, e env) {
	commit(t, e.s, put("k", "1", store.Absent))
	it := get(t, e.s, "k")
	assert.Equal(t, "1", string(it.Value))
	assert.True(t, it.Expires.IsZero())
	commit(t, e.s, put("k", "2", it.Revision))
	next := get(t, e.s, "k")
	assert.Equal(t, "2", string(next.Value))
	assert.NotEqual(t, it.Revision, next.Revision)
	commit(t, e.s, put("k", "2", store.Any))
	assert.NotEqual(t, next.Revision, get(t, e.s, "k").Revision, "the same value again is a new revision")
	commit(t, e.s, del("k", store.Any))
	assert.False(t, get(t, e.s, "k").Exists())
	commit(t, e.s, del("k", store.Any))
	commit(t, e.s, del("k", store.Absent))
	holds(t, e.s, map[string]string{})
}

// preconditions tries every action at every revision on a present and on an absent key.
func preconditions(t tb, e env) {
	const beyond = store.Revision(1 << 40)
	stale := commit(t, e.s, put("present", "0", store.Absent))
	now := commit(t, e.s, put("present", "1", stale))

	for _, action := range []store.Action{store.Check, store.Put, store.Delete} {
		for _, at := range []store.Revision{store.Absent, stale, beyond} {
			conflicts(t, e.s, store.Op{Key: "present", At: at, Action: action})
		}
		for _, at := range []store.Revision{stale, now, beyond} {
			conflicts(t, e.s, store.Op{Key: "absent", At: at, Action: action})
		}
	}
	assert.Equal(t, now, get(t, e.s, "present").Revision)
	holds(t, e.s, map[string]string{"present": "1"})

	commit(t, e.s, check("present", now))
	commit(t, e.s, put("present", "2", now))
	conflicts(t, e.s, del("present", now))
	commit(t, e.s, del("present", get(t, e.s, "present").Revision))
	conflicts(t, e.s, put("present", "3", now))
	commit(t, e.s, put("present", "4", store.Any))
	commit(t, e.s, put("absent", "5", store.Any))
	holds(t, e.s, map[string]string{"present": "4", "absent": "5"})
}

// allOrNothing puts the op that fails at each place of a commit.
func allOrNothing(t tb, e env) {
	one := commit(t, e.s, put("one", "1", store.Absent))
	two := commit(t, e.s, put("two", "2", store.Absent))
	before := map[string]string{"one": "1", "two": "2"}

	good := []store.Op{put("one", "x", one), put("new", "x", store.Absent), del("two", two), put("any", "x", store.Any)}
	for _, bad := range []store.Op{
		check("missing", one), check("three", 1<<40), put("four", "x", one), del("five", two),
	} {
		for i := range len(good) + 1 {
			ops := append([]store.Op{}, good[:i]...)
			ops = append(append(ops, bad), good[i:]...)
			conflicts(t, e.s, ops...)
			holds(t, e.s, before)
		}
	}

	full := make([]store.Op, store.MaxOps)
	for i := range full {
		full[i] = put("full/"+number(i), "x", store.Absent)
		full[i].Expires = time.Now().Add(time.Hour) // which may be a row of its own
	}
	last := full[len(full)-1]
	full[len(full)-1].At = one
	conflicts(t, e.s, full...)
	holds(t, e.s, before)
	full[len(full)-1] = last
	commit(t, e.s, full...)
	assert.Len(t, list(t, e.s, "full/", "", store.MaxLimit), store.MaxOps)
	conflicts(t, e.s, full...)

	commit(t, e.s, good...)
	assert.False(t, get(t, e.s, "two").Exists())
	assert.Equal(t, "x", string(get(t, e.s, "one").Value))
}

func checkOnly(t tb, e env) {
	rev := commit(t, e.s, put("k", "1", store.Absent))
	commit(t, e.s, check("k", rev))
	commit(t, e.s, check("absent", store.Absent))
	commit(t, e.s, check("k", rev), check("absent", store.Absent))
	conflicts(t, e.s, check("k", rev), check("absent", rev))
	conflicts(t, e.s, check("k", store.Absent), check("absent", store.Absent))
	assert.Equal(t, rev, get(t, e.s, "k").Revision, "a check is no write")
	holds(t, e.s, map[string]string{"k": "1"})
}

func returnedRevision(t tb, e env) {
	rev := commit(t, e.s, put("a", "1", store.Absent), check("absent", store.Absent), put("b", "1", store.Any))
	assert.Positive(t, int64(rev))
	assert.Equal(t, rev, get(t, e.s, "a").Revision)
	assert.Equal(t, rev, get(t, e.s, "b").Revision)
	for _, it := range list(t, e.s, "", "", 10) {
		assert.Equal(t, rev, it.Revision, "in a list")
	}
	assert.Zero(t, commit(t, e.s, check("a", rev)), "nothing was put")
	assert.Zero(t, commit(t, e.s, del("a", rev)), "nothing was put")
	next := commit(t, e.s, put("c", "1", store.Absent), put("b", "2", rev), del("a", store.Any))
	assert.Equal(t, next, get(t, e.s, "b").Revision)
}

// revisionsNotReused tests for ABA: a caller that read a key before it was deleted and created
// anew must not pass for one that read the new key.
func revisionsNotReused(t tb, e env) {
	seen := map[store.Revision]bool{}
	var stale []store.Revision
	for i := range 30 {
		at := store.Absent
		for range 3 {
			rev := commit(t, e.s, put("k", number(i), at))
			require.False(t, seen[rev], "revision %d was used before", rev)
			seen[rev] = true
			stale = append(stale, rev)
			at = rev
		}
		if i%2 == 0 {
			commit(t, e.s, del("k", at))
		} else {
			commit(t, e.s, del("k", store.Any), put("other", "x", store.Any))
		}
	}
	commit(t, e.s, put("k", "last", store.Absent))
	for _, rev := range stale {
		conflicts(t, e.s, put("k", "x", rev))
	}
}

func nilValue(t tb, e env) {
	commit(t, e.s, store.Op{Key: "nil", Action: store.Put}, store.Op{Key: "empty", Action: store.Put, Value: []byte{}})
	for _, key := range []string{"nil", "empty"} {
		it := get(t, e.s, key)
		assert.True(t, it.Exists(), key)
		assert.Empty(t, it.Value, key)
		conflicts(t, e.s, put(key, "x", store.Absent))
	}
	assert.Len(t, list(t, e.s, "", "", 10), 2)
}

func notAliased(t tb, e env) {
	value := []byte("value")
	commit(t, e.s, store.Op{Key: "k", Action: store.Put, Value: value})
	copy(value, "#####")
	it := get(t, e.s, "k")
	require.Equal(t, "value", string(it.Value), "the store kept the caller's slice")
	copy(it.Value, "#####")
	it = list(t, e.s, "", "", 1)[0]
	require.Equal(t, "value", string(it.Value), "Get handed out the store's slice")
	copy(it.Value, "#####")
	_ = append(it.Value, "#####"...)
	assert.Equal(t, "value", string(get(t, e.s, "k").Value), "List handed out the store's slice")
	items, err := e.s.Get(t.Context(), "k", "k")
	require.NoError(t, err)
	require.Len(t, items, 2)
	copy(items[0].Value, "#####")
	assert.Equal(t, "value", string(items[1].Value), "one Get, one slice twice")
}

func bytesSurvive(t tb, e env) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := bytes.Repeat(every, store.MaxValue/len(every))
	for name, value := range map[string][]byte{
		"every": every, "zero": {0}, "invalid UTF-8": {0xff, 0xfe}, "quote": []byte(`'"\%_`), "large": large,
	} {
		commit(t, e.s, store.Op{Key: "k", At: store.Any, Action: store.Put, Value: value})
		assert.True(t, bytes.Equal(value, get(t, e.s, "k").Value), name)
		assert.True(t, bytes.Equal(value, list(t, e.s, "k", "", 1)[0].Value), name)
	}
}
