package session_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	hasher, err1 := account.NewHasher(account.HasherConfig{})
	people, err2 := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: hasher})
	factors, err3 := twofactor.New(twofactor.Config{Store: st})
	subjects, err4 := subject.New(subject.Config{Store: st})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		panic(err)
	}
	sessions, err := session.New(session.Config{
		Store: st, Lookup: people.SignIn, CheckPassword: people.CheckPassword, SecondFactor: factors.SignIn, Alive: people.Alive,
	})
	if err != nil {
		panic(err)
	}
	password := credential.NewSecret("correct horse battery")
	jane, err := people.Create(ctx, audit.Actor{}, account.NewUser{Name: "jane", Password: password})
	if err != nil {
		panic(err)
	}

	secret, s, err := sessions.SignIn(ctx, session.SignIn{Name: "jane", Password: password})
	fmt.Println(s.Name, "for", s.Expires.Sub(s.Created), err)
	_, _, err = sessions.SignIn(ctx, session.SignIn{Name: "jane", Password: credential.NewSecret("a guess")})
	fmt.Println(errors.Is(err, session.ErrDenied))

	s, err = sessions.Verify(ctx, secret) // as a client presents it
	fmt.Println(s.User == jane.ID, err)
	err = subjects.EndSessions(ctx, audit.Actor{}, jane.ID) // all of hers, in one write
	fmt.Println(err)
	_, err = sessions.Verify(ctx, secret)
	fmt.Println(errors.Is(err, session.ErrNoSession))
	// Output:
	// jane for 2h0m0s <nil>
	// true
	// true <nil>
	// <nil>
	// true
}
