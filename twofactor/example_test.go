package twofactor_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

func Example() {
	ctx := context.Background()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	factors, err := twofactor.New(twofactor.Config{
		Store:  store.NewMemory(),
		Now:    func() time.Time { return now },
		Issuer: "npm.acme.test",
		SetMode: func(_ context.Context, _ *store.Tx, user policy.UserID, mode policy.TwoFactorMode) error {
			fmt.Println(user, "has", mode)
			return nil
		},
	})
	if err != nil {
		panic(err)
	}

	// npm profile enable-2fa shows the key to an authenticator app …
	uri, err := factors.Enrol(ctx, "user-1", "alice", policy.AuthAndWrites)
	if err != nil {
		panic(err)
	}
	code := authenticator(uri)
	// … and sends the first code back.
	recovery, err := factors.Confirm(ctx, "user-1", code(now))
	if err != nil {
		panic(err)
	}
	fmt.Println(len(recovery), "recovery codes")

	// npm publish --otp
	now = now.Add(time.Minute)
	use := twofactor.Use{
		Credential: "session-1", Class: policy.ClassPublish,
		Package: policy.PackageName{Scope: "acme", Name: "widget"},
	}
	proof, err := factors.Prove(ctx, "user-1", use, code(now))
	fmt.Println(proof == policy.ProofTOTP, err)

	// The same code with another credential.
	use.Credential = "token-7"
	_, err = factors.Prove(ctx, "user-1", use, code(now))
	fmt.Println(err)

	// Output:
	// user-1 has auth-and-writes
	// 5 recovery codes
	// true <nil>
	// twofactor: prove: twofactor: wrong code
}

// authenticator is the app on a person's phone.
func authenticator(uri credential.Secret) func(time.Time) credential.Secret {
	u, err := url.Parse(uri.Reveal())
	if err != nil {
		panic(err)
	}
	return func(now time.Time) credential.Secret {
		code, err := totp.GenerateCode(u.Query().Get("secret"), now)
		if err != nil {
			panic(err)
		}
		return credential.NewSecret(code)
	}
}
