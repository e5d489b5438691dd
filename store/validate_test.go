package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/store"
)

// storetest has the refused arguments; these are the last accepted ones, and the text of an
// error.
func TestValidateBoundaries(t *testing.T) {
	key := strings.Repeat("~", store.MaxKey)
	assert.NoError(t, store.Validate(store.Op{Key: key, At: store.Any, Action: store.Put, Value: make([]byte, store.MaxValue+store.Overhead)}))
	assert.NoError(t, store.ValidateKeys(" ", key, key))
	assert.NoError(t, store.ValidateList("", "", 1))
	assert.NoError(t, store.ValidateList(key, key, store.MaxLimit))

	for _, err := range []error{
		store.Validate(store.Op{Key: "hunter2\n"}),
		store.ValidateKeys("hunter2\n"),
		store.ValidateList("hunter2\n", "", 1),
		store.ValidateList("", "hunter2\n", 1),
	} {
		assert.ErrorIs(t, err, store.ErrInvalid)
		assert.NotContains(t, err.Error(), "hunter2", "a key may be what a person typed")
	}
}
