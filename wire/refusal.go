package wire

import (
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// The answers to a request without a credential, and to one whose credential is unknown, expired or
// revoked.
var (
	LoginRequired = &Error{Status: http.StatusUnauthorized, Code: "login-required", Sentence: "You need to be logged in to do this.", Authenticate: "Bearer"}
	// InvalidToken has no WWW-Authenticate header: npm would print advice of its own in place of
	// the sentence, which is wrong in CI.
	InvalidToken = &Error{Status: http.StatusUnauthorized, Code: "invalid-token", Sentence: "Your login or token is not valid here, or not any more. Run npm login, or in CI use a new token."}
)

// WrongLogin is the answer to a wrong password, to an unknown user and to a disabled one.
var WrongLogin = &Error{Status: http.StatusUnauthorized, Code: "wrong-login", Sentence: "The user name or the password is wrong."}

// Refusal returns the answer to a request for op that d does not allow. anonymous says that the
// request had no credential.
//
// It is 404 if a reason has Conceal, and for an unknown operation; [LoginRequired] if the request
// is anonymous and the first reason, if there is one, is [policy.CodeLoginRequired]; 401 with npm's
// ipaddress if that is [policy.CodeCIDR]; and 403 for every other decision, a Challenge and an
// Allow included. To challenge for a second factor answer with a [Challenge] instead.
func Refusal(op protocol.Operation, d policy.Decision, anonymous bool) *Error {
	code, sentence := "denied", "You may not do this."
	for i, why := range d.Reasons {
		if why.Conceal {
			return &Error{Status: http.StatusNotFound, Code: "not-found", Sentence: why.Sentence}
		}
		if i == 0 {
			code, sentence = why.Code, why.Sentence
			if why.Remedy != "" {
				sentence += " " + why.Remedy
			}
		}
	}
	switch {
	case anonymous && op.Action != protocol.Unknown && (code == "denied" || code == policy.CodeLoginRequired):
		return LoginRequired
	case code == policy.CodeCIDR:
		return &Error{Status: http.StatusUnauthorized, Code: code, Sentence: sentence, Authenticate: "ipaddress"}
	case op.Action == protocol.Unknown:
		return &Error{Status: http.StatusNotFound, Code: code, Sentence: sentence}
	}
	return &Error{Status: http.StatusForbidden, Code: code, Sentence: sentence}
}
