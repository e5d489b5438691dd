// Embed is an application that adopts npmauth. app.go is the application before, with people
// and passwords, API tokens, packages and a health check; adopt.go is what the adoption adds.
//
//	go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/npmauth/npmauth/store"
)

const (
	addr = "127.0.0.1:4874"
	base = "http://" + addr + "/"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	shelf := newApp()
	auth, err := adopt(shelf, base, store.NewMemory())
	if err != nil {
		log.Fatal(err)
	}
	if err := migrate(ctx, shelf, auth); err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- auth.Run(ctx) }()
	server := &http.Server{Addr: addr, Handler: auth.Wrap(shelf)}
	context.AfterFunc(ctx, func() { server.Close() })

	fmt.Printf("The shelf is at %s; log in as ada with the password \"correct horse battery\":\n\n", base)
	fmt.Printf("  npm login --registry=%s\n", base)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}
