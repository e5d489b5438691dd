package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
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
	secret, tok, err := m.Create(ctx, audit.Actor{User: "user-1"}, token.Spec{
		User:   "user-1",
		Name:   "ci",
		Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}},
	})
	if err != nil {
		panic(err)
	}

	// Later, a client presents it.
	addr := netip.MustParseAddr("192.0.2.7")
	got, err := m.Verify(ctx, secret, addr)
	fmt.Println(err == nil, got.ID == tok.ID, got.Grants)

	// All of the user's tokens end with one write.
	if err := m.RevokeAll(ctx, audit.Actor{User: "user-1"}, "user-1"); err != nil {
		panic(err)
	}
	_, err = m.Verify(ctx, secret, addr)
	fmt.Println(err)

	fmt.Println(m.Validate(token.Spec{User: "user-1", Grants: got.Grants, Bypass: true}))
	// Output:
	// true true [read-only on scope @acme]
	// token: not found
	// bypass_2fa needs permission to write packages
}

// A token may be used from its networks alone.
func ExampleManager_Verify() {
	ctx := context.Background()
	m, err := token.New(token.Config{Store: store.NewMemory()})
	if err != nil {
		panic(err)
	}
	secret, _, err := m.Create(ctx, audit.Actor{}, token.Spec{
		User:   "user-1",
		Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}},
		CIDRs:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		panic(err)
	}
	for _, addr := range []string{"192.0.2.7", "198.51.100.7"} {
		got, err := m.Verify(ctx, secret, netip.MustParseAddr(addr))
		fmt.Println(got.User, err)
	}
	// Output:
	// user-1 <nil>
	//  subject: not valid from this address
}

// A token gets a new secret while the old one goes on for a day. Whoever lost the new secret
// revokes it and rotates once more.
func ExampleManager_Rotate() {
	ctx := context.Background()
	m, err := token.New(token.Config{Store: store.NewMemory()})
	if err != nil {
		panic(err)
	}
	grants := []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}
	_, old, err := m.Create(ctx, audit.Actor{}, token.Spec{User: "user-1", Name: "ci", Grants: grants})
	if err != nil {
		panic(err)
	}
	rotation := token.Rotation{User: "user-1", ID: old.ID, Grace: token.Day}
	_, lost, err := m.Rotate(ctx, audit.Actor{}, rotation)
	fmt.Println(err, lost.Replaces == old.ID)

	_, _, err = m.Rotate(ctx, audit.Actor{}, rotation)
	rotated, ok := errors.AsType[*token.RotatedError](err)
	fmt.Println(ok, rotated.Successor == lost.ID)

	fmt.Println(m.Revoke(ctx, audit.Actor{}, "user-1", rotated.Successor, "lost"))
	_, fresh, err := m.Rotate(ctx, audit.Actor{}, rotation)
	fmt.Println(err, fresh.Grants)

	for t, err := range m.Of(ctx, "user-1") { // newest first
		fmt.Println(t.Name, t.ReplacedBy == fresh.ID, err)
	}
	// Output:
	// <nil> true
	// true true
	// <nil>
	// <nil> [read-only on all packages]
	// ci false <nil>
	// ci true <nil>
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
