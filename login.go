package npmauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// login starts a web login, POST /-/v1/login. A credential that rides along is
// ignored: npm sends the expired one it is about to replace, and takes any 4xx
// here as "no web login", upon which it asks for the password.
func (a *Auth) login(r *http.Request, _ policy.Operation) (reply, error) {
	var body struct {
		Hostname *string `json:"hostname"`
		Create   *bool   `json:"create"`
	}
	data, err := readBody(r)
	if err == nil && len(data) > 0 { // Yarn sends nothing
		err = strictjson.Unmarshal(data, &body)
	}
	if err != nil {
		return reply{}, err
	}
	flow, err := a.sessions.Start(r.Context(), a.sessionClient(r))
	if err != nil {
		return reply{}, err
	}
	rep := ok(map[string]string{
		"loginUrl": a.url("-/auth/login/" + flow.PageID),
		"doneUrl":  a.url("-/auth/done/" + flow.PollID.Reveal()),
	})
	rep.header = http.Header{"Npm-Notice": {"Check that the page in your browser shows the code " + flow.CheckCode}}
	return rep, nil
}

// page serves what is below /-/auth/: the two polls, and the pages.
func (a *Auth) page(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, a.prefix+"/-/auth/")
	if strings.HasPrefix(rest, "v1/") { // for programs, and none of it asked for like this
		a.fail(w, r, errNotFound)
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
		a.fail(w, r, errMethod)
	}
}

// pollLogin answers the poll of a web login. It never answers 4xx or 500: npm 10
// hangs on those and 11 and 12 crash. What is over is a 200 without a token.
func (a *Auth) pollLogin(w http.ResponseWriter, r *http.Request, id string) {
	p, err := a.sessions.Collect(r.Context(), id, a.sessionClient(r))
	switch {
	case err != nil:
		a.logOutage(r, err)
		WriteError(w, r, errUnavailable)
	case p.State == session.Pending:
		pending(w, p.RetryAfter)
	case p.State == session.Done:
		writeJSON(w, http.StatusOK, map[string]string{"token": p.Secret.Reveal()})
	default:
		w.Header().Set("npm-notice", "This login is over: it was denied, collected before, or not approved in time")
		writeJSON(w, http.StatusOK, struct{}{})
	}
}

// pollProof answers the poll of a challenge. Here a 404 ends a command cleanly.
func (a *Auth) pollProof(w http.ResponseWriter, r *http.Request, id string) {
	p, err := a.factors.Collect(r.Context(), id)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case p.State == twofactor.Pending:
		pending(w, p.RetryAfter)
	case p.State == twofactor.Done:
		writeJSON(w, http.StatusOK, map[string]string{"token": p.Proof.Reveal()})
	default:
		a.fail(w, r, &Error{http.StatusNotFound, "challenge-over", "This request for a one-time password is over: it was denied, used, or not answered in time."})
	}
}

// pending answers 202. Without a whole number of seconds npm polls every 2 ms,
// and without a JSON body it fails.
func pending(w http.ResponseWriter, after int) {
	w.Header().Set("Retry-After", strconv.Itoa(max(after, 1)))
	writeJSON(w, http.StatusAccepted, struct{}{})
}

// whoami answers GET /-/whoami.
func (a *Auth) whoami(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, policy.NewToken{})
	if err == nil && d.Effect != policy.Allow {
		err = a.denied(r.Context(), j, d) // there is no second factor for a read
	}
	if err != nil {
		return reply{}, err
	}
	rep := ok(map[string]string{"username": j.act.who.account.Name})
	rep.notice(a.expiryNotice(r.Context(), j.act, j.req.Now))
	return rep, nil
}

// logout ends the credential in the path of DELETE /-/user/token/<token>. Who
// sends it must show that it is theirs: as the bearer of the same request, or by
// a live credential of the same user. npm keeps its copy unless the answer is
// 2xx, so that a token which is dead already, presented by its holder, is one.
func (a *Auth) logout(r *http.Request, op policy.Operation) (reply, error) {
	ctx, done := r.Context(), ok(map[string]bool{"ok": true})
	text, err := a.bearer(r.Header)
	if err != nil {
		return reply{}, err
	}
	if text == "" {
		return reply{}, ErrNoCredential
	}
	d, shaped := credential.Parse(op.Name)
	if text == op.Name {
		if !shaped {
			return done, a.logoutForeign(r, text)
		}
		_, err := a.endSecret(r, "", d)
		return done, err
	}
	act, err := a.authenticate(ctx, r.Header, a.client(r), a.now())
	if err != nil {
		return reply{}, err
	}
	if shaped {
		found, err := a.endSecret(r, act.cred.User, d)
		if found || err != nil {
			return done, err
		}
	}
	return reply{}, token.ErrNotFound
}

// logoutForeign says whether a bearer that is not of npmauth's shape may be called
// logged out: a live one of the host's own cannot be ended here.
func (a *Auth) logoutForeign(r *http.Request, text string) error {
	if a.foreign == nil {
		return nil
	}
	switch _, err := a.foreign(r.Context(), credential.NewSecret(text)); {
	case err == nil:
		return errForeignLogout
	case errors.Is(err, ErrInvalidToken):
		return nil
	default:
		return err
	}
}

