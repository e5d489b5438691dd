package npmauth_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
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
