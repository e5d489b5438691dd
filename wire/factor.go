package wire

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// A Factor is a second factor in the list of those of an account, which npmauth adds to npm's.
type Factor struct {
	ID   string `json:"id"`   // [protocol.FactorApp], or the public ID of a key
	Type string `json:"type"` // [protocol.FactorApp] or [protocol.FactorKey]
	// Of a key.
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Used    time.Time `json:"used,omitzero"`   // last
	Synced  bool      `json:"synced,omitzero"` // it is, or may be, on several devices of its user
}

// A NewFactor is the body of a request that adds a second factor.
type NewFactor struct {
	Type     string `json:"type"`
	Password string `json:"password"`
	// Of a key: what its user calls it, and what navigator.credentials.create returned.
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
}

// Check returns what is wrong with the request, as an [*Error], or nil.
func (f NewFactor) Check() error {
	sentence := ""
	switch {
	case f.Type != protocol.FactorApp && f.Type != protocol.FactorKey:
		sentence = "type must be app or key."
	case f.Type == protocol.FactorApp && (f.Name != "" || !IsNull(f.Response)):
		sentence = "An app has neither name nor response here."
	case f.Type == protocol.FactorKey && (f.Name == "" || IsNull(f.Response)):
		sentence = "A key takes name and response."
	default:
		return nil
	}
	return &Error{Status: http.StatusBadRequest, Code: "bad-factor", Sentence: sentence}
}

// TakesKey reports whether the headers of a request say that its client has a security key sign: the
// challenge then has the options for that in its JSON, below webauthn. The value is none of npm's: npm 8.19 with
// --auth-type=webauthn says that one, and opens a page.
func TakesKey(h http.Header) bool { return authType(h) == "security-key" }
