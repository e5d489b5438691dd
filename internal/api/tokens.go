package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// createToken answers POST /-/npm/v1/tokens: in a session, with the password,
// and with a second factor where the account has one.
func (a *API) createToken(r *http.Request, op protocol.Operation) (reply, error) {
	var body wire.TokenRequest
	if err := wire.Decode(r, &body); err != nil {
		return reply{}, err
	}
	spec, err := body.Spec()
	if err != nil {
		return reply{}, err
	}
	q, d, err := a.Check(r, op, &protocol.Change{Token: &spec})
	if err != nil {
		return reply{}, err
	}
	return a.makeToken(r, q, d, body.Password, token.SpecOf(q.Actor.Credential.User, spec))
}

// makeToken makes the token of spec for a request that is not denied: with the
// password, and the second factor if that is what is missing.
func (a *API) makeToken(r *http.Request, q *authz.Request, d policy.Decision, password string, spec token.Spec) (reply, error) {
	if err := a.Tokens.Validate(spec); err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var secret credential.Secret
	var tok token.Token
	err := a.commitWithPassword(r, q, d, password, token.ReadsOf(spec.User, ""), func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		secret, tok, err = a.Tokens.CreateTx(ctx, tx, q.Actor.By(q.Addr), spec)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return a.made(q, secret, tok), nil
}

// made answers with a new token, whose secret is seen this once.
func (a *API) made(q *authz.Request, secret credential.Secret, tok token.Token) reply {
	shown := shownToken(tok)
	shown["token"] = secret.Reveal()
	rep := reply{status: http.StatusCreated, body: shown}
	rep.notice(a.FactorNotice(q))
	return rep
}

// rotateToken answers POST /-/auth/v1/tokens/<key>/rotate: a new secret for a token, in
// one call, while the old one goes on for a while. It takes what creating a token takes.
func (a *API) rotateToken(r *http.Request, op protocol.Operation) (reply, error) {
	return a.rotateOf(r, op, func(q *authz.Request) protocol.UserID { return q.Actor.Credential.User }, false)
}

// rotateOf rotates a token of the user that user returns; "" is a service account that is none.
func (a *API) rotateOf(r *http.Request, op protocol.Operation, user func(*authz.Request) protocol.UserID, service bool) (reply, error) {
	var body wire.RotateRequest
	if err := wire.Decode(r, &body); err != nil {
		return reply{}, err
	}
	grace, days, err := body.Rotation()
	if err != nil {
		return reply{}, err
	}
	// Decided twice: the token that is replaced is known only when its user is.
	q, _, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	id := user(q)
	if id == "" {
		return reply{}, a.Conclude(r.Context(), q, authz.ErrNoService)
	}
	return a.rotate(r, q, body.Password, token.Rotation{ID: op.Token, User: id, Service: service, Grace: grace, Days: days})
}

// rotate makes a token in the place of the one that rotation names. The first decision did not
// deny q, and knew nothing of that token.
func (a *API) rotate(r *http.Request, q *authz.Request, password string, rotation token.Rotation) (reply, error) {
	old, err := a.Tokens.Rotatable(r.Context(), rotation.User, rotation.ID)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	next := &protocol.TokenSpec{Name: old.Name, Grants: old.Grants, Bypass: old.Bypass, CIDRs: old.CIDRs, Days: rotation.Days}
	q, d, err := a.Check(r, q.Operation, &protocol.Change{Token: next, Grace: &rotation.Grace})
	if err != nil {
		return reply{}, err
	}
	var secret credential.Secret
	var tok token.Token
	err = a.commitWithPassword(r, q, d, password, token.ReadsOf(rotation.User, rotation.ID), func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		secret, tok, err = a.Tokens.RotateTx(ctx, tx, q.Actor.By(q.Addr), rotation)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return a.made(q, secret, tok), nil
}

// commitWithPassword is commit for what takes the password as well.
func (a *API) commitWithPassword(r *http.Request, q *authz.Request, d policy.Decision, password string, keys []string, fn authz.Write) error {
	secret := credential.NewSecret(password)
	q.Password = &secret
	return a.Commit(r, q, d, keys, fn)
}

// listTokens answers GET /-/npm/v1/tokens, newest first. Sessions are not among them, but for the
// one of the request if that is vlt's: vlt logout looks for itself there, and deletes what it finds.
func (a *API) listTokens(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	var own []map[string]any
	if c := q.Actor.Credential; c.Kind == policy.KindSession && strings.HasPrefix(r.UserAgent(), "@vltpkg/") {
		// It compares the start of its secret, of which this tells nobody anything.
		own = append(own, wire.Token{Key: c.ID, Hint: credential.PrefixSession, Created: c.Created, Expires: c.Expires, TokenSpec: protocol.TokenSpec{Name: "this login"}}.Fields())
	}
	return a.tokenPage(r, q.Actor.Credential.User, "-/npm/v1/tokens", own...)
}

// tokenPage answers with the page of user's tokens that the query asks for; path is what
// was asked. The first page begins with own.
func (a *API) tokenPage(r *http.Request, user protocol.UserID, path string, own ...map[string]any) (reply, error) {
	query := r.URL.Query()
	page, per := number(query, "page", 0, 0, 1000), number(query, "perPage", 100, 1, 100)
	opt := token.ListOptions{After: query.Get("after"), Limit: per}
	if opt.After == "" {
		opt.Offset = page * per
	}
	list, next, total, err := a.Tokens.List(r.Context(), user, opt)
	if err != nil {
		return reply{}, err
	}
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.ID
	}
	used, err := a.Tokens.Used(r.Context(), ids...)
	if err != nil {
		return reply{}, err
	}
	objects := make([]map[string]any, 0, len(own)+len(list))
	if page == 0 {
		objects = append(objects, own...)
	}
	for _, t := range list {
		shown := shownToken(t)
		shown["accessed"] = nil
		if at, ok := used[t.ID]; ok {
			shown["accessed"] = at
		}
		objects = append(objects, shown)
	}
	urls := map[string]string{} // always there: npm reads urls.next
	if next != "" && (page+1)*per < total {
		urls["next"] = a.URL(path + "?" + url.Values{
			"page": {strconv.Itoa(page + 1)}, "perPage": {strconv.Itoa(per)}, "after": {next},
		}.Encode())
	}
	return ok(map[string]any{"objects": objects, "total": len(own) + total, "urls": urls}), nil
}

// number reads a query parameter, and takes the default where it is not a number
// in range.
func number(q url.Values, name string, def, low, high int) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil {
		return def
	}
	return min(max(n, low), high)
}

