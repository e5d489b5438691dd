package storetest

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func getOrder(t tb, e env) {
	keys := make([]string, store.MaxKeys)
	for i := range keys {
		keys[i] = "k" + number(len(keys)-i)
		if i%2 == 0 {
			commit(t, e.s, put(keys[i], keys[i], store.Absent))
		}
	}
	keys[50], keys[7] = keys[2], keys[3] // repeated, present and absent
	items, err := e.s.Get(t.Context(), keys...)
	require.NoError(t, err)
	require.Equal(t, keys, keysOf(items))
	for i, it := range items {
		present := i%2 == 0
		assert.Equal(t, present, it.Exists(), "item %d", i)
		if present {
			assert.Equal(t, it.Key, string(it.Value))
		} else {
			assert.Empty(t, it.Value)
		}
	}
}

// awkward are keys whose order or meaning differs between byte order, a
// collation, a pattern and a path. Each byte of printable ASCII is in one.
func awkward() []string {
	var keys []string
	for c := byte(0x20); c <= 0x7e; c++ {
		keys = append(keys, "k"+string(c), "k"+string(c)+"/x")
	}
	return append(keys, "K", "k", "a", "B", "~", " ", "k  ", "kk/", "k/a/b", "k/a%2Fb", "k/a", "k.a/1", `k\`, "k''")
}

// pages returns the keys below prefix, read page by page. It stops once there are more than
// there should be.
func pages(t tb, s store.Store, prefix string, limit, should int) []string {
	t.Helper()
	var got []string
	after := ""
	for {
		page := list(t, s, prefix, after, limit)
		got = append(got, keysOf(page)...)
		if len(page) < limit || len(got) > should {
			return got
		}
		after = page[len(page)-1].Key
	}
}

func listOrder(t tb, e env) {
	keys := awkward()
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, k := range slices.Backward(keys) {
		commit(t, e.s, put(k, k, store.Any))
	}
	require.Equal(t, keys, pages(t, e.s, "", 100, len(keys)))
	for _, k := range keys {
		assert.Equal(t, k, string(get(t, e.s, k).Value))
	}
}

func listPrefix(t tb, e env) {
	keys := awkward()
	for _, k := range keys {
		commit(t, e.s, put(k, "", store.Any))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, prefix := range []string{
		"k/", "k", "K", "k%", "k_", "k*", "k?", "k[", "k]", "k\\", "k'", `k"`, "k~", "k ", " ", "~", "k/a", "k/a/", "kk", "none",
	} {
		want := []string{}
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		want = want[:min(len(want), 100)]
		assert.Equal(t, want, keysOf(list(t, e.s, prefix, "", 100)), "prefix %q", prefix)
	}
}

func listPages(t tb, e env) {
	var want []string
	for i := range 130 {
		key := "p/" + number(i)
		want = append(want, key)
		commit(t, e.s, put(key, number(i), store.Absent))
	}
	commit(t, e.s, put("p", "", store.Absent), put("p0", "", store.Absent), put("o/1", "", store.Absent))

	for _, limit := range []int{1, 7, 65, 99, 100} {
		require.Equal(t, want, pages(t, e.s, "p/", limit, len(want)), "pages of %d", limit)
	}
	for _, it := range list(t, e.s, "p/", "", 100) {
		assert.Equal(t, strings.TrimPrefix(it.Key, "p/"), string(it.Value))
		assert.Equal(t, get(t, e.s, it.Key).Revision, it.Revision)
	}

	assert.Equal(t, want[:3], keysOf(list(t, e.s, "p/", "p/", 3)), "after the prefix itself")
	assert.Equal(t, want[:3], keysOf(list(t, e.s, "p/", "a", 3)), "after a key before the prefix")
	assert.Equal(t, want[5:8], keysOf(list(t, e.s, "p/", want[4]+"x", 3)), "after a key that does not exist")
	assert.Empty(t, list(t, e.s, "p/", want[len(want)-1], 3), "after the last")
	assert.Empty(t, list(t, e.s, "p/", "p0", 3), "after a key beyond the prefix")
	assert.Equal(t, want[:1], keysOf(list(t, e.s, want[0], "", 3)), "a whole key as prefix")

	commit(t, e.s, del(want[1], store.Any))
	assert.Equal(t, want[2:4], keysOf(list(t, e.s, "p/", want[0], 2)), "a deleted key is skipped")
	assert.Equal(t, want[2:4], keysOf(list(t, e.s, "p/", want[1], 2)), "after a deleted key")
}
