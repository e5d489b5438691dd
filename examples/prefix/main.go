// Prefix is a registry below /npm/ of a server that has other pages, for the people of a table of
// names and bcrypt hashes.
//
//	go run ./examples/prefix
//	npm login --registry=http://127.0.0.1:4877/npm/
//	npm profile enable-2fa auth-and-writes --registry=http://127.0.0.1:4877/npm/
//	npm publish --registry=http://127.0.0.1:4877/npm/
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/store"
)

// people has one user, ada, whose password is: correct horse battery.
var people = map[string]string{"ada": "$2a$10$11ih6mwNRjPn/gGXNxZqH.dbckFBZUA6Bh9e6r12x8IlrR4BQUzz."}

// newServer returns the server, whose pages begin at site, and the registry's npmauth.
func newServer(site string) (http.Handler, *npmauth.Auth, error) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	if err != nil {
		return nil, nil, err
	}
	g := newRegistry(site + "npm/")
	auth, err := npmauth.New(npmauth.Config{
		BaseURL:  g.base, // with the prefix
		Store:    store.NewMemory(),
		Packages: g,
		Users:    users{people, hasher},
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/npm/", auth.Wrap(g)) // http.StripPrefix("/npm", auth.Wrap(g)) does the same
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Our packages are at %s\n", g.base)
	})
	return mux, auth, nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:4877", "listen at this `address`")
	flag.Parse()
	handler, _, err := newServer("http://" + *addr + "/")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*addr, handler))
}
