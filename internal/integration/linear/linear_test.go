package linear_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration/linear"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

func TestMemory(t *testing.T) {
	m := store.NewMemory()
	linear.Test(t, m, m)
}

func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	linear.Test(t, openSQLite(t, path), openSQLite(t, path))
}

func openSQLite(t *testing.T, path string) store.Store {
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// What stands above an engine keeps its order.
func TestWrappers(t *testing.T) {
	m := store.NewMemory()
	wrap := func() store.Store {
		return store.Observe(store.Seal(store.Sub(m, "x/"), store.Key{1}), func([]string) {})
	}
	linear.Test(t, wrap(), wrap())
}