// shownToken is a token as npm lists it.
func shownToken(t token.Token) map[string]any {
	return wire.Token{Key: t.ID, Hint: t.Hint, Created: t.Created, Expires: t.Expires, Replaces: t.Replaces, ReplacedBy: t.ReplacedBy, TokenSpec: protocol.TokenSpec{
		Name: t.Name, Description: t.Description, Grants: t.Grants, Bypass: t.Bypass, CIDRs: t.CIDRs,
	}}.Fields()
}

// errNotListed is for a part of a token: whoever gave more of it than is listed must not believe
// that it has ended.
var errNotListed = &wire.Error{Status: http.StatusNotFound, Code: "no-such-token", Sentence: "This is not one of your tokens. Give its id, or the characters that npm token list shows, no fewer and no more, or the whole token."}

// revokeToken answers DELETE /-/npm/v1/tokens/token/<key or token>. What is not
// the asking user's answers as what does not exist. The characters that npm token list shows of
// a token do for it where no other of the user's begins with them: npm sends them on as they
// were typed. The session of the request by its ID is a logout, as vlt sends it.
func (a *API) revokeToken(r *http.Request, op protocol.Operation) (reply, error) {
	if ended, err := a.endsItself(r, op.Token); ended || err != nil {
		return reply{}, err
	}
	q, d, err := a.Check(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	user, id := q.Actor.Credential.User, op.Token
	if digest, shaped := credential.Parse(op.Token); shaped {
		id = token.IDOf(digest)
	} else if strings.HasPrefix(op.Token, credential.PrefixToken) {
		id, err = a.Tokens.FindHint(r.Context(), user, op.Token)
		if errors.Is(err, token.ErrNotFound) {
			err = errNotListed
		}
		if err != nil {
			return reply{}, a.Conclude(r.Context(), q, err)
		}
	}
	// The path may hold the token itself, and what a challenge is about is stored
	// and shown on its page.
	q.Operation.Token = id
	return a.revoke(r, q, d, user, id)
}

// revoke ends a token of user for a request that is not denied.
func (a *API) revoke(r *http.Request, q *authz.Request, d policy.Decision, user protocol.UserID, id string) (reply, error) {
	if d.Effect == policy.Challenge { // nobody spends a factor on what is not there
		if _, err := a.Tokens.Get(r.Context(), user, id); err != nil {
			return reply{}, a.Conclude(r.Context(), q, err)
		}
	}
	return reply{}, a.Commit(r, q, d, token.ReadsOf(user, id), func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		return a.Tokens.RevokeTx(ctx, tx, q.Actor.By(q.Addr), user, id, "")
	})
}

// revokeTokens answers DELETE /-/auth/v1/tokens: all tokens of the asking user, and none
// of their sessions. After an error it can be sent again.
func (a *API) revokeTokens(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	return reply{}, a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		return a.Tokens.RevokeAllTx(ctx, tx, q.Actor.By(q.Addr), q.Actor.Credential.User)
	})
}
