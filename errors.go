package npmauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// Errors that [Auth.Authenticate] and [Auth.Authorize] return, possibly wrapped.
var (
	// ErrNoCredential means that the request carries no credential.
	ErrNoCredential = errors.New("npmauth: no credential")

	// ErrInvalidToken means that the credential does not authenticate. It is the
	// same whether it is malformed, unknown, expired, revoked, or its user gone.
	ErrInvalidToken = errors.New("npmauth: invalid token")
)

// An Error is an answer to a client: what [WriteError] writes. A host returns
// one where it wants a status and a sentence of its own; every other error
// becomes one by npmauth's table, and an unknown one is a 503 that says nothing.
type Error struct {
	Status   int    // 400 to 599; any other is answered as an unknown error
	Code     string // for programs, kebab-case
	Sentence string // for the person at the terminal; npm prints it
}

func (e *Error) Error() string { return "npmauth: " + e.Code + ": " + e.Sentence }

// A DeniedError is a refusal by the policy.
type DeniedError struct {
	Operation policy.Operation
	Decision  policy.Decision
	anonymous bool
}

func (e *DeniedError) Error() string {
	code := "denied"
	if len(e.Decision.Reasons) > 0 {
		code = e.Decision.Reasons[0].Code
	}
	return fmt.Sprintf("npmauth: %s refused: %s", e.Operation.Action, code)
}

// A challengeError asks for a second factor. The URLs are empty where only a
// typed code can answer.
type challengeError struct {
	challenge Challenge
	wrong     bool // a value was shown and refused
}

func (e *challengeError) Error() string { return "npmauth: a second factor is needed" }

// Errors of the endpoints.
var (
	errNoChange      = errors.New("npmauth: what a publish would do is known only when the whole body was read, and a read does nothing")
	errNotGuarded    = errors.New("npmauth: an operation that no guard allowed cannot be confirmed")
	errNoReader      = errors.New("npmauth: Readable needs the context of a request that the guard handed over")
	errBadPath       = &Error{http.StatusBadRequest, "bad-path", "This is not a path of the npm registry protocol."}
	errNotFound      = &Error{http.StatusNotFound, "not-found", "There is nothing here."}
	errMethod        = &Error{http.StatusMethodNotAllowed, "method-not-allowed", "This address does not take that method."}
	errTwoHeaders    = &Error{http.StatusBadRequest, "ambiguous-credential", "The request carries more than one Authorization header."}
	errTwoCodes      = &Error{http.StatusBadRequest, "ambiguous-otp", "The request carries more than one npm-otp header."}
	errLongCode      = &Error{http.StatusBadRequest, "bad-otp", "The one-time password is far too long."}
	errTooLarge      = &Error{http.StatusRequestEntityTooLarge, "body-too-large", "The request body is larger than this address takes."}
	errBodyTimeout   = &Error{http.StatusRequestTimeout, "body-timeout", "The upload stalled. Run the command again."}
	errEncoding      = &Error{http.StatusUnsupportedMediaType, "bad-encoding", "This address takes no compressed bodies."}
	errMediaType     = &Error{http.StatusUnsupportedMediaType, "bad-content-type", "This address takes a JSON body."}
	errForeignLogout = &Error{http.StatusForbidden, "foreign-token", "This older kind of token cannot be ended here. End it where it was made."}
	errWrongPassword = &Error{http.StatusUnauthorized, "wrong-password", "The password is wrong."}
	errWrongCode     = &Error{http.StatusUnauthorized, "wrong-code", "The one-time password is wrong or was used before."}
	errSignIn        = &Error{http.StatusUnauthorized, "wrong-login", "The user name or the password is wrong."}
	errNotOffered    = &Error{http.StatusForbidden, "not-offered", "This registry does not offer this operation."}
	errBusy          = &Error{http.StatusServiceUnavailable, "busy", "The registry is checking too many passwords at the moment. Try again shortly."}
	errUnavailable   = &Error{http.StatusServiceUnavailable, "unavailable", "The registry cannot decide this at the moment. Try again shortly."}
)

