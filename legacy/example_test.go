package legacy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/session"
)

func Example() {
	h, err := legacy.New(legacy.Config{
		// A registry gives the function behind all its logins: session.Manager.SignIn.
		SignIn: func(_ context.Context, in session.SignIn) (credential.Secret, error) {
			if in.Name != "alice" || !in.Password.Equal(credential.NewSecret("correct horse")) {
				return credential.Secret{}, session.ErrDenied
			}
			return credential.NewSecret("npms_0123"), nil
		},
		Client: func(r *http.Request) session.Client { return session.Client{UserAgent: r.UserAgent()} },
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		},
		Sunset: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		panic(err)
	}

	r := httptest.NewRequest(http.MethodPut, "/-/user/org.couchdb.user:alice",
		strings.NewReader(`{"name":"alice","password":"correct horse"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.Put(w, r, "alice")
	fmt.Println(w.Code, w.Body)
	fmt.Println(w.Header().Get("Sunset"))
	// Output:
	// 201 {"ok":true,"id":"org.couchdb.user:alice","rev":"1-0","token":"npms_0123"}
	// Tue, 01 Jan 2999 00:00:00 GMT
}
