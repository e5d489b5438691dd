package wire

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/policy"
)

// A Challenge is what the answer to a request without its second factor says. The zero value is for
// a typed code only.
type Challenge struct {
	// AuthURL is the page on which a person approves or denies, and DoneURL the URL that the client
	// polls for the proof. Both or none, absolute, without a percent sign: npm encodes AuthURL once
	// more before it opens it.
	AuthURL, DoneURL string
	// CheckCode is the code that the page shows too, for the person to compare. May be empty.
	CheckCode string
	// Codes are the kinds of code that a person can enter without the page: those that the account
	// has and the policy accepts for the request. The notice offers them and no others. Nil: it
	// offers none.
	Codes []policy.Proof
	// Typed is for a client that prompts for a code, see [TakesCode]. The answer then has the
	// page's address in its notice only: a client that gets AuthURL and DoneURL opens the page and
	// never prompts.
	Typed bool
	// Key are the options with which a security key signs for the request, for a client that has one
	// sign, see [TakesKey]. Nil: none.
	Key json.RawMessage
}

// TakesCode reports whether the headers of a request say that its client prompts for a code: npm
// does with --auth-type=legacy and with --otp.
func TakesCode(h http.Header) bool { return authType(h) == "legacy" }

func authType(h http.Header) string { return header.Single(h, "Npm-Auth-Type") }

// WriteChallenge challenges for a second factor in the one form that all npm clients understand:
// 401, a single WWW-Authenticate with the scheme in both spellings, "one-time pass" in a JSON
// error, and an npm-notice for those that take the page's address from there. sentence, which may
// be "", says why, for instance that a code was wrong. It is in the notice, too: npm prints that and
// has words of its own in place of the error. It must be one printable line, and no secret.
func WriteChallenge(w http.ResponseWriter, c Challenge, sentence string) {
	text := "This operation requires a one-time password."
	if sentence != "" {
		text = sentence + " " + text
	}
	body := struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Code    string `json:"code"`
		AuthURL string `json:"authUrl,omitempty"`
		DoneURL string `json:"doneUrl,omitempty"`

		Key json.RawMessage `json:"webauthn,omitempty"`
	}{text, text, "otp-required", "", "", c.Key}
	if c.hasPage() && !c.Typed {
		body.AuthURL, body.DoneURL = c.AuthURL, c.DoneURL
	}
	w.Header().Set("WWW-Authenticate", "OTP, otp")
	w.Header().Set("npm-notice", c.notice(sentence))
	WriteJSON(w, http.StatusUnauthorized, body)
}

func (c Challenge) hasPage() bool { return c.AuthURL != "" && c.DoneURL != "" }

// notice returns what npm prints, and Yarn before it prompts. Where it names the page and the client
// does not prompt by itself, it begins with Open and the address: Yarn offers to open that.
func (c Challenge) notice(sentence string) string {
	codes := strings.Join(c.codes(), " or ")
	var parts []string
	switch {
	case c.hasPage() && c.Typed:
		page := "open " + c.AuthURL
		if c.CheckCode != "" {
			page += ", whose check code must be " + c.CheckCode + ","
		}
		page += " and enter the digits that it shows in the end."
		if codes != "" {
			page = "Enter " + codes + ", or " + page
		} else {
			page = "O" + page[1:]
		}
		parts = []string{sentence, page}
	case c.hasPage():
		page := "Open " + c.AuthURL + " to confirm this"
		if codes != "" {
			page += ", or use " + codes
		}
		page += "."
		if c.CheckCode != "" {
			page += " The page must show the check code " + c.CheckCode + "."
		}
		parts = []string{page, sentence}
	case codes != "":
		parts = []string{sentence, "Enter " + codes + "."}
	default:
		parts = []string{sentence, "Enter a one-time password."}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// codes returns the words for c.Codes.
func (c Challenge) codes() (words []string) {
	for _, kind := range c.Codes {
		switch kind {
		case policy.ProofTOTP:
			words = append(words, "the code that your authenticator app shows")
		case policy.ProofRecovery:
			words = append(words, "a recovery code")
		}
	}
	return words
}
