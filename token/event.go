package token

import (
	"context"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
)

// tell records what was done to a token, in the commit of tx.
func (m *Manager) tell(ctx context.Context, tx *store.Tx, by audit.Actor, e audit.Event) error {
	e.Outcome = audit.Done
	return m.events.Commit(ctx, tx, e.From(by))
}

// created returns the event of a token that was created: what it may do, until when, and from
// where.
func created(t Token) audit.Event {
	e := audit.Event{
		Type: audit.TokenCreated, User: t.User, Credential: t.ID, Grants: t.Grants,
		Detail: map[string]string{"name": t.Name, "expires": t.Expires.Format(time.RFC3339)},
	}
	if len(t.CIDRs) > 0 {
		texts := make([]string, len(t.CIDRs))
		for i, p := range t.CIDRs {
			texts[i] = p.String()
		}
		e.Detail["cidr"] = strings.Join(texts, " ")
	}
	if t.Bypass {
		e.Detail["bypass"] = "true"
	}
	if t.Replaces != "" {
		e.Detail["replaces"] = t.Replaces
	}
	return e
}

// ended returns the event of a token that was revoked.
func ended(r *record, reason string) audit.Event {
	e := audit.Event{Type: audit.TokenRevoked, User: r.User, Credential: r.id()}
	if reason != "" {
		e.Reasons = []string{reason}
	}
	return e
}
