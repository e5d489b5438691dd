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

func Example() {
	ctx := context.Background()
	s := store.NewMemory()

	// Several records, or none of them.
	err := store.Transact(ctx, s, func(tx *store.Tx) error {
		for _, code := range []string{"apple", "pear"} {
			if err := invites.Insert(ctx, tx, &invite{Code: code, Team: "core", Uses: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}

	// However many try at once, an invitation for one is used once.
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
	fmt.Println(use("apple"))
	fmt.Println(use("apple"))
	fmt.Println(use("plum"))

	left, _, err := invitesByTeam.List(ctx, s, "core", "", 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range left {
		fmt.Println(i.Code, i.Uses)
	}
	// Output:
	// <nil>
	// apple is used up
	// store: not found
	// apple 0
	// pear 1
}
