package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/npmauth/npmauth/store"
)

type invite struct {
	Code string `json:"code"`
	Team string `json:"team"`
	Uses int    `json:"uses"`
}

var (
	invites       = store.NewTable("invite", 1, func(i *invite) string { return i.Code })
	invitesByTeam = invites.Index("team", func(i *invite) string { return i.Team })
)

// Several records, or none of them.
func ExampleTransact() {
	ctx, s := context.Background(), store.NewMemory()
	add := func(codes ...string) error {
		return store.Transact(ctx, s, func(tx *store.Tx) error {
			for _, code := range codes {
				if err := invites.Insert(ctx, tx, &invite{Code: code, Team: "core", Uses: 1}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fmt.Println(add("apple"))
	fmt.Println(add("pear", "apple"))
	_, err := invites.Get(ctx, s, "pear")
	fmt.Println(err)
	// Output:
	// <nil>
	// store: exists
	// store: not found
}

// However many try at once, an invitation for one is used once.
func Example() {
	ctx, s := context.Background(), store.NewMemory()
	use := func(code string) error {
		return store.Transact(ctx, s, func(tx *store.Tx) error {
			_, err := invites.Update(ctx, tx, code, func(i *invite) error {
				if i.Uses == 0 {
					return fmt.Errorf("%s is used up", i.Code)
				}
				i.Uses--
				return nil
			})
			return err
		})
	}
	err := store.Transact(ctx, s, func(tx *store.Tx) error {
		return invites.Insert(ctx, tx, &invite{Code: "apple", Uses: 1})
	})
	fmt.Println(err, use("apple"))
	fmt.Println(use("apple"))
	fmt.Println(use("plum"))
	// Output:
	// <nil> <nil>
	// apple is used up
	// store: not found
}

// An Index finds records by another value than their ID, a page at a time.
func ExampleTable_Index() {
	ctx, s := context.Background(), store.NewMemory()
	err := store.Transact(ctx, s, func(tx *store.Tx) error {
		for code, team := range map[string]string{"apple": "core", "pear": "core", "plum": "docs"} {
			if err := invites.Insert(ctx, tx, &invite{Code: code, Team: team}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for after := ""; ; {
		page, next, err := invitesByTeam.List(ctx, s, "core", after, 1)
		if err != nil {
			log.Fatal(err)
		}
		for _, i := range page {
			fmt.Println(i.Code)
		}
		if after = next; after == "" {
			return
		}
	}
	// Output:
	// apple
	// pear
}
