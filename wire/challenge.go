package wire

import (
	"net/http"

	"github.com/npmauth/npmauth/internal/header"
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
	// Typed is for a client that prompts for a code, see [TakesCode]. The answer then has the
	// page's address in its message only: a client that gets AuthURL and DoneURL opens the page and
	// never prompts.
	Typed bool
}

// TakesCode reports whether the headers of a request say that its client prompts for a code: npm
// does with --auth-type=legacy and with --otp.
func TakesCode(h http.Header) bool { return header.Single(h, "Npm-Auth-Type") == "legacy" }

// WriteChallenge challenges for a second factor in the one form that all npm clients understand:
// 401, a single WWW-Authenticate with the scheme in both spellings, "one-time pass" in a JSON
// error, and an npm-notice for those that take the page's address from there. sentence, which may
// be "", says why, for instance that a code was wrong. It must not contain a secret.
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
	}{text, text, "otp-required", "", ""}
	w.Header().Set("WWW-Authenticate", "OTP, otp")
	if c.AuthURL != "" && c.DoneURL != "" {
		if !c.Typed {
			body.AuthURL, body.DoneURL = c.AuthURL, c.DoneURL
		}
		check := ""
		if c.CheckCode != "" {
			check = ". The page must show the code " + c.CheckCode
		}
		w.Header().Set("npm-notice", "Open "+c.AuthURL+" to use your security key for authentication or enter OTP from your authenticator app"+check)
	} else {
		w.Header().Set("npm-notice", "Enter the code that your authenticator app shows")
	}
	WriteJSON(w, http.StatusUnauthorized, body)
}
