package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// The registry of this example knows alice, who has no second factor.
func Example() {
	st := store.NewMemory()
	sessions, err := session.New(session.Config{
		Store: st,
		Lookup: func(_ context.Context, name string) (session.User, error) {
			if name != "alice" {
				return session.User{}, session.ErrDenied
			}
			return session.User{ID: "u-1", Name: "alice"}, nil
		},
		CheckPassword: func(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
			return id == "u-1" && pw.Equal(credential.NewSecret("correct horse")), nil
		},
		SecondFactor: func(context.Context, subject.Subject, subject.Factor) (subject.Spend, error) {
			return nil, nil
		},
		Alive: func(context.Context, protocol.UserID) error { return nil },
	})
	if err != nil {
		panic(err)
	}
	factors, err := twofactor.New(twofactor.Config{Store: st})
	if err != nil {
		panic(err)
	}
	pages, err := web.New(web.Config{
		BaseURL:       &url.URL{Scheme: "https", Host: "npm.acme.test", Path: "/"},
		Sessions:      sessions,
		Factors:       factors,
		Keys:          credential.NewServerKey(st, "web"),
		CheckPassword: sessions.CheckPassword,
		Client: func(r *http.Request) session.Client {
			return session.Client{UserAgent: r.UserAgent(), At: time.Now()}
		},
	})
	if err != nil {
		panic(err)
	}

	// npm login needs the URL of a page, and a person opens it.
	flow, err := sessions.Start(context.Background(), session.Client{UserAgent: "npm/12.2.0"})
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/-/auth/login/"+flow.PageID, nil))
	fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	fmt.Println(strings.Contains(w.Body.String(), "npm/12.2.0"), strings.Contains(w.Body.String(), flow.CheckCode))
	// Output:
	// 200 no-store
	// true true
}
