package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// login starts a web login, POST /-/v1/login. A credential that rides along is
// ignored: npm sends the expired one it is about to replace, and takes any 4xx
// here as "no web login", upon which it asks for the password. npm adduser is led to the page
// that creates an account, which leads to that of the login.
func (a *API) login(r *http.Request, _ protocol.Operation) (reply, error) {
	var body struct {
		Hostname *string `json:"hostname"`
		Create   *bool   `json:"create"`
	}
	data, err := wire.ReadBody(r)
	if err == nil && len(data) > 0 { // Yarn sends nothing
		err = strictjson.Unmarshal(data, &body)
	}
	if err != nil {
		return reply{}, err
	}
	if a.wantsPassword(r) {
		return reply{}, errPasswordLogin
	}
	flow, err := a.Sessions.Start(r.Context(), a.SessionClient(r))
	if err != nil {
		return reply{}, err
	}
	page := "-/auth/login/"
	if body.Create != nil && *body.Create && a.signUpPage != "" {
		page = "-/auth/signup/"
	}
	rep := ok(map[string]string{
		"loginUrl": a.URL(page + flow.PageID),
		"doneUrl":  a.URL("-/auth/done/" + flow.PollID.Reveal()),
	})
	rep.header = http.Header{"Npm-Notice": {"Check that the page in your browser shows the code " + flow.CheckCode}}
	return rep, nil
}

// errPasswordLogin is the answer to a client that is to ask for the password.
var errPasswordLogin = &wire.Error{
	Status: http.StatusNotFound, Code: "password-login", Sentence: "This npm logs in with a password here. A newer one logs in with a browser.",
}

// wantsPassword reports whether r comes from a client that begins with a web login also where it
// was told to log in with a password, and whether that can succeed: npm 8, which says so in
// npm-auth-type, and npm 6 and 7, which know no other kind.
func (a *API) wantsPassword(r *http.Request) bool {
	if !a.legacy.Open(a.Now()) {
		return false
	}
	if kind := header.Single(r.Header, "Npm-Auth-Type"); kind != "" {
		return kind == "legacy"
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "npm/6.") || strings.HasPrefix(agent, "npm/7.")
}

// page serves what is below /-/auth/: the two polls, and the pages.
func (a *API) page(w http.ResponseWriter, r *http.Request) {
	path, _ := a.Path(r)
	path, _ = url.PathUnescape(path)
	rest := strings.TrimPrefix(path, "/-/auth/")
	if strings.HasPrefix(rest, "v1/") { // for programs, and none of it asked for like this
		a.Fail(w, r, authz.ErrNotFound)
		return
	}
	poll := a.pages.ServeHTTP
	if id, ok := strings.CutPrefix(rest, "done/"); ok {
		poll = func(w http.ResponseWriter, r *http.Request) { a.pollLogin(w, r, id) }
	} else if id, ok := strings.CutPrefix(rest, "proof/"); ok {
		poll = func(w http.ResponseWriter, r *http.Request) { a.pollProof(w, r, id) }
	} else {
		poll(w, r)
		return
	}
	// npm dist-tag leaks its method into the poll. What no client sends, and what
	// a prefetcher might, collects nothing.
	switch r.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
		poll(w, r)
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		a.Fail(w, r, errMethod)
	}
}

// pollLogin answers the poll of a web login. One that is over is 410, but for npm a 200 without a
// token: after any 4xx npm 8 and 9 go on with a password, npm 10 hangs at that prompt, and 11 and 12
// crash. Yarn 4 takes such a 200 for a login.
func (a *API) pollLogin(w http.ResponseWriter, r *http.Request, id string) {
	p, err := a.Sessions.Collect(r.Context(), id, a.SessionClient(r))
	switch {
	case err != nil:
		a.LogOutage(r, err)
		wire.WriteError(w, wire.Unavailable)
	case p.State == session.Pending:
		pending(w, p.RetryAfter)
	case p.State == session.Done:
		if notice := authz.Notices(p.Session.Notice, a.LoginNotice(r.Context(), p.Session.User)); notice != "" {
			w.Header().Set("npm-notice", notice)
		}
		wire.WriteJSON(w, http.StatusOK, map[string]string{"token": p.Secret.Reveal()})
	case isNPM(r):
		w.Header().Set("npm-notice", errLoginOver.Sentence)
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	default:
		a.Fail(w, r, errLoginOver)
	}
}

// The answers to the poll of what is over.
var (
	errLoginOver     = &wire.Error{Status: http.StatusGone, Code: "login-over", Sentence: "This login is over: it was denied, collected before, or not approved in time. Log in again."}
	errChallengeOver = &wire.Error{Status: http.StatusGone, Code: "challenge-over", Sentence: "This request for a one-time password is over: it was denied, used, or not answered in time. Run the command again."}
)

// isNPM reports whether r comes from npm, also from one that another client has started and told
// its own name: all of them say for npm's sake that they are npm/?, too.
func isNPM(r *http.Request) bool { return strings.Contains(r.UserAgent(), "npm/") }

// pollProof answers the poll of a challenge. One that is over is 410: npm, Bun and vlt end with an
// error then, and pnpm 11 and 12 wait as long as with any other status. With 404 Bun would say that
// the package does not exist.
func (a *API) pollProof(w http.ResponseWriter, r *http.Request, id string) {
	p, err := a.Factors.Collect(r.Context(), id, a.Client(r))
	switch {
	case err != nil:
		a.Fail(w, r, err)
	case p.State == twofactor.Pending:
		pending(w, p.RetryAfter)
	case p.State == twofactor.Done:
		wire.WriteJSON(w, http.StatusOK, map[string]string{"token": p.Proof.Reveal()})
	default:
		a.Fail(w, r, errChallengeOver)
	}
}

// pending answers 202. Without a whole number of seconds npm polls every 2 ms,
// and without a JSON body it fails.
func pending(w http.ResponseWriter, after int) {
	w.Header().Set("Retry-After", strconv.Itoa(max(after, 1)))
	wire.WriteJSON(w, http.StatusAccepted, struct{}{})
}

// whoami answers GET /-/whoami.
func (a *API) whoami(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	rep := ok(map[string]string{"username": q.Actor.Person.Account.Name})
	rep.notice(a.ExpiryNotice(r.Context(), q.Actor, q.Now))
	return rep, nil
}
