package session_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// npm login needs two URLs, prints one, and polls the other until a person has decided.
func Example_webLogin() {
	ctx := context.Background()
	sessions, err := session.New(session.Config{
		Store: store.NewMemory(),
		Lookup: func(_ context.Context, name string) (session.User, error) {
			return session.User{ID: protocol.UserID("id-of-" + name), Name: name}, nil // ErrDenied for nobody
		},
		CheckPassword: func(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
			return id == "id-of-jane" && pw.Equal(credential.NewSecret("correct horse")), nil
		},
		SecondFactor: func(context.Context, subject.Subject, subject.Factor) (subject.Spend, error) {
			return nil, nil // nobody has one
		},
		Alive: func(context.Context, protocol.UserID) error { return nil },
	})
	if err != nil {
		panic(err)
	}
	npm := session.Client{Addr: netip.MustParseAddr("192.0.2.7"), UserAgent: "npm/11.6.2"}
	flow, err := sessions.Start(ctx, npm)
	if err != nil {
		panic(err)
	}
	poll, err := sessions.Collect(ctx, flow.PollID.Reveal(), npm)
	fmt.Println(poll.State, err)

	// The page shows the client that began the login, and the person approves with the
	// password.
	page, err := sessions.Page(ctx, flow.PageID)
	fmt.Println(page.Client.UserAgent, page.CheckCode == flow.CheckCode, err)
	fmt.Println(sessions.Approve(ctx, flow.PageID, session.SignIn{Name: "jane", Password: credential.NewSecret("correct horse")}))

	poll, err = sessions.Collect(ctx, flow.PollID.Reveal(), npm)
	fmt.Println(poll.State, poll.Session.Name, err)
	// Output:
	// pending <nil>
	// npm/11.6.2 true <nil>
	// <nil>
	// done jane <nil>
}
