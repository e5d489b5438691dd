package twofactor_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

func Example() {
	ctx, st := context.Background(), store.NewMemory()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	factors, err := twofactor.New(twofactor.Config{
		Store:  st,
		Now:    func() time.Time { return now },
		Issuer: "npm.acme.test",
	})
	if err != nil {
		panic(err)
	}

	// The zero Actor is the operator.
	alice := audit.Actor{User: "user-1", Credential: "session-1"}

	// npm profile enable-2fa shows the key to an authenticator app …
	uri, err := factors.Enrol(ctx, alice, "user-1", "alice", protocol.AuthAndWrites)
	if err != nil {
		panic(err)
	}
	code := authenticator(uri)
	// … and sends the first code back.
	recovery, err := factors.Confirm(ctx, alice, "user-1", code(now))
	if err != nil {
		panic(err)
	}
	fmt.Println(len(recovery), "recovery codes")
	sub, err := subject.Get(ctx, st, "user-1")
	fmt.Println(sub.ID, "has", sub.TwoFactor, err)

	// npm publish --otp
	now = now.Add(time.Minute)
	op := protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}}
	change := protocol.Change{Version: "1.2.3", Tags: map[string]string{"latest": "1.2.3"}}
	use := twofactor.Use{Credential: "session-1", Action: op.Action, Package: op.Package, Change: change.Digest(op)}
	proof, err := factors.Prove(ctx, "user-1", use, code(now))
	fmt.Println(proof == policy.ProofTOTP, err)

	// The same code with another credential.
	use.Credential = "token-7"
	_, err = factors.Prove(ctx, "user-1", use, code(now))
	fmt.Println(err)

	// Output:
	// 5 recovery codes
	// user-1 has auth-and-writes <nil>
	// true <nil>
	// twofactor: prove: twofactor: wrong code
}

// A sign-in spends the code in the commit that opens its session: one code opens one
// session, and a commit that fails leaves the code unspent.
func ExampleManager_Begin() {
	ctx, st := context.Background(), store.NewMemory()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	factors, err := twofactor.New(twofactor.Config{
		Store: st,
		Now:   func() time.Time { return now },
		Events: audit.NewRecorder(audit.RecorderConfig{
			Sink: audit.Func(func(_ context.Context, e audit.Event) { fmt.Println("event:", e.Type, e.Outcome) }),
		}),
	})
	if err != nil {
		panic(err)
	}
	uri, err := factors.Enrol(ctx, audit.Actor{}, "user-1", "alice", protocol.AuthOnly)
	if err != nil {
		panic(err)
	}
	code := authenticator(uri)
	if _, err := factors.Confirm(ctx, audit.Actor{}, "user-1", code(now)); err != nil {
		panic(err)
	}

	now = now.Add(time.Minute)
	signIn := func(session string, arrived time.Time, code credential.Secret) error {
		use := twofactor.Use{Action: protocol.Login, At: arrived}
		attempt, err := factors.Begin(ctx, "user-1", use, code)
		if err != nil {
			return err
		}
		return store.Transact(ctx, st, func(tx *store.Tx) error {
			use.Credential = session
			if err := attempt.Spend(ctx, tx, use); err != nil {
				return err
			}
			tx.Create("my-session/"+session, nil, time.Time{})
			return nil
		})
	}
	arrived, typed := now, code(now)
	now = now.Add(2 * time.Minute) // its password waited in a queue
	fmt.Println(signIn("session-1", arrived, typed))
	fmt.Println(signIn("session-2", arrived, typed))
	// Output:
	// event: factor.pending done
	// event: factor.enrolled done
	// event: factor.used done
	// <nil>
	// event: factor.replayed denied
	// twofactor: wrong code
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
