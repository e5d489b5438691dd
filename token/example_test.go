package token_test

import (
	"context"
	"fmt"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

func Example() {
	ctx := context.Background()
	st := store.NewMemory()
	m, err := token.New(token.Config{Store: st})
	if err != nil {
		panic(err)
	}
	secret, tok, err := m.Create(ctx, token.Spec{
		User:   "user-1",
		Name:   "ci",
		Grants: []policy.Grant{{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadOnly}},
	}, nil)
	if err != nil {
		panic(err)
	}

	// Later, a client presents it.
	digest, ok := credential.Parse(secret.Reveal())
	items, err := st.Get(ctx, token.Key(digest))
	if err != nil {
		panic(err)
	}
	cred, err := token.Open(items[0])
	fmt.Println(ok, cred.ID == tok.ID, cred.Grants, err)

	fmt.Println(m.Validate(token.Spec{User: "user-1", Grants: cred.Grants, Bypass: true}))
	// Output:
	// true true [read-only on scope @acme] <nil>
	// bypass_2fa needs permission to write packages
}
