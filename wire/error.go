package wire

import (
	"net/http"
	"strconv"
)

// An Error is an error with the answer to the client. A host returns one to choose the status and
// the sentence.
type Error struct {
	Status   int    // 400 to 599; any other is answered as 503
	Code     string // for programs, kebab-case
	Sentence string // for the person at the terminal; npm prints it

	// Authenticate is the WWW-Authenticate header, "" for none. With Bearer npm tells the user
	// to log in.
	Authenticate string

	// RetryAfter is how many seconds a client should wait before it tries again. Zero means five for
	// status 503, and that nothing is said for any other.
	RetryAfter int

	// Nested sends the Sentence also as message of the member body, where pnpm looks for that of an exchange of ID
	// tokens.
	Nested bool

	// Challenge challenges for a second factor; the Sentence, which may be "", says why. Status
	// and Authenticate are not used then. Nil: it is no challenge.
	Challenge *Challenge
}

// Error returns the code and the sentence.
func (e *Error) Error() string { return "registry: " + e.Code + ": " + e.Sentence }

// Unavailable is the answer to every failure of the registry itself.
var Unavailable = &Error{
	Status: http.StatusServiceUnavailable, Code: "unavailable", Sentence: "The registry cannot decide this at the moment. Try again shortly.",
}

// Unclear is the answer to a failure of the registry after which nobody knows whether what was asked for happened: the
// store took it, and its answer was lost.
var Unclear = &Error{
	Status: http.StatusServiceUnavailable, Code: "unknown-outcome", Sentence: "The registry lost its database meanwhile and does not know whether this was done. See whether it was before you repeat it.",
}

// WriteError answers with e in npm's form: JSON with the strings error and message, both of
// which clients read.
func WriteError(w http.ResponseWriter, e *Error) {
	if e.Challenge != nil {
		WriteChallenge(w, *e.Challenge, e.Sentence)
		return
	}
	if e.Status < 400 || e.Status > 599 { // not filled in: an error all the same
		e = Unavailable
	}
	if e.Authenticate != "" {
		w.Header().Set("WWW-Authenticate", e.Authenticate)
	}
	after := e.RetryAfter
	if after == 0 && e.Status == http.StatusServiceUnavailable {
		after = 5
	}
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(after))
	}
	sentence := e.Sentence
	if sentence == "" { // Yarn 1 takes an empty sentence for a success
		sentence = "The registry refused this."
	}
	var nested map[string]string
	if e.Nested {
		nested = map[string]string{"message": sentence}
	}
	WriteJSON(w, e.Status, struct {
		Error   string            `json:"error"`
		Message string            `json:"message"`
		Code    string            `json:"code"`
		Body    map[string]string `json:"body,omitempty"`
	}{sentence, sentence, e.Code, nested})
}
