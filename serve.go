package npmauth

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/api"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Wrap returns next with npmauth in front: npm's login, token and profile
// endpoints and the pages below /-/auth/ are served, and every other request
// reaches next only if it is allowed.
func (a *Auth) Wrap(next http.Handler) http.Handler { return a.handler(true, next) }

// Handler serves npmauth's own endpoints and answers 404 to everything else. It
// is for hosts with a mux of their own: [Auth.Wrap] is this and [Auth.Guard].
func (a *Auth) Handler() http.Handler { return a.handler(true, nil) }

// Guard returns next behind the policy. npmauth's own endpoints are not served:
// it answers 404 to them, and they never reach next. What it answers itself is npm's
// second-factor setting of a package and GET /-/package/<pkg>/access.
func (a *Auth) Guard(next http.Handler) http.Handler { return a.handler(false, next) }

// handler serves npmauth's own endpoints if own, and hands every other request that is allowed
// to next, unless that is nil.
func (a *Auth) handler(own bool, next http.Handler) http.Handler {
	var whole http.Handler
	whole = a.guard.LimitBodies(func(w http.ResponseWriter, r *http.Request) {
		r = a.authz.Rooted(r)
		op, err := a.guard.Classify(r)
		switch served := a.api.Serves(op.Action); {
		case err != nil:
			a.authz.Fail(w, r, err)
		case served && own:
			if op.Action == protocol.AuthPage {
				r = api.Within(r, whole)
			}
			a.api.Serve(w, r, op)
		case !served && next != nil:
			a.guard.Serve(w, r, op, next)
		default:
			a.guard.Misplaced(r, op)
			a.authz.Fail(w, r, authz.ErrNotFound)
		}
	})
	return whole
}

// Authenticate returns the user and the credential of r. The error is [host.ErrNoCredential] for a
// request without a credential and [host.ErrInvalidToken] for one whose credential is not valid;
// any other is an outage. With an error the Identity must not be used.
func (a *Auth) Authenticate(r *http.Request) (host.Identity, error) {
	act, err := a.authz.Authenticate(r.Context(), r.Header, a.authz.Client(r), a.authz.Now())
	if err != nil {
		return host.Identity{}, err
	}
	if act.Credential == nil {
		return host.Identity{}, host.ErrNoCredential
	}
	return act.Identity(), nil
}

// Authorize authenticates the credential in header and decides about op, sent from addr. It is what
// [Auth.Guard] does before it verifies a second factor. Authorize neither verifies nor spends one:
// a decision with the effect [policy.Challenge] allows nothing. A request without a credential is
// decided on as anonymous and has the zero Identity, and so is one with a credential that is known
// to have ended, where the action is public ([protocol.Action.Public]): [Auth.Authenticate] tells
// them apart. An error is [host.ErrInvalidToken] or an outage, and comes with a decision that denies.
//
// PUT /<pkg> is classified as [protocol.WritePackument], which npm's rules deny: read its body and
// set op.Action to what it is. With [protocol.GrantTeam] set op.Package, which is in the body.
func (a *Auth) Authorize(ctx context.Context, op protocol.Operation, header http.Header, addr netip.Addr) (host.Identity, policy.Decision, error) {
	return a.authz.Authorize(ctx, op, header, addr)
}

// Explain decides about a request as [Auth.Authorize] does, as if its body made the change c, and
// returns the decision with the verdict of each rule. A nil c means a read, or a write whose body
// is not known. Nothing is spent, stored or recorded.
//
// The trace is for those who run the registry: it may tell of packages that the sender may not see.
// [policy.Trace.Own] leaves npm's rules out, and policytest.Format writes Trace.Request as the line
// of a table. Errors are those of Authorize.
func (a *Auth) Explain(ctx context.Context, header http.Header, op protocol.Operation, c *protocol.Change, addr netip.Addr) (policy.Trace, error) {
	return a.authz.Explain(ctx, header, op, c, addr)
}

// WriteError answers r with err in npm's form: JSON with the strings error and message, both of
// which clients read. The status follows from err; the text of an error that npmauth does not know
// is not sent. It also serves a host that refuses something itself: give it a
// [*github.com/npmauth/npmauth/wire.Error].
func WriteError(w http.ResponseWriter, r *http.Request, err error) { authz.WriteError(w, r, err) }
