package postgres_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
)

// There is no output to compare: an example cannot make a server.
func Example() {
	ctx := context.Background()
	// Such as postgres://npmauth@db1.example,db2.example/registry?sslmode=verify-full
	st, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Config{Schema: "npmauth"})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()

	if _, err := st.Commit(ctx, store.Op{Key: "greeting", Action: store.Put, Value: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	items, err := st.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", items[0].Value)
}
