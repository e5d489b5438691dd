package token_test

import (
	"context"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

func Example() {
	ctx := context.Background()
	st := store.NewMemory()
	m, err := token.New(token.Config{Store: st})
	if err != nil {
		panic(err)
	}
	secret, tok, err := m.Create(ctx, audit.Actor{User: "user-1"}, token.Spec{
		User:   "user-1",
		Name:   "ci",
		Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}},
	})
	if err != nil {
		panic(err)
	}

	// Later, a client presents it.
	verify := func(presented string) (*policy.Credential, bool) {
		digest, ok := credential.Parse(presented)
		if !ok {
			return nil, false
		}
		items, err := st.Get(ctx, token.KeyOf(digest))
		if err != nil {
			return nil, false
		}
		cred, numbers, err := token.Open(items[0], digest)
		if err != nil {
			return nil, false
		}
		user, err := subject.Get(ctx, st, cred.User)
		return cred, err == nil && user.Alive(cred.Kind, numbers) && !cred.Dead(time.Now())
	}
	cred, ok := verify(secret.Reveal())
	fmt.Println(ok, cred.ID == tok.ID, cred.Grants)

	// All of the user's tokens end with one write.
	if err := m.RevokeAll(ctx, audit.Actor{User: "user-1"}, "user-1"); err != nil {
		panic(err)
	}
	_, ok = verify(secret.Reveal())
	fmt.Println(ok)

	fmt.Println(m.Validate(token.Spec{User: "user-1", Grants: cred.Grants, Bypass: true}))
	// Output:
	// true true [read-only on scope @acme]
	// false
	// bypass_2fa needs permission to write packages
}

// A program that spends a second factor on a token does both in one commit.
func ExampleManager_CreateTx() {
	ctx := context.Background()
	st := store.NewMemory()
	m, err := token.New(token.Config{Store: st})
	if err != nil {
		panic(err)
	}
	spec := token.Spec{User: "user-1", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}}
	var secret credential.Secret
	err = store.Transact(ctx, st, func(tx *store.Tx) (err error) {
		tx.Create("code-spent/user-1/123456", nil, time.Time{})
		secret, _, err = m.CreateTx(ctx, tx, audit.Actor{User: "user-1"}, spec)
		return err
	})
	fmt.Println(err, secret.IsZero())

	page, _, total, err := m.List(ctx, "user-1", token.ListOptions{Limit: 10})
	fmt.Println(len(page), total, err)
	// Output:
	// <nil> false
	// 1 1 <nil>
}
