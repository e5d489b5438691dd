// Package api serves the endpoints of npm that are about people and their credentials: logins,
// tokens, profiles, second factors, service accounts, and the pages below /-/auth/.
//
//	a, err := api.New(api.Config{Authorizer: authorizer})
//	…
//	if a.Serves(op.Action) {
//		a.Serve(w, r, op)
//	}
//
// A map has the endpoint of each action. Package authz decides about each request, and commits it.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/bucket"
	"github.com/npmauth/npmauth/leak"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/web"
	"github.com/npmauth/npmauth/wire"
)

var (
	errMethod        = &wire.Error{Status: http.StatusMethodNotAllowed, Code: "method-not-allowed", Sentence: "This address does not take that method."}
	errForeignLogout = &wire.Error{Status: http.StatusForbidden, Code: "foreign-token", Sentence: "This older kind of token cannot be ended here. End it where it was made."}
)

// An API serves the endpoints of npm that are about people and their credentials.
type API struct {
	*authz.Authorizer
	leakKeys leak.Keys
	// largeReports has an element for each large report that is kept.
	largeReports chan struct{}

	changeKey *credential.ServerKey
	legacy    *legacy.Handler
	pages     *web.Pages
	signUps   *bucket.Buckets // of the networks that sign up, or ask which names are taken

	signUpPage string // its address; "" if nobody can sign up
}

// How many accounts a network creates, or tries to: at once, and how soon one more.
const (
	signUpBurst = 20
	signUpEvery = 30 * time.Second
)

// Config configures an [API].
type Config struct {
	Authorizer *authz.Authorizer
	Name       string        // of the registry
	Look       web.Look      // of the pages
	SignIn     *web.SignIn   // of the host, in place of the password; nil: none
	WantsKeys  bool          // there are security keys where the base URL has a domain name
	NoApps     bool          // no more apps are enrolled
	LeakKeys   leak.Keys     // of those who may report leaked credentials; nil: nobody may
	OpenSignUp bool          // anyone may create an account
	Legacy     legacy.Config // the dates, the documentation and SignUpAtLogin of the CouchDB login
}

// New returns an API, or an error that names the part that is wrong.
func New(cfg Config) (*API, error) {
	a := &API{Authorizer: cfg.Authorizer, leakKeys: cfg.LeakKeys, largeReports: make(chan struct{}, maxLargeReports)}
	a.changeKey = credential.NewServerKey(a.Store, "changes")
	a.signUps = bucket.New(signUpBurst, signUpEvery, a.Now)
	pages := web.Config{
		BaseURL: a.Base, Name: cfg.Name, Look: cfg.Look, SignIn: cfg.SignIn, Sessions: a.Sessions, Factors: a.PageFactors(),
		Keys:          credential.NewServerKey(a.Store, "pages"),
		CheckPassword: a.Sessions.CheckPassword, Client: a.SessionClient, Report: a.LogOutage,
		WantsKeys: cfg.WantsKeys, NoApps: cfg.NoApps,
		API: http.HandlerFunc(serveWhole), Events: a.AuditLog != nil, Orgs: a.ListsOrgs(), Staging: a.Stage != nil,
	}
	if a.Trust != nil {
		pages.Issuers = a.Trust.Issuers()
	}
	old := cfg.Legacy
	old.SignIn, old.ReadUser, old.Now, old.Fail = a.legacySignIn, a.readUser, a.Now, a.legacyFail
	old.Client = func(r *http.Request) legacy.Client { return legacy.Client(a.SessionClient(r)) }
	if cfg.OpenSignUp {
		a.signUpPage = a.URL("-/auth/signup")
		pages.SignUp, old.SignUp = a.pageSignUp, a.legacySignUp
	}
	var err error
	if a.pages, err = web.New(pages); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if a.legacy, err = legacy.New(old); err != nil {
		return nil, fmt.Errorf("Config.Legacy: %w", err)
	}
	return a, nil
}

// An endpoint answers a request for an operation.
type endpoint func(a *API, w http.ResponseWriter, r *http.Request, op protocol.Operation)

