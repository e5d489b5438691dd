package wire

import "net/http"

// An Error is an error with the answer to the client. A host returns one to choose the status and
// the sentence.
type Error struct {
	Status   int    // 400 to 599; any other is answered as 503
	Code     string // for programs, kebab-case
	Sentence string // for the person at the terminal; npm prints it

	// Authenticate is the WWW-Authenticate header, "" for none. With Bearer npm tells the user
	// to log in.
	Authenticate string

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
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	sentence := e.Sentence
	if sentence == "" { // Yarn 1 takes an empty sentence for a success
		sentence = "The registry refused this."
	}
	WriteJSON(w, e.Status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Code    string `json:"code"`
	}{sentence, sentence, e.Code})
}
