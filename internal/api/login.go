package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// login starts a web login, POST /-/v1/login. A credential that rides along is
// ignored: npm sends the expired one it is about to replace, and takes any 4xx
// here as "no web login", upon which it asks for the password.
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
	flow, err := a.Sessions.Start(r.Context(), a.SessionClient(r))
	if err != nil {
		return reply{}, err
	}
	rep := ok(map[string]string{
		"loginUrl": a.URL("-/auth/login/" + flow.PageID),
		"doneUrl":  a.URL("-/auth/done/" + flow.PollID.Reveal()),
	})
	rep.header = http.Header{"Npm-Notice": {"Check that the page in your browser shows the code " + flow.CheckCode}}
	return rep, nil
}

// page serves what is below /-/auth/: the two polls, and the pages.
func (a *API) page(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, a.Prefix+"/-/auth/")
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

// pollLogin answers the poll of a web login. It never answers 4xx or 500: npm 10
// hangs on those and 11 and 12 crash. What is over is a 200 without a token.
func (a *API) pollLogin(w http.ResponseWriter, r *http.Request, id string) {
	p, err := a.Sessions.Collect(r.Context(), id, a.SessionClient(r))
	switch {
	case err != nil:
		a.LogOutage(r, err)
		wire.WriteError(w, wire.Unavailable)
	case p.State == session.Pending:
		pending(w, p.RetryAfter)
	case p.State == session.Done:
		wire.WriteJSON(w, http.StatusOK, map[string]string{"token": p.Secret.Reveal()})
	default:
		w.Header().Set("npm-notice", "This login is over: it was denied, collected before, or not approved in time")
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	}
}

// pollProof answers the poll of a challenge. Here a 404 ends a command cleanly.
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
		a.Fail(w, r, &wire.Error{Status: http.StatusNotFound, Code: "challenge-over", Sentence: "This request for a one-time password is over: it was denied, used, or not answered in time."})
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
	j, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	rep := ok(map[string]string{"username": j.Actor.Person.Account.Name})
	rep.notice(a.ExpiryNotice(r.Context(), j.Actor, j.Now))
	return rep, nil
}

// logout ends the credential in the path of DELETE /-/user/token/<token>. Who
// sends it must show that it is theirs: as the bearer of the same request, or by
// a live credential of the same user. npm keeps its copy unless the answer is
// 2xx, so that a token which is dead already, presented by its holder, is one.
func (a *API) logout(r *http.Request, op protocol.Operation) (reply, error) {
	ctx, done := r.Context(), ok(map[string]bool{"ok": true})
	text, err := a.Bearer(r.Header)
	if err != nil {
		return reply{}, err
	}
	if text == "" {
		return reply{}, host.ErrNoCredential
	}
	d, shaped := credential.Parse(op.Token)
	if text == op.Token {
		if !shaped {
			return done, a.logoutForeign(r, text)
		}
		_, err := a.endSecret(r, nil, d)
		return done, err
	}
	act, err := a.Authenticate(ctx, r.Header, a.Client(r), a.Now())
	if err != nil {
		return reply{}, err
	}
	if shaped {
		found, err := a.endSecret(r, act.Verified, d)
		if found || err != nil {
			return done, err
		}
	}
	return reply{}, token.ErrNotFound
}

// logoutForeign says whether a bearer that is not of npmauth's shape may be called
// logged out: a live one of the host's own cannot be ended here.
func (a *API) logoutForeign(r *http.Request, text string) error {
	if a.Foreign == nil {
		return nil
	}
	switch _, err := a.Foreign(r.Context(), credential.NewSecret(text)); {
	case err == nil:
		return errForeignLogout
	case errors.Is(err, host.ErrInvalidToken):
		return nil
	default:
		return err
	}
}

// endSecret ends the session or token of a digest: whoever's, where by is nil and the
// holder asks, or else one of the user of by, which must hold in the same commit. It
// reports whether there was one.
func (a *API) endSecret(r *http.Request, by *authz.Verified, d credential.Digest) (found bool, err error) {
	ctx := r.Context()
	err = store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		found = false
		var asking authz.Actor
		if by != nil {
			if _, err := tx.Get(ctx, append(a.ActorKeys(by), session.Key(d), token.KeyOf(d))...); err != nil {
				return err
			}
			var err error
			if asking, err = a.Present(ctx, tx, by, a.Now()); err != nil {
				return err
			}
		}
		v, err := a.Stored(ctx, tx, d)
		if errors.Is(err, host.ErrInvalidToken) {
			return nil
		}
		if err != nil || by != nil && v.Credential.User != asking.Credential.User {
			return err
		}
		found = true
		if by == nil {
			asking = authz.Actor{Credential: &v.Credential}
		}
		if v.Credential.Kind == policy.KindSession {
			_, err = a.Sessions.LogoutTx(ctx, tx, asking.By(a.Client(r)), d)
			return err
		}
		return a.Tokens.RevokeTx(ctx, tx, asking.By(a.Client(r)), v.Credential.User, v.Credential.ID, "logout")
	})
	if errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) {
		err = nil // another logout was faster
	}
	return found, err
}

// legacySignIn is the sign-in of the CouchDB login.
func (a *API) legacySignIn(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
	secret, _, err := a.Sessions.SignIn(ctx, session.SignIn{
		Name: in.Name, Password: in.Password, OTP: in.OTP, Client: session.Client(in.Client), Via: authz.ViaLegacy,
	})
	if errors.Is(err, session.ErrDenied) {
		err = fmt.Errorf("%w: %w", legacy.ErrDenied, err)
	}
	return secret, err
}

// legacySignUp is the sign-up of the CouchDB login.
func (a *API) legacySignUp(ctx context.Context, name, email string, pw credential.Secret) error {
	err := a.signUp(ctx, name, email, pw)
	if errors.Is(err, host.ErrNameTaken) {
		err = fmt.Errorf("%w: %w", legacy.ErrNameTaken, err)
	}
	return err
}

// readUser answers who asks for a user's document, as npm owner add does.
func (a *API) readUser(r *http.Request, name string) (legacy.User, error) {
	if _, err := a.CheckRead(r, protocol.Operation{Action: protocol.ReadUser, User: name}); err != nil {
		return legacy.User{}, err
	}
	u, err := a.Users.Lookup(r.Context(), name)
	if errors.Is(err, host.ErrNoUser) {
		return legacy.User{}, &wire.Error{Status: http.StatusNotFound, Code: "no-such-user", Sentence: "There is no such user."}
	}
	if err != nil {
		return legacy.User{}, err
	}
	return legacy.User{Name: u.Name, Email: u.Email}, nil
}
