package npmauth_test

import (
	"fmt"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/web"
)

// The pages have the company's colours and logo.
func ExampleConfig_look() {
	logo := []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4"/></svg>`)
	cfg := npmauth.Config{BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: newBackend()}
	cfg.Look = web.Look{
		Style: ":root { --accent: #0b5fff; --accent-ink: #ffffff; }",
		Logo:  logo, LogoType: "image/svg+xml",
	}
	_, err := npmauth.New(cfg)
	fmt.Println(err)
	// Output:
	// <nil>
}
