package authz

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// Errors of several packages.
var (
	ErrNotFound  = &wire.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: "The registry has nothing at this URL."}
	errNoLog     = &wire.Error{Status: http.StatusNotFound, Code: "no-audit-log", Sentence: "This registry keeps no list of what happens to an account. Ask those who run it."}
	ErrNoService = &wire.Error{Status: http.StatusNotFound, Code: "no-such-service", Sentence: "There is no such service account or you do not administer it."}
	// ErrNoDocuments refuses what is told from the document that there is, which no
	// [host.Documents] has.
	ErrNoDocuments = &wire.Error{Status: http.StatusForbidden, Code: policy.CodeNotOffered, Sentence: "This registry does not offer to change a package's document: it takes new versions only."}
	// ErrStale means that the package is not the one any more that a request was authorized for.
	ErrStale = &wire.Error{Status: http.StatusConflict, Code: packument.ErrStale.Code, Sentence: packument.ErrStale.Sentence}
	// ErrProfileChanged means that a profile changed after the page showed what would change.
	ErrProfileChanged = &wire.Error{Status: http.StatusConflict, Code: "conflict", Sentence: "Your profile has changed since you read it. Run the command again."}
)

// codeUnknown is the code of npm's rule that says of an operation that it is none of a registry's.
const codeUnknown = "unknown-operation"

var (
	errNotOffered    = &wire.Error{Status: http.StatusForbidden, Code: policy.CodeNotOffered, Sentence: "This registry does not offer this operation."}
	errDocumentSize  = &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Sentence: "The package document is larger than this registry takes."}
	errWrongPassword = &wire.Error{Status: http.StatusUnauthorized, Code: "wrong-password", Sentence: "The password is wrong."}
	errWrongCode     = &wire.Error{Status: http.StatusUnauthorized, Code: "wrong-code", Sentence: twofactor.Sentence(twofactor.ErrWrong, time.Time{})}
	// errLocked has no status that makes npm send the request again, as 429 does.
	errLocked  = &wire.Error{Status: http.StatusForbidden, Code: "locked-factor", Sentence: twofactor.Sentence(twofactor.ErrLocked, time.Time{})}
	errNoKeys  = &wire.Error{Status: http.StatusForbidden, Code: policy.CodeNotOffered, Sentence: "This registry has no security keys."}
	errNoTrust = &wire.Error{Status: http.StatusForbidden, Code: policy.CodeNotOffered, Sentence: "This registry does not offer trusted publishing."}
	errFull    = &wire.Error{Status: http.StatusServiceUnavailable, Code: "busy-bodies", Sentence: "The registry is receiving too much at the moment. Try again shortly."}
	errBusy    = &wire.Error{Status: http.StatusServiceUnavailable, Code: "busy", Sentence: "The registry is checking too many passwords at the moment. Try again shortly."}
)

