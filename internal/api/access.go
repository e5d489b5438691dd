package api

import (
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// readAccess answers GET /-/package/<pkg>/access: who may read the package, and for those
// who may write it what publishing takes, and, by its setting and by its scope's, whether only security keys
// count, whether only trusted publishers may publish and what is demanded of staged versions. npm has no
// address for these.
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
		shown["keys_only"] = s.KeysOnly
		if a.Trust != nil || s.PublishersOnly {
			shown["publishers_only"] = s.PublishersOnly
		}
		a.showStaging(shown, "", s)
		if op.Package.Scope != "" {
			scope, err := a.ScopeSettings(r.Context(), op.Package.Scope, q.Now)
			if err != nil {
				return reply{}, err
			}
			shown["scope_keys_only"] = scope.KeysOnly
			if a.Trust != nil || scope.PublishersOnly {
				shown["scope_publishers_only"] = scope.PublishersOnly
			}
			a.showStaging(shown, "scope_", scope.Narrow(policy.Settings{}))
		}
	}
	return ok(shown), nil
}

// showStaging adds what s demands of staged versions, where there are any or it demands something.
func (a *API) showStaging(shown map[string]any, prefix string, s policy.Settings) {
	if a.showsStaging(s) {
		shown[prefix+"stage_only"], shown[prefix+"approvals"], shown[prefix+"other_approver"] = s.StageOnly, s.Needed(), s.OtherApprover
	}
}

func (a *API) showsStaging(s policy.Settings) bool {
	return a.Stage != nil || s.StageOnly || s.Needed() > 1 || s.OtherApprover
}
