package api

import (
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// readAccess answers GET /-/package/<pkg>/access: who may read the package, and for those
// who may write it what publishing takes. npm has no address for the second.
func (a *API) readAccess(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	shown := map[string]any{"access": "public", "public": true}
	if q.Package.Private {
		shown = map[string]any{"access": "restricted", "public": false}
	}
	if (&q.Request).Rights()&(policy.RightWrite|policy.RightAdmin) != 0 {
		s, err := a.PackageSettings(r.Context(), q.Package.ID, q.Now)
		if err != nil {
			return reply{}, err
		}
		shown["publish_requires_tfa"] = s.Publish != protocol.NoFactor
		shown["automation_token_overrides_tfa"] = s.Publish == protocol.FactorOrBypass
	}
	return ok(shown), nil
}
