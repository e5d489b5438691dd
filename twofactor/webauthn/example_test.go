package webauthn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor/webauthn"
)

func Example() {
	keys, err := webauthn.New(webauthn.Config{
		Store: store.NewMemory(), BaseURL: &url.URL{Scheme: "https", Host: "npm.acme.test"}, Name: "Acme",
	})
	if err != nil {
		panic(err)
	}
	// A page gives this to navigator.credentials.create, and Register gets what that returns.
	data, err := keys.BeginRegistration(context.Background(), "42", "jane")
	if err != nil {
		panic(err)
	}
	var options struct {
		RP   struct{ ID, Name string }
		User struct{ Name string }
	}
	if err := json.Unmarshal(data, &options); err != nil {
		panic(err)
	}
	fmt.Println(options.RP.ID, options.RP.Name, options.User.Name)
	// Output:
	// npm.acme.test Acme jane
}
