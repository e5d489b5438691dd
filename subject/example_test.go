package subject_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	subjects, err := subject.New(subject.Config{Store: st})
	if err != nil {
		log.Fatal(err)
	}

	// A session is stored with the numbers that it is created under.
	before, err := subjects.Get(ctx, "u1")
	if err != nil {
		log.Fatal(err)
	}
	numbers := before.Numbers(policy.KindSession)

	// The operator ends every session and token of the account.
	if err := subjects.RevokeAll(ctx, audit.Actor{}, "u1"); err != nil {
		log.Fatal(err)
	}

	after, err := subjects.Get(ctx, "u1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before.Alive(policy.KindSession, numbers), after.Alive(policy.KindSession, numbers))
	// Output: true false
}

// A person ends all their sessions but the present one: its record is written with the new
// numbers in the same commit.
func ExampleRevoke() {
	ctx, st := context.Background(), store.NewMemory()
	var kept subject.Numbers // of the record of the session that is kept

	err := store.Transact(ctx, st, func(tx *store.Tx) error {
		after, err := subject.Revoke(ctx, tx, "u1", subject.Sessions, time.Now())
		if err != nil {
			return err
		}
		kept = after.Numbers(policy.KindSession)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}

	user, err := subject.Get(ctx, st, "u1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("kept:", user.Alive(policy.KindSession, kept))
	fmt.Println("others:", user.Alive(policy.KindSession, subject.Numbers{}))
	// Output:
	// kept: true
	// others: false
}

// A commit that depends on a Subject, however old, happens only if its rows have not changed.
func ExampleSubject() {
	ctx, st := context.Background(), store.NewMemory()
	subjects, err := subject.New(subject.Config{Store: st})
	if err != nil {
		log.Fatal(err)
	}
	user, err := subjects.Get(ctx, "u1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("may log in:", !user.Disabled)

	// While a password is checked the operator disables the account.
	if err := subjects.Disable(ctx, audit.Actor{}, "u1"); err != nil {
		log.Fatal(err)
	}

	err = store.Transact(ctx, st, func(tx *store.Tx) error {
		tx.Expect(user.Evidence...)
		tx.Create("session/s1", nil, time.Time{})
		return nil
	})
	fmt.Println(err)
	// Output:
	// may log in: true
	// store: conflict: an expected row has changed
}