// endpoints has what npmauth serves itself, by action.
var endpoints = map[protocol.Action]endpoint{
	protocol.Login: answer((*API).login),
	protocol.LegacyLogin: func(a *API, w http.ResponseWriter, r *http.Request, op protocol.Operation) {
		a.legacy.Put(w, r, op.User)
	},
	protocol.LegacyUpdate: func(a *API, w http.ResponseWriter, r *http.Request, _ protocol.Operation) { a.legacy.PutRevision(w, r) },
	protocol.ReadUser: func(a *API, w http.ResponseWriter, r *http.Request, op protocol.Operation) {
		a.legacy.Get(w, r, op.User)
	},
	protocol.Logout:          answer((*API).logout),
	protocol.Whoami:          answer((*API).whoami),
	protocol.ListTokens:      answer((*API).listTokens),
	protocol.CreateToken:     byToken((*API).createToken, (*API).rotateToken),
	protocol.RevokeToken:     byToken((*API).revokeTokens, (*API).revokeToken),
	protocol.ListSessions:    answer((*API).listSessions),
	protocol.EndSession:      byToken((*API).endOtherSessions, (*API).endSession),
	protocol.ListEvents:      answer((*API).listEvents),
	protocol.ListMemberships: answer((*API).listOrgs),
	protocol.SetOrgFactor:    answer((*API).setOrgFactor),
	protocol.ReadOrgTrust:    answer((*API).listOrgTrust),
	protocol.WriteOrgTrust:   answer((*API).writeOrgTrust),
	protocol.ReadProfile:     answer((*API).readProfile),
	protocol.WriteProfile:    answer((*API).writeProfile),
	protocol.SetTwoFactor:    answer((*API).setKeysOnly), // and of a body that writeProfile reads
	protocol.ListFactors:     answer((*API).listFactors),
	protocol.AddFactor:       answer((*API).addFactor),
	protocol.RemoveFactor:    answer((*API).removeFactor),
	protocol.SetPassword:     answer((*API).refuse), // of a body that writeProfile reads, and of no path
	protocol.ReadService:     answer((*API).listServiceTokens),
	protocol.ManageService:   byToken((*API).createServiceToken, (*API).rotateServiceToken),
	protocol.RevokeService:   answer((*API).revokeServiceToken),
	protocol.ReadSelf:        answer((*API).self),
	protocol.ReportLeak:      answer((*API).reportLeak),
	protocol.ReadTrust:       answer((*API).listTrust),
	protocol.CheckTrust:      answer((*API).checkTrust),
	protocol.WriteTrust:      answer((*API).writeTrust),
	protocol.ExchangeToken:   (*API).exchange,
	protocol.ListStaged:      answer((*API).listStaged),
	protocol.ReadAccess:      answer((*API).readAccess),
	protocol.AuthPage:        func(a *API, w http.ResponseWriter, r *http.Request, _ protocol.Operation) { a.page(w, r) },
}

// Serves reports whether npmauth answers the action itself. It does so of
// [protocol.ReadAccess], too, which the guard routes to [API.Serve]: a host without the other
// endpoints has that one.
func (a *API) Serves(action protocol.Action) bool {
	return endpoints[action] != nil && action != protocol.ReadAccess
}

// Serve answers a request for an operation that has an endpoint.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, op protocol.Operation) {
	defer a.Recover(r, func(err error) { a.Fail(w, r, err) })
	if r.Body != nil && r.Body != http.NoBody {
		// Legacy and the pages bound their own bodies, too; a bound that is met twice
		// is still a bound.
		bound := int64(wire.MaxBody)
		if op.Action == protocol.ReportLeak {
			bound = maxReport
		}
		client := a.SessionClient(r)
		ctx := subject.WithClient(r.Context(), subject.Client{Addr: client.Addr}) // for the hash of a sign-up
		r = r.WithContext(authz.WithClient(ctx, client))
		authz.BufferBody(w, r, bound)
	}
	endpoints[op.Action](a, w, r, op)
}

// An answering method returns the answer to a request, or the error that becomes one.
type answering func(*API, *http.Request, protocol.Operation) (reply, error)

// answer returns the endpoint that answers with what fn returns, or with its error: the one
// place where an endpoint's error becomes an answer. A reply with a nil body is 204.
func answer(fn answering) endpoint {
	return func(a *API, w http.ResponseWriter, r *http.Request, op protocol.Operation) {
		rep, err := fn(a, r, op)
		if err != nil {
			a.Fail(w, r, a.Unclear(r, op.Action, err))
			return
		}
		for k, v := range rep.header {
			w.Header()[k] = v
		}
		if rep.body == nil {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		wire.WriteJSON(w, rep.status, rep.body)
	}
}

type wholeKey struct{}

// Within returns r as part of whole, the handler that serves the registry: pages send it the requests
// of who is signed in.
func Within(r *http.Request, whole http.Handler) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), wholeKey{}, whole))
}

// serveWhole serves a request that a page sends.
func serveWhole(w http.ResponseWriter, r *http.Request) {
	whole, ok := r.Context().Value(wholeKey{}).(http.Handler)
	if !ok {
		wire.WriteError(w, wire.Unavailable)
		return
	}
	whole.ServeHTTP(w, r)
}

// byToken returns the endpoint that answers with one where the path names a token, and with all
// where it names none.
func byToken(all, one answering) endpoint {
	return answer(func(a *API, r *http.Request, op protocol.Operation) (reply, error) {
		if op.Token != "" {
			return one(a, r, op)
		}
		return all(a, r, op)
	})
}

// A reply is what an endpoint answers when nothing went wrong.
type reply struct {
	status int
	header http.Header
	body   any
}

// notice makes npm print text, unless it is "".
func (rep *reply) notice(text string) {
	if text != "" {
		rep.header = http.Header{"Npm-Notice": {text}}
	}
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// refuse lets the policy say why an operation is not to be had; should a policy
// of the host's allow it, there is still nothing here that does it.
func (a *API) refuse(r *http.Request, op protocol.Operation) (reply, error) {
	q, _, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	return reply{}, a.Conclude(r.Context(), q, authz.ErrNotFound)
}

// errDryRun ends a transaction that must not happen.
var errDryRun = errors.New("npmauth: dry run")

// dryRun runs fn for its errors and commits nothing.
func (a *API) dryRun(ctx context.Context, fn func(*store.Tx) error) error {
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		return nil
	}
	return err
}

// finish makes the host's write, if there is one, after that commit. It does
// not let go of it because the client went away.
func finish(ctx context.Context, write host.Write) error {
	if write == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	return write(ctx)
}
