package linear_test

import (
	"context"
	"fmt"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest/linear"
)

// A backend's own tests call [linear.Test]. Check is for what is not a test.
func ExampleCheck() {
	// Two handles on the same data.
	m := store.NewMemory()
	first, second := store.Seal(m, store.Key{1}), store.Seal(m, store.Key{1})

	err := linear.Check(context.Background(), 5, first, second)
	fmt.Println("linearizable:", err == nil)
	// Output: linearizable: true
}
