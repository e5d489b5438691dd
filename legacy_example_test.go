package npmauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/store"
)

// A login with a password ends in steps: announced, off for some hours, off for good.
func ExampleLegacy() {
	now := time.Date(2027, 5, 4, 7, 59, 59, 0, time.UTC)
	auth, err := npmauth.New(npmauth.Config{
		BaseURL:  "https://registry.example/",
		Store:    store.NewMemory(),
		Packages: packages{},
		Now:      func() time.Time { return now },
		Legacy: npmauth.Legacy{
			Deprecated: time.Date(2027, 1, 4, 0, 0, 0, 0, time.UTC),
			BrownOuts: []legacy.Window{
				{From: time.Date(2027, 5, 4, 8, 0, 0, 0, time.UTC), Until: time.Date(2027, 5, 4, 12, 0, 0, 0, time.UTC)},
				{From: time.Date(2027, 5, 18, 8, 0, 0, 0, time.UTC), Until: time.Date(2027, 5, 19, 8, 0, 0, 0, time.UTC)},
			},
			Sunset: time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC),
			Docs:   "https://registry.example/docs/login",
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = auth.People().Create(context.Background(), audit.Actor{}, account.NewUser{Name: "jane", Password: credential.NewSecret("a sentence of hers")})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		fmt.Println(logIn(auth).Code)
		now = now.Add(time.Second)
	}
	// Output:
	// 201
	// 410
}

func logIn(auth *npmauth.Auth) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPut, "/-/user/org.couchdb.user:jane", strings.NewReader(`{"name":"jane","password":"a sentence of hers"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "npm/8.19.4 node/v20.20.2 linux x64")
	w := httptest.NewRecorder()
	auth.Handler().ServeHTTP(w, r)
	return w
}

// Who will notice that it ends is written to.
func ExampleAuth_LegacyUse() {
	auth, err := npmauth.New(npmauth.Config{BaseURL: "https://registry.example/", Store: store.NewMemory(), Packages: packages{}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = auth.People().Create(context.Background(), audit.Actor{}, account.NewUser{Name: "jane", Email: "jane@registry.example", Password: credential.NewSecret("a sentence of hers")})
	if err != nil {
		log.Fatal(err)
	}
	logIn(auth)

	send := func(to, text string) {
		fmt.Println("To:", to)
		fmt.Println(strings.Contains(text, "npm/8.19.4, last on "))
	}
	tell := func(ctx context.Context) error {
		for use, err := range auth.LegacyUse(ctx) {
			if err != nil {
				return err
			}
			if use.Email == "" {
				fmt.Println(use.Name, "has no e-mail address")
				continue
			}
			send(use.Email, auth.LegacyMail(use))
		}
		return nil
	}
	if err := tell(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// To: jane@registry.example
	// true
}
