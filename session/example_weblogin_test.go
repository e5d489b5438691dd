package session_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

// npm login needs two URLs, prints one, and polls the other until a person has decided.
func Example_webLogin() {
	ctx := context.Background()
	sessions, err := session.New(config(store.NewMemory()))
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
	err = sessions.Approve(ctx, flow.PageID, session.SignIn{Name: "jane", Password: credential.NewSecret("correct horse")})
	fmt.Println(err)

	poll, err = sessions.Collect(ctx, flow.PollID.Reveal(), npm)
	fmt.Println(poll.State, poll.Session.Name, err)
	// Output:
	// pending <nil>
	// npm/11.6.2 true <nil>
	// <nil>
	// done jane <nil>
}
