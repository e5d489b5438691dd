package integration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/store/storetest/linear"
)

// What two nodes see of one engine could have happened in one order, whoever looks.
func TestEnginesAreLinearizable(t *testing.T) {
	eachEngine(t, func(t *testing.T, at string) {
		open := func() *integration.Library {
			node, err := integration.OpenLibrary(at)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, node.Close()) })
			return node
		}
		linear.Test(t, open().Store, open().Store)
	})
}
