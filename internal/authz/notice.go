package authz

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
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

// FactorNotice returns what npm is to print about q, which is allowed today and will be refused from the
// date of [policy.Policy.WithFactorFrom] on, because its account has no second factor; "" for any other.
// It goes with writes and logins, and never with reads.
func (a *Authorizer) FactorNotice(q *Request) string {
	if !q.policy.FactorMissing(q.Request) {
		return ""
	}
	return a.factorNotice(q.policy.FactorFrom())
}

// LoginNotice returns what npm is to print to a user who has logged in without a second factor, before
// that date. That the account cannot be read is no reason to refuse anything.
func (a *Authorizer) LoginNotice(ctx context.Context, id protocol.UserID) string {
	from := a.Policy().FactorFrom()
	if from.IsZero() || !a.Now().Before(from) {
		return ""
	}
	who, err := a.PersonOf(ctx, id, a.Now())
	if err != nil || who.Account.HasFactor() || who.Account.Service {
		return ""
	}
	return a.factorNotice(from)
}

func (a *Authorizer) factorNotice(from time.Time) string {
	return "From " + from.UTC().Format("2006-01-02 15:04 UTC") + " on this registry requires a second factor of everybody who writes, and your account has none. " + a.howToEnrol()
}

// PublishersNotice returns what npm is to print about q, which lets only trusted publishers publish a package
// that has none; "" for any other.
func (a *Authorizer) PublishersNotice(ctx context.Context, tx *store.Tx, q *Request) (string, error) {
	if !q.Change.DemandsPublishers() {
		return "", nil
	}
	pkg, err := a.TrustPackage(ctx, q)
	if err != nil {
		return "", err
	}
	list, err := a.Trust.PublishersFor(ctx, tx, pkg)
	if err != nil || len(list) > 0 {
		return "", err
	}
	return "This package has no trusted publisher, so that nobody can publish it. Add one with npm trust.", nil
}

// Notices joins what npm is to print with one response, of which it prints one header.
func Notices(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), " ")
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
