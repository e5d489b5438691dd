package wire

import (
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// The answers to a sender who is not logged in, and not any more.
var (
	LoginRequired = &Error{Status: http.StatusUnauthorized, Code: "login-required", Sentence: "You need to be logged in to do this.", Authenticate: "Bearer"}
	InvalidToken  = &Error{Status: http.StatusUnauthorized, Code: "invalid-token", Sentence: "Your login or token is not valid here, or not any more. Log in again.", Authenticate: "Bearer"}
)

// WrongLogin is the one answer to an unknown user and to a wrong password.
var WrongLogin = &Error{Status: http.StatusUnauthorized, Code: "wrong-login", Sentence: "The user name or the password is wrong."}

// Refusal returns the answer to a request for op that d does not allow. anonymous says that the
// request carried no credential.
//
// A package that the sender may not know of is answered as one that does not exist, and an
// operation that is unknown as an absent page. A sender who is not logged in is asked to log in,
// unless that would change nothing. A wrong address has npm's own challenge. Every other
// decision is 403, also one that allows: whoever has a second factor to present is challenged
// before, with a [Challenge].
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
