//go:build !race

package token_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/token"
)

// Only allocations are limited here, not times.
func TestOpenAllocations(t *testing.T) {
	it, d := typical(t)
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		if _, _, err := token.Open(it, d); err != nil {
			t.Error(err)
		}
	}), 15.0)
}
