//go:build !race

package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// Only allocations are limited here, not times: the record, its two strings.
func TestTableDecodeAllocations(t *testing.T) {
	m := store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane", Team: "core"}))
	it := get(t, m, "person/1")
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, err := people.Decode(it); err != nil {
			t.Error(err)
		}
	}), 6.0)
}