// Answer returns what err is answered with: the one table from errors to answers.
func Answer(err error) *wire.Error {
	var own *wire.Error
	var invalid *InvalidError
	switch {
	case errors.Is(err, host.ErrNoCredential):
		return wire.LoginRequired
	case errors.As(err, &invalid):
		return invalid.Answer
	case errors.Is(err, host.ErrInvalidToken):
		return wire.InvalidToken
	case errors.As(err, &own):
		if own.Challenge == nil && (own.Status < 400 || own.Status > 599) { // not filled in: an error all the same
			return wire.Unavailable
		}
		return own
	case errors.Is(err, twofactor.ErrLocked):
		return errLocked
	case errors.Is(err, token.ErrTooMany):
		return &wire.Error{Status: http.StatusBadRequest, Code: "too-many-tokens", Sentence: "You have as many tokens as one user may have. Revoke some first."}
	case errors.Is(err, session.ErrDenied), errors.Is(err, legacy.ErrDenied):
		return wire.WrongLogin
	case errors.Is(err, account.ErrBusy):
		return errBusy
	case errors.Is(err, budget.ErrFull):
		return errFull
	case errors.Is(err, twofactor.ErrWrong), errors.Is(err, twofactor.ErrNoFactor):
		return errWrongCode
	case errors.Is(err, twofactor.ErrNoKeys):
		return errNoKeys
	case errors.Is(err, twofactor.ErrNoKey):
		return &wire.Error{Status: http.StatusNotFound, Code: "no-such-factor", Sentence: "The account has no such second factor."}
	case errors.Is(err, twofactor.ErrTooManyKeys):
		return &wire.Error{Status: http.StatusConflict, Code: "too-many-keys", Sentence: "The account has as many security keys as it can have. Remove one first."}
	case errors.Is(err, twofactor.ErrKeyName):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-key-name", Sentence: "The name of a security key has 1 to 64 bytes, all of them printable."}
	case errors.Is(err, twofactor.ErrLastFactor):
		return &wire.Error{Status: http.StatusConflict, Code: "last-factor", Sentence: "This is the last second factor that counts for the account. Add another one first, or turn two-factor authentication off."}
	case errors.Is(err, twofactor.ErrNoApps):
		return &wire.Error{Status: http.StatusForbidden, Code: "no-apps", Sentence: "This registry takes no more authenticator apps. Add a security key on its security page."}
	case errors.Is(err, twofactor.ErrEnrolled):
		return &wire.Error{Status: http.StatusConflict, Code: "already-enrolled", Sentence: "Two-factor authentication is on already."}
	case errors.Is(err, twofactor.ErrTooMany):
		return &wire.Error{Status: http.StatusUnauthorized, Code: "too-many-codes", Sentence: "Too many wrong one-time passwords: this login was ended. Run npm login."}
	case errors.Is(err, account.ErrName):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-name", Sentence: "A user name is 1 to 214 lower-case letters, digits, dots, dashes and underscores, begins with a letter or digit, and is not a reserved word."}
	case errors.Is(err, account.ErrEmail):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-email", Sentence: "This is not an e-mail address."}
	case errors.Is(err, account.ErrChanged):
		return ErrProfileChanged
	case errors.Is(err, account.ErrProfile):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-profile", Sentence: "A field of a profile has at most 256 characters and none of them a control character."}
	case errors.Is(err, account.ErrWrongPassword):
		return errWrongPassword
	case errors.Is(err, account.ErrNameTaken):
		return &wire.Error{Status: http.StatusConflict, Code: "name-taken", Sentence: "That user name is taken."}
	case errors.Is(err, token.ErrCursor), errors.Is(err, session.ErrCursor), errors.Is(err, audit.ErrCursor):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-cursor", Sentence: "after is not where a page of this list ended."}
	case errors.Is(err, token.ErrDisabled):
		return &wire.Error{Status: http.StatusForbidden, Code: "account-disabled", Sentence: "The account is disabled."}
	case errors.Is(err, token.ErrAmbiguous):
		return &wire.Error{Status: http.StatusConflict, Code: "ambiguous-token", Sentence: "Several of your tokens begin like this. Run npm token list and give the id of the one to revoke."}
	case errors.Is(err, stage.ErrStaged):
		return &wire.Error{Status: http.StatusConflict, Code: "already-staged", Sentence: "This version is staged already. Reject it first: npm stage reject."}
	case errors.Is(err, stage.ErrTooMany):
		return &wire.Error{Status: http.StatusConflict, Code: "too-many-staged", Sentence: "The package has as many staged versions as it may have, or you have for names without a package. Approve or reject some first."}
	case errors.Is(err, stage.ErrNotFound):
		return &wire.Error{Status: http.StatusNotFound, Code: "hidden-staged", Sentence: "There is no such staged version or you may not see it."}
	case errors.Is(err, trust.ErrDuplicate):
		return &wire.Error{Status: http.StatusConflict, Code: "duplicate-publisher", Sentence: "This trusted publisher already exists for the package. To change it delete and re-create it: npm trust revoke."}
	case errors.Is(err, trust.ErrTooMany):
		return &wire.Error{Status: http.StatusConflict, Code: "too-many-publishers", Sentence: "The package has as many trusted publishers as it may have. Revoke one first."}
	case errors.Is(err, trust.ErrTooManyPending):
		return &wire.Error{Status: http.StatusConflict, Code: "too-many-pending", Sentence: "You have as many pending trusted publishers as you may have, or this name has. Revoke one first or publish the first version yourself."}
	case errors.Is(err, trust.ErrNotFound):
		return &wire.Error{Status: http.StatusNotFound, Code: "no-such-publisher", Sentence: "The package has no such trusted publisher."}
	case errors.Is(err, token.ErrNotFound):
		return &wire.Error{Status: http.StatusNotFound, Code: "no-such-token", Sentence: "There is no such token."}
	}
	var bad *strictjson.Error
	if errors.As(err, &bad) {
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-json", Sentence: bad.Error()}
	}
	if errors.Is(err, packument.ErrTooLarge) {
		return errDocumentSize
	}
	if e, ok := wire.Answer(err); ok {
		return e
	}
	return wire.Unavailable
}