// endSecret ends the session or token of a digest, if it is owner's, or whoever's
// where owner is "". It reports whether there was one.
func (a *Auth) endSecret(r *http.Request, owner policy.UserID, d credential.Digest) (found bool, err error) {
	ctx := r.Context()
	cred, err := a.stored(ctx, d)
	if errors.Is(err, ErrInvalidToken) {
		return false, nil
	}
	if err != nil || owner != "" && cred.User != owner {
		return false, err
	}
	if cred.Kind == policy.KindSession {
		_, err = a.sessions.EndDigest(ctx, d) // tells of it itself
	} else if err = a.tokens.Revoke(ctx, cred.User, cred.ID); err == nil {
		a.record(ctx, audit.Event{Type: audit.Logout, Outcome: audit.Done, User: cred.User, Credential: cred.ID, Addr: a.client(r)})
	}
	if errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) {
		err = nil // another logout was faster
	}
	return true, err
}

// checkPassword is the first factor of every login path. Who does not exist, is
// disabled, is no person, or has another password hears the same, after the same time.
func (a *Auth) checkPassword(ctx context.Context, name string, pw credential.Secret) (session.User, error) {
	user, err := a.users.Lookup(ctx, name)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNoUser) {
		return session.User{}, err
	}
	right, err := a.users.CheckPassword(ctx, user.ID, pw)
	if err != nil {
		return session.User{}, err
	}
	if !known || !right || user.ID == "" || user.Service {
		return session.User{}, session.ErrDenied
	}
	if err := a.stillAlive(ctx, user.ID, a.now()); err != nil {
		return session.User{}, err
	}
	return session.User{ID: user.ID, Name: user.Name}, nil
}

// stillAlive refuses who was disabled, is gone or is no person, and a login that was
// approved before all of the user's were ended.
func (a *Auth) stillAlive(ctx context.Context, id policy.UserID, since time.Time) error {
	user, err := a.users.User(ctx, id)
	if errors.Is(err, ErrNoUser) {
		return session.ErrDenied
	}
	if err != nil {
		return err
	}
	sub, err := a.subjects.Get(ctx, a.store, id)
	if err != nil {
		return err
	}
	if user.Disabled || user.Service || sub.Disabled || user.ID != id || ended(sub.NotBefore, since) || ended(sub.SessionsNotBefore, since) {
		return session.ErrDenied
	}
	return nil
}

type carryKey struct{}

// secondFactor is the second factor of every login path. It is asked only after
// the password was right.
func (a *Auth) secondFactor(ctx context.Context, user session.User, otp credential.Secret) (session.Spend, error) {
	sub, err := a.subjects.Get(ctx, a.store, user.ID)
	if err != nil {
		return nil, err
	}
	switch sub.TwoFactor {
	case policy.TwoFactorOff:
		return nil, nil
	case policy.AuthOnly, policy.AuthAndWrites:
	default:
		return nil, session.ErrDenied
	}
	if otp.IsZero() {
		return nil, session.ErrFactorRequired
	}
	carry, _ := ctx.Value(carryKey{}).(bool)
	attempt, err := a.factors.Begin(ctx, user.ID, twofactor.Use{Class: policy.ClassLogin, Carry: carry}, otp)
	if err != nil {
		return nil, loginFactor(err)
	}
	return func(ctx context.Context, tx *store.Tx, id string) error {
		err := attempt.Spend(ctx, tx, id)
		if err != nil { // the commit will not happen: nothing is undone by telling of it
			attempt.Report(ctx, err)
		}
		return loginFactor(err)
	}, nil
}

// loginFactor turns a refused factor into the next challenge of a login.
func loginFactor(err error) error {
	if errors.Is(err, twofactor.ErrWrong) || errors.Is(err, twofactor.ErrTooMany) {
		return session.ErrFactorRequired
	}
	return err
}

// legacySignIn is the sign-in of the CouchDB login. The code typed into it may be
// presented once more by the session it opens, as Yarn 1 does.
func (a *Auth) legacySignIn(ctx context.Context, in session.SignIn) (credential.Secret, error) {
	secret, _, err := a.sessions.SignIn(context.WithValue(ctx, carryKey{}, true), in)
	return secret, err
}

// signUp creates an account, where that is open to anyone.
//
// A taken name is found before any fault of the password: a wrong one, typed for
// an account that exists, must not be judged as a new one.
func (a *Auth) signUp(ctx context.Context, name, email string, pw credential.Secret) error {
	switch _, err := a.directory.Lookup(ctx, name); {
	case err == nil:
		return account.ErrNameTaken
	case !errors.Is(err, account.ErrNoUser):
		return err
	}
	_, err := a.directory.Create(ctx, account.NewUser{Name: name, Email: email, Password: pw})
	return err
}

// namesOrg reports whether an organization has the name, so that no user gets it.
func (a *Auth) namesOrg(ctx context.Context, name string) (bool, error) {
	if a.orgs == nil {
		return false, nil
	}
	org, err := a.orgs.OrgFacts(ctx, name, "")
	return org.ID != "", err
}

// readUser answers who asks for a user's document, as npm owner add does.
func (a *Auth) readUser(r *http.Request, name string) (legacy.User, error) {
	j, d, err := a.judge(r, policy.Operation{Action: policy.ReadUser, Name: name}, policy.NewToken{})
	if err == nil && d.Effect != policy.Allow {
		err = a.denied(r.Context(), j, d)
	}
	if err != nil {
		return legacy.User{}, err
	}
	u, err := a.users.Lookup(r.Context(), name)
	if errors.Is(err, ErrNoUser) {
		return legacy.User{}, &Error{http.StatusNotFound, "no-such-user", "There is no such user."}
	}
	if err != nil {
		return legacy.User{}, err
	}
	return legacy.User{Name: u.Name, Email: u.Email}, nil
}
