package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// Challenged returns the error that asks for a second factor, at the page of c if it has one.
// wrong says that a value was presented and refused.
func Challenged(c wire.Challenge, wrong bool) error {
	e := &wire.Error{Challenge: &c}
	if wrong {
		e.Sentence = "The one-time password was not accepted."
	}
	return e
}

// Errors of several packages.
var (
	ErrNotFound  = &wire.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: "The registry has nothing at this URL."}
	ErrNoService = &wire.Error{Status: http.StatusNotFound, Code: "no-such-service", Sentence: "There is no such service account or you do not administer it."}
	// ErrNoDocuments refuses what is told from the document that there is, which no
	// [host.Documents] has.
	ErrNoDocuments = &wire.Error{Status: http.StatusForbidden, Code: codeNotOffered, Sentence: "This registry does not offer to change a package's document: it takes new versions only."}
	// ErrStale means that the package is not the one any more that a request was authorized for.
	ErrStale = &wire.Error{Status: http.StatusConflict, Code: packument.ErrStale.Code, Sentence: packument.ErrStale.Sentence}
	// ErrProfileChanged means that a profile changed after the page showed what would change.
	ErrProfileChanged = &wire.Error{Status: http.StatusConflict, Code: "conflict", Sentence: "Your profile has changed since you read it. Run the command again."}
)

const codeNotOffered = "not-offered"

var (
	errNotOffered    = &wire.Error{Status: http.StatusForbidden, Code: codeNotOffered, Sentence: "This registry does not offer this operation."}
	errDocumentSize  = &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Sentence: "The package document is larger than this registry takes."}
	errTwoHeaders    = &wire.Error{Status: http.StatusBadRequest, Code: "ambiguous-credential", Sentence: "The request carries more than one Authorization header."}
	errTwoCodes      = &wire.Error{Status: http.StatusBadRequest, Code: "ambiguous-otp", Sentence: "The request carries more than one npm-otp header."}
	errLongCode      = &wire.Error{Status: http.StatusBadRequest, Code: "bad-otp", Sentence: "The one-time password is far too long."}
	errWrongPassword = &wire.Error{Status: http.StatusUnauthorized, Code: "wrong-password", Sentence: "The password is wrong."}
	errWrongCode     = &wire.Error{Status: http.StatusUnauthorized, Code: "wrong-code", Sentence: "The one-time password is wrong or was used before."}
	errSignIn        = &wire.Error{Status: http.StatusUnauthorized, Code: "wrong-login", Sentence: "The user name or the password is wrong."}
	errBusy          = &wire.Error{Status: http.StatusServiceUnavailable, Code: "busy", Sentence: "The registry is checking too many passwords at the moment. Try again shortly."}
)

