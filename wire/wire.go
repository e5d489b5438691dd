// Package wire reads and writes the JSON of npm's registry protocol: the bodies that clients
// send about tokens, profiles and access, and the answers that they understand.
//
//	wire.WriteError(w, &wire.Error{Status: http.StatusConflict, Code: "taken", Sentence: "The name is taken. Choose another one."})
//
// Each client reads an error's sentence from another JSON field, and Yarn 1 takes an error
// without a sentence for a success: [WriteError] writes all these fields. [WriteChallenge]
// challenges for a second factor in the one form that all clients understand.
//
// Bodies are read strictly: an unknown or repeated field, or one of another type, is an error,
// since a restriction must not be dropped.
package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// WriteJSON answers with v as JSON that no cache may store: an answer of the registry depends
// on the user.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // callers pass only values that can be encoded
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

// IsNull reports whether a field is absent or null, which npm does not distinguish.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
