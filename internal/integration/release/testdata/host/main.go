// Command host is a registry of somebody who has nothing of npmauth but what a
// module proxy serves. It asks itself who alice is.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/token"
)

type people struct{ host.Users }

func (people) User(_ context.Context, id protocol.UserID) (host.User, error) {
	return host.User{ID: id, Name: "alice"}, nil
}

type packages struct{}

func (packages) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{}, nil
}

func main() {
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := run(filepath.Join(dir, "auth.db")); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

func run(path string) error {
	st, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	defer st.Close()
	auth, err := npmauth.New(npmauth.Config{BaseURL: "https://registry.example/", Store: st, Users: people{}, Packages: packages{}})
	if err != nil {
		return err
	}
	secret, _, err := auth.Tokens().Create(context.Background(), audit.Actor{}, token.Spec{
		User: "u-1", Name: "host", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}},
	})
	if err != nil {
		return err
	}
	r := httptest.NewRequest(http.MethodGet, "/-/whoami", nil)
	r.Header.Set("Authorization", "Bearer "+secret.Reveal())
	w := httptest.NewRecorder()
	auth.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	return nil
}