// Answer returns what err is answered with: the one table from errors to answers.
func Answer(err error) *wire.Error {
	var own *wire.Error
	var old *legacy.Error
	var refused *host.DeniedError
	switch {
	case errors.Is(err, twofactor.ErrLocked):
		return &wire.Error{Challenge: &wire.Challenge{}, Sentence: lockedSentence}
	case errors.Is(err, host.ErrNoCredential):
		return errNoLogin
	case errors.Is(err, host.ErrInvalidToken):
		return errDeadLogin
	case errors.As(err, &refused):
		return refusal(refused)
	case errors.As(err, &own):
		if own.Challenge == nil && (own.Status < 400 || own.Status > 599) { // not filled in: an error all the same
			return wire.Unavailable
		}
		return own
	case errors.As(err, &old):
		return &wire.Error{Status: old.Status, Code: old.Code, Sentence: old.Sentence}
	case errors.Is(err, token.ErrTooMany):
		return &wire.Error{Status: http.StatusBadRequest, Code: "too-many-tokens", Sentence: "You have as many tokens as one user may have. Revoke some first."}
	case errors.Is(err, session.ErrDenied), errors.Is(err, legacy.ErrDenied):
		return errSignIn
	case errors.Is(err, account.ErrBusy):
		return errBusy
	case errors.Is(err, twofactor.ErrWrong), errors.Is(err, twofactor.ErrNoFactor):
		return errWrongCode
	case errors.Is(err, twofactor.ErrEnrolled):
		return &wire.Error{Status: http.StatusConflict, Code: "already-enrolled", Sentence: "Two-factor authentication is on already."}
	case errors.Is(err, twofactor.ErrTooMany):
		return &wire.Error{Status: http.StatusUnauthorized, Code: "too-many-codes", Sentence: "Too many wrong one-time passwords: this login was ended. Log in again."}
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
	case errors.Is(err, token.ErrCursor):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-cursor", Sentence: "after is not where a page of this list ended."}
	case errors.Is(err, token.ErrDisabled):
		return &wire.Error{Status: http.StatusForbidden, Code: "account-disabled", Sentence: "The account is disabled."}
	case errors.Is(err, token.ErrAmbiguous):
		return &wire.Error{Status: http.StatusConflict, Code: "ambiguous-token", Sentence: "Several of your tokens begin like this. Run npm token list and give the id of the one to revoke."}
	case errors.Is(err, token.ErrNotFound):
		return &wire.Error{Status: http.StatusNotFound, Code: "no-such-token", Sentence: "There is no such token."}
	}
	var rotated *token.RotatedError
	var spec *token.SpecError
	var weak *account.PasswordError
	var bad *strictjson.Error
	var body *packument.Error
	var change *packument.ChangeError
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &rotated):
		return &wire.Error{Status: http.StatusConflict, Code: "already-rotated", Sentence: "This token was rotated already, to " + rotated.Successor + ". If you do not have the new token, revoke that one and rotate this one again."}
	case errors.As(err, &spec):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: spec.Error()}
	case errors.As(err, &weak):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-password", Sentence: weak.Error()}
	case errors.As(err, &bad):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-json", Sentence: bad.Error()}
	case errors.Is(err, packument.ErrTooLarge):
		return errDocumentSize
	case errors.Is(err, packument.ErrNotPublish):
		return &wire.Error{Status: http.StatusForbidden, Code: codeNotOffered, Sentence: "The registry refused the package document: " + err.Error() + "."}
	case errors.As(err, &body):
		return &wire.Error{Status: http.StatusBadRequest, Code: "bad-publish", Sentence: "The registry refused the package: " + body.Error() + "."}
	case errors.As(err, &change):
		status := http.StatusBadRequest
		if change.Code == packument.CodeConflict {
			status = http.StatusConflict
		}
		return &wire.Error{Status: status, Code: change.Code, Sentence: change.Sentence}
	case errors.As(err, &size):
		return wire.TooLarge
	}
	return wire.Unavailable
}

// lockedSentence stands in the ordinary challenge: a status of its own (429,
// say) would make npm send the request again.
const lockedSentence = "This one-time password is locked after too many wrong ones. Use a recovery code or ask the registry's operator."

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

// The answers to who is not logged in, and not any more.
var (
	errNoLogin   = &wire.Error{Status: http.StatusUnauthorized, Code: "login-required", Sentence: "You need to be logged in to do this.", Authenticate: "Bearer"}
	errDeadLogin = &wire.Error{Status: http.StatusUnauthorized, Code: "invalid-token", Sentence: "Your login or token is not valid here, or not any more. Log in again.", Authenticate: "Bearer"}
)

// refusal returns the answer to e. A package that may not be known of answers as
// one that does not exist; a wrong address has npm's own challenge; who is not
// logged in is asked to, unless that would change nothing.
func refusal(e *host.DeniedError) *wire.Error {
	code, sentence := "denied", "You may not do this."
	for i, why := range e.Decision.Reasons {
		if why.Conceal {
			return &wire.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: why.Sentence}
		}
		if i == 0 {
			code, sentence = why.Code, why.Sentence
			if why.Remedy != "" {
				sentence += " " + why.Remedy
			}
		}
	}
	switch {
	case e.Anonymous && e.Operation.Action != protocol.Unknown && (code == "denied" || code == policy.CodeLoginRequired):
		return errNoLogin
	case code == policy.CodeCIDR:
		return &wire.Error{Status: http.StatusUnauthorized, Code: code, Sentence: sentence, Authenticate: "ipaddress"}
	case e.Operation.Action == protocol.Unknown:
		return &wire.Error{Status: http.StatusNotFound, Code: code, Sentence: sentence}
	}
	return &wire.Error{Status: http.StatusForbidden, Code: code, Sentence: sentence}
}

// Outage reports whether err is the fault of the registry, not of the client.
func Outage(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	return Answer(err) == wire.Unavailable
}
