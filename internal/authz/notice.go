package authz

import (
	"context"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
)

// ExpiryNotice returns what npm is to print about a token that ends soon, and about each of the
// host's older ones if there is a date for them; "" for any other credential. Where it goes npm prints it once a response, so it goes with what a person
// or a build does once: whoami, self and writes, and never with the reads of an
// installation. That it cannot be read is no reason to refuse anything.
func (a *Authorizer) ExpiryNotice(ctx context.Context, act Actor, now time.Time) string {
	if act.Credential != nil && act.Credential.Kind == policy.KindForeign && !a.ForeignUntil.IsZero() {
		return "This older token is accepted until " + a.ForeignUntil.UTC().Format(time.DateOnly) + ". Run npm login, or for CI " + granularCI + "."
	}
	if act.Credential == nil || act.Credential.Kind != policy.KindToken || !a.Tokens.Expiring(act.Credential, now) {
		return ""
	}
	tok, err := a.Tokens.Get(ctx, act.Credential.User, act.Credential.ID)
	if err != nil {
		return ""
	}
	name := headerText(tok.Name)
	if name == "" {
		name = tok.ID
	}
	remedy := "Rotate it or make another with npm token create."
	switch {
	case tok.ReplacedBy != "":
		remedy = "It was rotated: use the new token."
	case act.Person.Account.Service:
		remedy = "Ask those who administer this service account for another."
	}
	return "Your token " + name + " expires on " + tok.Expires.UTC().Format(time.DateOnly) + ". " + remedy
}

// headerText returns text fit for a header and one line of a terminal: what is not
// printable ASCII is a question mark.
func headerText(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text))
}
