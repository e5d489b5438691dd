package store_test

import (
	"testing"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// same returns a second handle on a store in this process.
func same(_ *testing.T, s store.Store) store.Store { return s }

func TestMemory(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open:   func(*testing.T) store.Store { return store.NewMemory() },
		Reopen: same,
	})
}
