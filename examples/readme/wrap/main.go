package main

import (
	"context"
	"log"
	"net/http"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// packages is your table of packages: does it exist, and what may this user do with it?
type packages struct{}

func (packages) Facts(_ context.Context, name protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if name.String() == "widget" {
		return policy.Facts{ID: "42", Rights: policy.RightRead}, nil
	}
	return policy.Facts{MayCreate: user != ""}, nil
}

// registry is the handler that you have: only what is allowed reaches it.
func registry(w http.ResponseWriter, r *http.Request) {
	who, known := host.IdentityFrom(r.Context()) // User, Name, Credential, Kind
	op, _ := host.OperationFrom(r.Context())     // Action, Package, PackageID, Change()
	log.Println(op.Action, op.Package, "for", who.Name, known)
}

func main() {
	auth, err := npmauth.New(npmauth.Config{
		BaseURL:    "http://127.0.0.1:4873/",
		Store:      store.NewMemory(), // in earnest: store.Seal(sqlite.Open("auth.db"), key)
		Packages:   packages{},
		OpenSignUp: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Println(auth.Run(context.Background())) }() // what can wait: sweeps, last uses, notices
	log.Fatal(http.ListenAndServe("127.0.0.1:4873", auth.Wrap(http.HandlerFunc(registry))))
}
