package api

import (
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// listServiceTokens answers GET /-/auth/v1/services/<name>/tokens, as listTokens.
func (a *API) listServiceTokens(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	if q.Service.ID == "" {
		return reply{}, authz.ErrNoService
	}
	return a.tokenPage(r, q.Service.ID, "-/auth/v1/services/"+url.PathEscape(op.Service)+"/tokens")
}

// createServiceToken answers POST /-/auth/v1/services/<name>/tokens, whose body is that of
// POST /-/npm/v1/tokens: in a session of an administrator, with their password and their
// second factor. The token is the service account's.
func (a *API) createServiceToken(r *http.Request, op protocol.Operation) (reply, error) {
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
	if q.Service.ID == "" {
		return reply{}, a.Conclude(r.Context(), q, authz.ErrNoService)
	}
	made := token.SpecOf(q.Service.ID, spec)
	made.Service = true
	return a.makeToken(r, q, d, body.Password, made)
}

// rotateServiceToken answers POST /-/auth/v1/services/<name>/tokens/<key>/rotate, as
// rotateToken.
func (a *API) rotateServiceToken(r *http.Request, op protocol.Operation) (reply, error) {
	return a.rotateOf(r, op, func(q *authz.Request) protocol.UserID { return q.Service.ID }, true)
}

// revokeServiceToken answers DELETE /-/auth/v1/services/<name>/tokens/<key>.
func (a *API) revokeServiceToken(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	if q.Service.ID == "" {
		return reply{}, a.Conclude(r.Context(), q, authz.ErrNoService)
	}
	return a.revoke(r, q, d, q.Service.ID, op.Token)
}
