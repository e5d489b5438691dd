package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

func Example() {
	dir, err := os.MkdirTemp("", "npmauth")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	st, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()

	ctx := context.Background()
	if _, err := st.Commit(ctx, store.Op{Key: "greeting", Action: store.Put, Value: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	items, err := st.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", items[0].Value)
	// Output: hello
}
