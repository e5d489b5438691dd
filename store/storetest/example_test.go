package storetest_test

import (
	"testing"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

func ExampleRun() {
	// In the test of a backend:
	_ = func(t *testing.T) {
		storetest.Run(t, storetest.Config{
			Open:   func(t *testing.T) store.Store { return store.NewMemory() },
			Reopen: func(t *testing.T, s store.Store) store.Store { return s },
		})
	}
	// Output:
}