// WriteError answers r with err in npm's form.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := Answer(err)
	if e.Challenge != nil && r != nil && wire.TakesCode(r.Header) {
		c, of := *e.Challenge, *e
		c.Typed, of.Challenge = true, &c
		e = &of
	}
	wire.WriteError(w, e)
}

// The answers to a credential that is not valid. They have no WWW-Authenticate header: npm
// would print its own advice in place of the sentence, which is wrong in CI. Which of them it is
// follows from what was presented alone, and not from what is known of it.
var (
	errInvalidSession = dead("Your login has expired or was ended. Run npm login.")
	errInvalidToken   = dead("Your token has expired, was revoked or is not one of this registry. Create a new one with npm token create, or run npm login.")
)

func dead(sentence string) *wire.Error {
	return &wire.Error{Status: http.StatusUnauthorized, Code: wire.InvalidToken.Code, Sentence: sentence}
}

// invalidAnswer returns the answer to a text that is no valid credential.
func invalidAnswer(text string) *wire.Error {
	switch {
	case strings.HasPrefix(text, credential.PrefixSession):
		return errInvalidSession
	case strings.HasPrefix(text, credential.PrefixToken):
		return errInvalidToken
	}
	return wire.InvalidToken
}

// The answers to older tokens.

const (
	codeRevoked = "revoked-token"
	granularCI  = "create a granular access token with npm token create"
)

// revokedAnswer returns the answer to a token that was revoked before it could come here.
func revokedAnswer(r token.Revoked) *wire.Error {
	e := dead("This " + r.Kind.String() + " token was revoked on " + r.At.UTC().Format(time.DateOnly) + " for good. ")
	e.Code = codeRevoked
	if r.Kind == token.ClassicAutomation {
		e.Sentence += "For CI, " + granularCI + "."
	} else {
		e.Sentence += "Run npm login, or for CI " + granularCI + "."
	}
	return e
}

// foreignEndedAnswer returns the answer to the host's older tokens since the time at which they
// ended.
func foreignEndedAnswer(until time.Time) *wire.Error {
	e := dead("Tokens of this older kind were revoked on " + until.UTC().Format(time.DateOnly) + " for good. Run npm login, or for CI " + granularCI + ".")
	e.Code = codeRevoked
	return e
}

// ErrUnread means that the host answered a publish before it had read the body, so that the final
// decision was never made. It is not answered: the host has said why.
var ErrUnread = errors.New("npmauth: the host did not read the body to its end")

// A BodyError is the error of reading the body of a request: its client has disconnected, or has sent
// less than it said, or what is no body.
type BodyError struct{ Err error }

// Error is that of the read.
func (e *BodyError) Error() string { return "read body: " + e.Err.Error() }

// Unwrap returns the error of the read.
func (e *BodyError) Unwrap() error { return e.Err }

// Answer returns what there is to say to a client that is still there.
func (e *BodyError) Answer() (status int, code, sentence string) {
	return http.StatusBadRequest, "bad-body", "The request body ended early. Run the command again."
}

// canceled reports whether err comes of a client that has disconnected, which ends the body, and
// cancels ctx, the context of its request. Nothing is wrong with the registry then. A deadline is
// another matter, and so is what the store or the host cancels by itself.
func canceled(ctx context.Context, err error) bool {
	if _, ok := errors.AsType[*BodyError](err); ok {
		return true
	}
	return audit.Failure(ctx, err) == audit.Canceled && !errors.Is(err, store.ErrUnknown)
}

// outage reports whether err is the fault of the registry, and not of the client.
func outage(err error) bool { return Answer(err) == wire.Unavailable }
