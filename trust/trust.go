// Package trust keeps the trusted publishers of packages and of scopes, and exchanges the ID tokens of CI systems for short-lived
// tokens that publish:
//
//	m, err := trust.NewManager(trust.ManagerConfig{Store: st, Issuers: issuers})
//	…
//	p, err := trust.ParsePublisher(body) // of npm trust github
//	record, err := m.AddTx(ctx, tx, by, pkg, p)
//	…
//	id, err := verifier.Verify(ctx, bearer, now)
//	secret, token, err := m.ExchangeTx(ctx, tx, by, pkg, id)
//
// What compares
// an ID token with a publisher can be used alone and has neither store nor clock: [Match], [Pins] and
// [Publisher.Resolve].
//
// # Issuers
//
// An [Issuer] is configured by the operator, never by who presents a token. Each is a namespace: acme/widget
// of one GitLab is another project than acme/widget of another, and a publisher belongs to one issuer by its
// exact URL. Kinds are GitHub Actions, GitLab, CircleCI, [KindOIDC], which compares the subject, and [KindCustom],
// which compares the claims that the operator names, for Forgejo, Jenkins, Buildkite, Woodpecker and others.
//
// # What a token must show
//
// The names that npm sends are compared as the provider compares them: see [GitHub], [GitLab] and [CircleCI].
// The text of sub is read for [KindOIDC] alone, or where an issuer of [KindCustom] names it. What npm does not have:
//
//   - Names are reused, IDs are not. The numeric IDs of repository and owner are part of a publisher, as given
//     when it is saved, or taken from the first token that matches it ([Pins], [Publisher.WithPins]). A
//     repository that is created later under the same name does not match.
//   - Workflows that people without write access can start do not match: pull_request_target, workflow_run,
//     pull_request and others. Of the remaining events there is a list, see [GitHub.AllowEvents].
//   - A job of a reusable workflow matches only if the publisher names that workflow.
//   - A publisher may demand that the branch or tag is protected.
//
// A publisher without an environment matches jobs in any.
//
// # What is stored
//
// All publishers of a package are one row, by the package's immutable ID: a package that is deleted and created anew has
// none. Those of a [Scope], which publish each package in it that exists, are one row by its name, with the immutable ID of
// its organization. [Manager.ExchangeTx] compares both rows, pins IDs in them, notes the use of the ID token, and makes the
// token, all in one commit of the caller's. So of two exchanges of one ID token for a package one succeeds, on whatever nodes,
// and none succeeds after the publisher was removed. The token is for the one package, whosever publisher it is of.
//
// # Pending publishers
//
// A publisher of a name that has no package is pending, also where the name is in a scope that has publishers: see
// [Manager.AddPendingTx]. It belongs to a user, for whom a job creates the package, and must have all IDs.
// [Manager.ExchangePendingTx] exchanges an ID token for a token that creates the package and does nothing else, and
// notes in the pending publisher which: an earlier one is dead from then on. [Manager.BindTx] makes it a publisher of
// the package that was created. All pending publishers of a name are one row, and one row counts what a user has.
//
// # Verifying
//
// A [Token] is verified by its record and the [State] of its package: one Get of [TokenKey], decoded by [OpenToken],
// which compares the digest, and one of [StateKeys], decoded by [DecodeState]. It is alive until Expires, the first
// instant at which it is dead, and while [State.Alive]: removing its publisher ends it, and so does the revocation of
// the credentials of all accounts. Of a Token with a Scope, the State is that of [ScopeStateKeys] and
// [DecodeScopeState], and of one with an Owner, which creates its package, that of [PendingKeys] and [DecodePending].
// [Token.Credential] is what a policy reads. Rows that were read at two moments, or one of them from a cache, may
// differ while both are right: in that case, read both in one Get before the token is refused.
//
// Records of tokens and of uses are deleted by the store some time after they have expired, see [store.Item].
package trust

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/npmauth/npmauth/credential"
)

// ErrInvalidToken is wrapped by the error of a [TokenVerifier] for every token that is not valid, whatever the
// reason, which is for the log and not for who presents it. A [Manager] refuses with it what a TokenVerifier should
// not have accepted.
var ErrInvalidToken = errors.New("trust: invalid ID token")

// A TokenVerifier verifies ID tokens.
type TokenVerifier interface {
	// Verify returns what bearer says. It must have checked the signature with a key of a configured issuer, that
	// iss is the URL of that issuer exactly, the audience, and exp, nbf and iat against now; it must refuse claims
	// that [ParseClaims] refuses. It does not remember which tokens it has seen: that a token counts once is for
	// the caller, by issuer and ID, as [Manager.ExchangeTx] does.
	//
	// An error wraps [ErrInvalidToken] if it is the token's. Any other means that the token could not be
	// verified now, as when the keys of its issuer cannot be fetched. Verify may be called concurrently.
	Verify(ctx context.Context, bearer credential.Secret, now time.Time) (IDToken, error)
}

// A VerifierConfig is what a registry says to who verifies ID tokens for it.
type VerifierConfig struct {
	// Issuers are those whose tokens are accepted. They are valid, and no two have the same URL.
	Issuers []Issuer
	// BaseURL is the registry's. Its host is what a token must have been issued for: npm and pnpm ask for
	// npm:<host>, Yarn for npm:<host>:<port>.
	BaseURL *url.URL
	// Now returns the time. It is not nil.
	Now func() time.Time
}

// An IDToken is what a verified ID token says. The zero IDToken matches no publisher.
type IDToken struct {
	Issuer    Issuer    // as configured; its URL is the token's iss
	ID        string    // unique among the tokens of the issuer: jti, or of CircleCI, which has none, a digest of the token
	Issued    time.Time // iat
	NotBefore time.Time // nbf; zero if the token has none
	Expires   time.Time // exp
	Until     time.Time // when Verify begins to refuse it, Expires and a leeway: its ID counts as used until then
	Claims    Claims    // all of them
}
