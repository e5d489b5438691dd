package npmauth

import (
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

var errNoService = &wire.Error{Status: http.StatusNotFound, Code: "no-such-service", Sentence: "There is no such service account or you do not administer it."}

// listServiceTokens answers GET /-/auth/v1/services/<name>/tokens, as listTokens.
func (a *API) listServiceTokens(r *http.Request, op policy.Operation) (reply, error) {
	j, err := a.judgeRead(r, op)
	if err != nil {
		return reply{}, err
	}
	if j.service.ID == "" {
		return reply{}, errNoService
	}
	return a.tokenPage(r, j.service.ID, "-/auth/v1/services/"+url.PathEscape(op.Service)+"/tokens")
}

// createServiceToken answers POST /-/auth/v1/services/<name>/tokens, whose body is that of
// POST /-/npm/v1/tokens: in a session of an administrator, with their password and their
// second factor. The token is the service account's.
func (a *API) createServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	var body wire.TokenRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	spec, err := body.Spec()
	if err != nil {
		return reply{}, err
	}
	j, d, err := a.judge(r, op, &protocol.Change{Token: &spec})
	if err != nil {
		return reply{}, err
	}
	if j.service.ID == "" {
		return reply{}, a.conclude(r.Context(), j, errNoService)
	}
	made := specOf(spec, j.service.ID)
	made.Service = true
	return a.makeToken(r, j, d, body.Password, made)
}

// rotateServiceToken answers POST /-/auth/v1/services/<name>/tokens/<key>/rotate, as
// rotateToken.
func (a *API) rotateServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	var body wire.RotateRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	grace, days, err := body.Rotation()
	if err != nil {
		return reply{}, err
	}
	// Judged twice, as rotateToken does.
	j, _, err := a.judge(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	if j.service.ID == "" {
		return reply{}, a.conclude(r.Context(), j, errNoService)
	}
	return a.rotate(r, j, body.Password, token.Rotation{ID: op.Token, User: j.service.ID, Service: true, Grace: grace, Days: days})
}

// revokeServiceToken answers DELETE /-/auth/v1/services/<name>/tokens/<key>.
func (a *API) revokeServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	if j.service.ID == "" {
		return reply{}, a.conclude(r.Context(), j, errNoService)
	}
	return a.revoke(r, j, d, j.service.ID, op.Token)
}
