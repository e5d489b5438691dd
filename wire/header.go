package wire

import (
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
)

// Answers to headers with more than one meaning, or none.
var (
	TwoCredentials = &Error{Status: http.StatusBadRequest, Code: "ambiguous-credential", Sentence: "The request carries more than one Authorization header."}
	twoCodes       = &Error{Status: http.StatusBadRequest, Code: "ambiguous-otp", Sentence: "The request carries more than one npm-otp header."}
	longCode       = &Error{Status: http.StatusBadRequest, Code: "bad-otp", Sentence: "The one-time password is far too long."}
)

// maxOTP is more than any second factor that is no security key's has, in bytes.
const maxOTP = 256

// Bearer returns the secret of the Authorization header, "" if there is no such header. Several
// headers are [TwoCredentials]. A header that is not the scheme Bearer and one secret is
// [InvalidToken].
func Bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	switch len(lines) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", TwoCredentials
	}
	scheme, secret, _ := strings.Cut(lines[0], " ")
	secret = strings.TrimLeft(secret, " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || strings.ContainsAny(secret, " ,\t") {
		return "", InvalidToken
	}
	return secret, nil
}

// OTP returns the value of the npm-otp header, the zero Secret if there is none or it is blank.
// Several headers are an [*Error], and so is a value longer than any second factor.
func OTP(h http.Header) (credential.Secret, error) {
	lines := h["Npm-Otp"]
	switch {
	case len(lines) == 0:
		return credential.Secret{}, nil
	case len(lines) > 1:
		return credential.Secret{}, twoCodes
	case len(lines[0]) > maxOTP && (len(lines[0]) > typed.MaxKey || !strings.HasPrefix(lines[0], typed.KeyPrefix)):
		return credential.Secret{}, longCode
	case typed.Line(lines[0]) == "":
		return credential.Secret{}, nil
	}
	return credential.NewSecret(lines[0]), nil
}
