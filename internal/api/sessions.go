package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/wire"
)

// sessionsPerPage is how many sessions are in one answer.
const sessionsPerPage = 100

// listSessions answers GET /-/auth/v1/sessions: where the account of the request is logged in. It is
// not npm's.
func (a *API) listSessions(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	list, next, err := a.Sessions.List(r.Context(), q.Actor.Credential.User, r.URL.Query().Get("after"), sessionsPerPage)
	if err != nil {
		return reply{}, err
	}
	objects := make([]wire.Session, len(list))
	for i, s := range list {
		objects[i] = wire.Session{
			Key: s.ID, Created: s.Created, Expires: s.Expires, UserAgent: s.UserAgent, Via: s.Via, Current: s.ID == q.Actor.Session(),
		}
		if s.Addr.IsValid() {
			objects[i].Addr = s.Addr.String()
		}
	}
	urls := map[string]string{}
	if next != "" {
		urls["next"] = a.URL("-/auth/v1/sessions?after=" + url.QueryEscape(next))
	}
	return ok(map[string]any{"objects": objects, "urls": urls}), nil
}

// errNoSession is the answer to whoever ends a session that is not one of their own.
var errNoSession = &wire.Error{Status: http.StatusNotFound, Code: "no-such-session", Sentence: "This is not one of your logins, or it has ended."}

// endSession answers DELETE /-/auth/v1/sessions/<key>. It takes a second factor for the session of the
// request, too, which npm logout ends without.
func (a *API) endSession(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	user := q.Actor.Credential.User
	if d.Effect == policy.Challenge { // nobody spends a factor on what is not there
		if _, err := a.Sessions.Get(r.Context(), user, op.Token); err != nil {
			return reply{}, a.Conclude(r.Context(), q, notMine(err))
		}
	}
	return reply{}, notMine(a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		return a.Sessions.EndTx(ctx, tx, q.Actor.By(q.Addr), user, op.Token, "ended-by-user")
	}))
}

// endOtherSessions answers DELETE /-/auth/v1/sessions: it ends all sessions of the account, and the
// web logins under way, but for the session that asks.
func (a *API) endOtherSessions(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	return reply{}, a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if _, err := subject.Revoke(ctx, tx, q.Actor.Credential.User, subject.Sessions, a.Now()); err != nil {
			return err
		}
		return a.Sessions.KeepTx(ctx, tx, q.Actor.By(q.Addr), q.Actor.Person.Subject, q.Actor.Session(), "ended-by-user")
	})
}

// notMine is the answer to a session that is not one of the user's.
func notMine(err error) error {
	if errors.Is(err, session.ErrNoSession) {
		return errNoSession
	}
	return err
}
