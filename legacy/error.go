package legacy

import (
	"errors"
	"net/http"
)

// Errors that the functions of a [Config] return, and that this package branches on.
var (
	// ErrDenied is for [Config.SignIn]: there is no such user, the password is wrong, or the
	// account is disabled. Where sign-up is open, [Config.SignUp] is called next.
	ErrDenied = errors.New("legacy: wrong user name or password")
	// ErrNameTaken is for [Config.SignUp]: there is an account of that name, and the login
	// stays denied.
	ErrNameTaken = errors.New("legacy: the user name is taken")
)

// An Error is a refusal of this package itself. It never depends on whether an
// account exists.
type Error struct {
	Status   int    // of HTTP
	Code     string // for programs, kebab-case
	Sentence string // for the person, safe to send
}

// Error returns code and sentence.
func (e *Error) Error() string { return "legacy: " + e.Code + ": " + e.Sentence }

// Answer returns the fields.
func (e *Error) Answer() (status int, code, sentence string) { return e.Status, e.Code, e.Sentence }

// The refusals that depend on nothing in the request's body.
var (
	// ErrOff is for every PUT while [Config.Off] is set.
	ErrOff = &Error{http.StatusNotFound, "legacy-login-off", "Logging in with a password at this address is switched off. Use: npm login --auth-type=web"}
	// ErrSunset is for every PUT from [Config.Sunset] on.
	ErrSunset = &Error{http.StatusGone, "legacy-login-ended", "Logging in with a password at this address has ended. Use: npm login --auth-type=web"}
	// ErrName is for every PUT of a name that no user could have. It is not 400: npm replaces the
	// sentence of a 400 at npm login by one of its own, that there is no such user.
	ErrName = &Error{http.StatusUnprocessableEntity, "bad-name", "This is not a valid user name."}
	// ErrUpdate is for every PUT of a revision.
	ErrUpdate = &Error{http.StatusForbidden, "user-document-read-only", "A user document cannot be changed. Use: npm profile set"}
	// ErrNoReader is for every GET while [Config.ReadUser] is nil.
	ErrNoReader = &Error{http.StatusNotFound, "not-found", "There is no such user."}
)

func badRequest(code, sentence string) *Error {
	return &Error{http.StatusBadRequest, code, sentence}
}

func badMediaType(sentence string) *Error {
	return &Error{http.StatusUnsupportedMediaType, "bad-content-type", sentence}
}
