package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// config has one person, jane, who has no second factor.
func config(st store.Store) session.Config {
	return session.Config{
		Store: st,
		Lookup: func(_ context.Context, name string) (session.User, error) {
			if name != "jane" {
				return session.User{}, session.ErrDenied
			}
			return session.User{ID: "17", Name: "jane"}, nil
		},
		CheckPassword: func(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
			return id == "17" && pw.Equal(credential.NewSecret("correct horse")), nil
		},
		SecondFactor: func(context.Context, subject.Subject, subject.Factor) (subject.Spend, error) {
			return nil, nil // nobody has one
		},
		Alive: func(context.Context, protocol.UserID) error { return nil },
	}
}

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	sessions, err := session.New(config(st))
	if err != nil {
		panic(err)
	}

	// A login with a password.
	secret, s, err := sessions.SignIn(ctx, session.SignIn{Name: "jane", Password: credential.NewSecret("correct horse")})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Name, "for", s.Expires.Sub(s.Created))

	// Its secret, as a client presents it.
	s, err = sessions.Verify(ctx, secret)
	fmt.Println("user", s.User, err)

	_, _, err = sessions.SignIn(ctx, session.SignIn{Name: "jane", Password: credential.NewSecret("guess")})
	fmt.Println(err)

	// A change of the password ends all sessions in one write.
	err = store.Transact(ctx, st, func(tx *store.Tx) error {
		_, err := subject.Revoke(ctx, tx, "17", subject.Sessions, time.Now())
		return err
	})
	if err != nil {
		panic(err)
	}
	_, err = sessions.Verify(ctx, secret)
	fmt.Println(err)
	// Output:
	// jane for 2h0m0s
	// user 17 <nil>
	// session: sign in: subject: wrong user name or password
	// session: no such session
}
