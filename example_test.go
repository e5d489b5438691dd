package npmauth_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// packages is a registry's table of packages, of which it has one.
type packages struct{}

func (packages) Facts(_ context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if pkg.String() == "left-pad" {
		return policy.Facts{ID: "42", Rights: policy.RightRead}, nil
	}
	return policy.Facts{MayCreate: user != ""}, nil
}

// registry is a handler that exists already. Only what was allowed reaches it.
func registry(w http.ResponseWriter, r *http.Request) {
	who, known := host.IdentityFrom(r.Context()) // User, Name, Credential, Kind; known is false for the anonymous
	op, _ := host.OperationFrom(r.Context())     // Action, Package, PackageID, Change()
	fmt.Fprintf(w, "%s %s for %q (%t)", op.Action, op.Package, who.Name, known)
}

// A registry adopts npmauth by wrapping its handler. Reading is open to anyone;
// publishing is not.
func Example() {
	auth, err := npmauth.New(npmauth.Config{
		BaseURL:  "https://registry.example/",
		Store:    store.NewMemory(), // sqlite.Open("auth.db"), sealed, in earnest
		Packages: packages{},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := auth.Wrap(http.HandlerFunc(registry))

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/left-pad", nil))
	fmt.Println(w.Code, w.Body)

	body := hosttest.PublishBody(protocol.PackageName{Name: "left-pad"}, "1.0.1")
	w = httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/left-pad", bytes.NewReader(body)))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 200 read-packument left-pad for "" (false)
	// 401 Bearer
}

// A bot tells who published what, and who was refused. A publish is told of when all of its body was
// allowed: the registry's own write comes after it and may still fail.
func ExampleConfig_audit() {
	ctx := context.Background()
	var auth *npmauth.Auth
	bot := audit.Func(func(ctx context.Context, e audit.Event) {
		if e.Type != audit.Access || e.Action != protocol.Publish {
			return
		}
		user, err := auth.People().User(ctx, e.User) // an event has IDs; a host with people of its own has their names
		if err != nil {
			user.Name = string(e.User)
		}
		var version string
		if e.Change != nil { // nil where a request was refused before its body was read
			version = e.Change.Version
		}
		fmt.Println(user.Name, e.Outcome, e.Package, version, e.Reasons)
	})
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "https://registry.example/", Store: store.NewMemory(), Packages: packages{},
		Audit: bot, // one that sends what it tells over a network stands behind an audit.Queue
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // the last Read decides
	}))

	// Alice's token publishes a new package, and not one that others have.
	alice, err := auth.People().Create(ctx, audit.Actor{}, account.NewUser{Name: "alice", Password: credential.NewSecret("correct horse battery")})
	if err != nil {
		log.Fatal(err)
	}
	secret, _, err := auth.Tokens().Create(ctx, audit.Actor{}, token.Spec{
		User: alice.ID, Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"widget", "left-pad"} {
		body := hosttest.PublishBody(protocol.PackageName{Name: name}, "1.0.0")
		r := httptest.NewRequest(http.MethodPut, "/"+name, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+secret.Reveal())
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// alice done widget 1.0.0 []
	// alice denied left-pad  [may-not-write]
}
