// Package wire reads and writes the JSON of npm's registry protocol: the bodies that clients
// send about tokens, profiles and access, and the answers that they understand.
//
//	wire.WriteError(w, &wire.Error{Status: http.StatusConflict, Code: "taken", Sentence: "Someone else was faster. Try again."})
//
// Clients read an error's sentence from a field of JSON, each from another one, and Yarn 1
// takes an error without a sentence for a success: [WriteError] writes what all of them read.
// [WriteChallenge] asks for a second factor in the one form that all of them understand.
//
// Bodies are read strictly: a field that is not known, repeated or of another type is an
// error, since a restriction that is not understood must not be dropped.
package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// WriteJSON answers with v as JSON, never to be stored: an answer of the registry depends on
// who asks.
func WriteJSON(w http.ResponseWriter, status int, v any) {
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

// IsNull reports whether a field is absent or null, which npm takes for the same.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
