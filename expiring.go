package npmauth

import (
	"context"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/token"
)

// warn tells, once for each, of the tokens that end soon.
func (a *Auth) warn(ctx context.Context) error {
	return a.authz.Tokens.Warn(ctx, func(t token.Token) {
		a.authz.Events.Record(ctx, audit.Event{
			Type: audit.TokenExpiring, Outcome: audit.Done, User: t.User, Credential: t.ID,
			Detail: map[string]string{"name": t.Name, "expires": t.Expires.UTC().Format(time.RFC3339)},
		})
	})
}