// answer is the one table from errors to answers.
func answer(err error) *Error {
	var own *Error
	var old *legacy.Error
	switch {
	case errors.As(err, &own):
		if own.Status < 400 || own.Status > 599 { // not filled in: an error all the same
			return errUnavailable
		}
		return own
	case errors.As(err, &old):
		return &Error{old.Status, old.Code, old.Sentence}
	case errors.Is(err, token.ErrTooMany):
		return &Error{http.StatusBadRequest, "too-many-tokens", "You have as many tokens as one user may have. Revoke some first."}
	case errors.Is(err, session.ErrDenied), errors.Is(err, legacy.ErrDenied):
		return errSignIn
	case errors.Is(err, account.ErrBusy):
		return errBusy
	case errors.Is(err, twofactor.ErrWrong), errors.Is(err, twofactor.ErrNoFactor):
		return errWrongCode
	case errors.Is(err, twofactor.ErrLocked):
		return &Error{http.StatusUnauthorized, "factor-locked", lockedSentence}
	case errors.Is(err, twofactor.ErrEnrolled):
		return &Error{http.StatusConflict, "already-enrolled", "Two-factor authentication is on already."}
	case errors.Is(err, twofactor.ErrTooMany):
		return &Error{http.StatusUnauthorized, "too-many-codes", "Too many wrong one-time passwords: this login was ended. Log in again."}
	case errors.Is(err, account.ErrName):
		return &Error{http.StatusBadRequest, "bad-name", "A user name is 1 to 214 lower-case letters, digits, dots, dashes and underscores, begins with a letter or digit, and is not a reserved word."}
	case errors.Is(err, account.ErrEmail):
		return &Error{http.StatusBadRequest, "bad-email", "This is not an e-mail address."}
	case errors.Is(err, account.ErrChanged):
		return errProfileChanged
	case errors.Is(err, account.ErrProfile):
		return &Error{http.StatusBadRequest, "bad-profile", "A field of a profile has at most 256 characters and none of them a control character."}
	case errors.Is(err, account.ErrWrongPassword):
		return errWrongPassword
	case errors.Is(err, account.ErrNameTaken):
		return &Error{http.StatusConflict, "name-taken", "That user name is taken."}
	case errors.Is(err, token.ErrCursor):
		return &Error{http.StatusBadRequest, "bad-cursor", "after is not where a page of this list ended."}
	case errors.Is(err, token.ErrDisabled):
		return &Error{http.StatusForbidden, "account-disabled", "The account is disabled."}
	case errors.Is(err, token.ErrNotFound):
		return &Error{http.StatusNotFound, "no-such-token", "There is no such token."}
	}
	var spec *token.SpecError
	var weak *account.PasswordError
	var bad *strictjson.Error
	var body *packument.Error
	var change *packument.ChangeError
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &spec):
		return &Error{http.StatusBadRequest, "bad-token-request", spec.Error()}
	case errors.As(err, &weak):
		return &Error{http.StatusBadRequest, "bad-password", weak.Error()}
	case errors.As(err, &bad):
		return &Error{http.StatusBadRequest, "bad-json", bad.Error()}
	case errors.Is(err, packument.ErrTooLarge):
		return errDocumentSize
	case errors.Is(err, packument.ErrNotPublish):
		return &Error{http.StatusForbidden, "not-offered", "The registry refused the package document: " + err.Error() + "."}
	case errors.As(err, &body):
		return &Error{http.StatusBadRequest, "bad-publish", "The registry refused the package: " + body.Error() + "."}
	case errors.As(err, &change):
		status := http.StatusBadRequest
		if change.Code == packument.CodeConflict {
			status = http.StatusConflict
		}
		return &Error{status, change.Code, change.Sentence}
	case errors.As(err, &size):
		return errTooLarge
	}
	return errUnavailable
}

// lockedSentence stands in the ordinary challenge: a status of its own (429,
// say) would make npm send the request again.
const lockedSentence = "This one-time password is locked after too many wrong ones. Use a recovery code or ask the registry's operator."

// WriteError answers r with err in npm's form: JSON with the strings error and
// message, both of which clients read. What err is decides the status; the text
// of an error that npmauth does not know is not shown. It also serves a host
// that refuses something itself: give it an [*Error].
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var ask *challengeError
	if errors.As(err, &ask) {
		sentence := ""
		if ask.wrong {
			sentence = "The one-time password was not accepted."
		}
		writeChallenge(w, ask.challenge, sentence)
		return
	}
	if errors.Is(err, twofactor.ErrLocked) {
		writeChallenge(w, Challenge{}, lockedSentence)
		return
	}
	var denied *DeniedError
	switch {
	case errors.Is(err, ErrNoCredential):
		writeBearer(w, "login-required", "You need to be logged in to do this.")
	case errors.Is(err, ErrInvalidToken):
		writeBearer(w, "invalid-token", "Your login or token is not valid here, or not any more. Log in again.")
	case errors.As(err, &denied):
		writeDenied(w, denied)
	default:
		e := answer(err)
		if e.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		writeJSONError(w, e.Status, e.Code, e.Sentence)
	}
}

// writeBearer answers 401 with a Bearer challenge, for which npm says in its own
// words that one has to log in.
func writeBearer(w http.ResponseWriter, code, sentence string) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	writeJSONError(w, http.StatusUnauthorized, code, sentence)
}

// writeDenied answers a refusal. A package that may not be known of answers as
// one that does not exist; a wrong address has npm's own challenge; who is not
// logged in is asked to, unless that would change nothing.
func writeDenied(w http.ResponseWriter, e *DeniedError) {
	code, sentence := "denied", "You may not do this."
	for i, why := range e.Decision.Reasons {
		if why.Conceal {
			writeJSONError(w, http.StatusNotFound, "not-found", why.Sentence)
			return
		}
		if i == 0 {
			code, sentence = why.Code, why.Sentence
			if why.Remedy != "" {
				sentence += " " + why.Remedy
			}
		}
	}
	switch {
	case e.anonymous && e.Operation.Action != policy.Unknown && (code == "denied" || code == policy.CodeLoginRequired):
		writeBearer(w, "login-required", "You need to be logged in to do this.")
	case code == policy.CodeCIDR:
		w.Header().Set("WWW-Authenticate", "ipaddress")
		writeJSONError(w, http.StatusUnauthorized, code, sentence)
	case e.Operation.Action == policy.Unknown:
		writeJSONError(w, http.StatusNotFound, code, sentence)
	default:
		writeJSONError(w, http.StatusForbidden, code, sentence)
	}
}

// writeJSONError is the one place that writes npm's error body. Yarn 1 takes one
// without a sentence for a success.
func writeJSONError(w http.ResponseWriter, status int, code, sentence string) {
	if sentence == "" {
		sentence = "The registry refused this."
	}
	writeJSON(w, status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Code    string `json:"code"`
	}{sentence, sentence, code})
}

// writeJSON writes v, never to be stored: every answer of ours depends on who
// asks.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only values of ours come here
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal error","message":"internal error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body)
}

// outage reports whether err is nobody's fault but ours, so that it is logged.
func outage(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var ask *challengeError
	var denied *DeniedError
	if errors.As(err, &ask) || errors.As(err, &denied) || errors.Is(err, ErrNoCredential) || errors.Is(err, ErrInvalidToken) {
		return false
	}
	return answer(err) == errUnavailable
}
