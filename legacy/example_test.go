package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// A registry with accounts and passwords of its own answers npm login with a read-only token.
func Example() {
	tokens, err := token.New(token.Config{Store: store.NewMemory()})
	if err != nil {
		panic(err)
	}
	signIn := func(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
		if in.Name != "alice" || !in.Password.Equal(credential.NewSecret("correct horse")) {
			return credential.Secret{}, legacy.ErrDenied
		}
		secret, _, err := tokens.Create(ctx, audit.Actor{User: "user-1"}, token.Spec{
			User: "user-1", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}},
		})
		return secret, err
	}
	fail := func(w http.ResponseWriter, _ *http.Request, err error) {
		answer := &legacy.Error{Status: http.StatusServiceUnavailable, Sentence: "Try again later."}
		if errors.Is(err, legacy.ErrDenied) {
			answer = &legacy.Error{Status: http.StatusUnauthorized, Sentence: "Wrong user name or password."}
		}
		errors.As(err, &answer) // what the package itself refuses
		http.Error(w, answer.Sentence, answer.Status)
	}
	client := func(*http.Request) legacy.Client { return legacy.Client{At: time.Now()} }
	h, err := legacy.New(legacy.Config{SignIn: signIn, Client: client, Fail: fail})
	if err != nil {
		panic(err)
	}
	for _, password := range []string{"wrong horse", "correct horse"} {
		r := httptest.NewRequest(http.MethodPut, "/-/user/org.couchdb.user:alice", strings.NewReader(`{"name":"alice","password":"`+password+`"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.Put(w, r, "alice")
		fmt.Println(w.Code, strings.Contains(w.Body.String(), `"token":"npm_`))
	}
	// Output: 401 false
	// 201 true
}
