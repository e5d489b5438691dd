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

// A key is enrolled, and its code spent in the commit of what it allows.
func Example() {
	ctx, st := context.Background(), store.NewMemory()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	factors, err := twofactor.New(twofactor.Config{Store: st, Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	// npm profile enable-2fa shows the key to an authenticator app and sends its first code back.
	uri, err := factors.Enrol(ctx, audit.Actor{}, "user-1", "alice", protocol.AuthAndWrites)
	if err != nil {
		panic(err)
	}
	code := authenticator(uri)
	recovery, err := factors.Confirm(ctx, audit.Actor{User: "user-1"}, "user-1", code(now))
	fmt.Println(len(recovery), "recovery codes", err)

	now = now.Add(time.Minute)
	create := func() error {
		op, change := protocol.Operation{Action: protocol.CreateToken}, protocol.Change{Token: &protocol.TokenSpec{Name: "ci"}}
		use := twofactor.Use{Credential: "session-1", Action: op.Action, Change: change.Digest(op)}
		attempt, err := factors.Begin(ctx, "user-1", use, code(now)) // counted, unless it is right
		if err != nil {
			return err
		}
		return store.Transact(ctx, st, func(tx *store.Tx) error {
			tx.Put("my-token/ci", nil, time.Time{})
			return attempt.Spend(ctx, tx, use) // or neither happens
		})
	}
	fmt.Println(create())
	fmt.Println(create())
	// Output:
	// 5 recovery codes <nil>
	// <nil>
	// twofactor: the code was used before
}

// What a policy asks a second factor for is decided, proven and written by one call.
func ExampleManager_Authorize() {
	ctx, st, p := context.Background(), store.NewMemory(), policy.NPM()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	factors, err := twofactor.New(twofactor.Config{Store: st, Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	uri, err := factors.Enrol(ctx, audit.Actor{}, "user-1", "alice", protocol.AuthAndWrites)
	if err != nil {
		panic(err)
	}
	code := authenticator(uri)
	if _, err := factors.Confirm(ctx, audit.Actor{User: "user-1"}, "user-1", code(now)); err != nil {
		panic(err)
	}
	now = now.Add(time.Minute)
	ask := func(rows store.Reader) (*policy.Request, error) {
		sub, err := subject.Get(ctx, rows, "user-1")
		return &policy.Request{
			Operation:  protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "widget"}},
			Change:     &protocol.Change{Version: "1.0.0"},
			Credential: &policy.Credential{ID: "s1", Kind: policy.KindSession, User: "user-1", Expires: now.Add(time.Hour)},
			Account:    sub.Account("alice"), Now: now,
			Package: policy.Facts{ID: "p1", Rights: policy.RightRead | policy.RightWrite},
		}, err
	}
	for _, value := range []credential.Secret{{}, code(now)} {
		fmt.Println(factors.Authorize(ctx, p, now, value, ask, nil))
	}
	// Output:
	// subject: second factor required
	// <nil>
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
