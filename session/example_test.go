package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	sessions, err := session.New(session.Config{
		Store: st,
		CheckPassword: func(_ context.Context, name string, pw credential.Secret) (session.User, error) {
			if name != "jane" || !pw.Equal(credential.NewSecret("correct horse")) {
				return session.User{}, session.ErrDenied
			}
			return session.User{ID: "17", Name: "jane"}, nil
		},
		SecondFactor: func(context.Context, session.User, credential.Secret) (session.Spend, error) {
			return nil, nil // nobody has one
		},
		Alive: func(context.Context, policy.UserID, time.Time) error { return nil },
	})
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
	digest, _ := credential.Parse(secret.Reveal())
	items, err := st.Get(ctx, session.Key(digest))
	if err != nil {
		panic(err)
	}
	cred, err := session.Open(items[0])
	fmt.Println("user", cred.User, err)

	_, _, err = sessions.SignIn(ctx, session.SignIn{Name: "jane", Password: credential.NewSecret("guess")})
	fmt.Println(err)
	// Output:
	// jane for 2h0m0s
	// user 17 <nil>
	// session: sign in: session: wrong user name or password
}
