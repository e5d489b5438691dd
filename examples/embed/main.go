// Embed is an application that adopts npmauth. app.go is the application before, with people
// and passwords, API tokens, packages and a health check; adopt.go is what the adoption adds.
//
//	go run ./examples/embed
//
// With -company people sign in at a company's login, of which company.go has a stub. The pages look like the company's own: see
// look in adopt.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/web"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4874", "listen on `host:port`")
	atCompany := flag.Bool("company", false, "sign in at a company's login, in place of passwords")
	companyAddr := flag.String("company-addr", "127.0.0.1:4875", "the company's login listens on this `host:port`")
	flag.Parse()
	base := "http://" + *addr + "/"
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	shelf := newApp()
	var signIn *web.SignIn
	says := `log in as ada with the password "correct horse battery"`
	if *atCompany {
		c := newCompany(shelf, "http://"+*companyAddr, base)
		signIn, says = c.signIn(), "log in as ada"
		go func() { log.Fatal(http.ListenAndServe(*companyAddr, c)) }() //nolint:gosec // a stub
	}
	auth, err := adopt(shelf, base, store.NewMemory(), signIn)
	if err != nil {
		log.Fatal(err)
	}
	if err := migrate(ctx, shelf, auth); err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- auth.Run(ctx) }()
	server := &http.Server{Addr: *addr, Handler: auth.Wrap(shelf)}
	context.AfterFunc(ctx, func() { server.Close() })

	fmt.Printf("The shelf is at %s; %s:\n\n", base, says)
	fmt.Printf("  npm login --registry=%s\n", base)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}
