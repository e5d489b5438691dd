package oidc

import (
	"errors"

	"github.com/npmauth/npmauth/trust"
)

// ErrInvalid is returned for every token that is not accepted. An *[InvalidError] has the reason.
// It is a [trust.ErrInvalidToken].
var ErrInvalid error = invalid{}

type invalid struct{}

func (invalid) Error() string { return "oidc: invalid token" }
func (invalid) Unwrap() error { return trust.ErrInvalidToken }

// ErrUnavailable is returned while the keys that a token needs cannot be fetched. The token may be valid
// or not: a server answers 503.
var ErrUnavailable = errors.New("oidc: the keys of the issuer are not available")

// A Reason says why a token is not accepted.
type Reason string

// The reasons.
const (
	ReasonSize      Reason = "size"      // longer than MaxToken
	ReasonEncoding  Reason = "encoding"  // not three parts in base64url
	ReasonHeader    Reason = "header"    // not a JSON object, or with what is refused in a header
	ReasonAlgorithm Reason = "algorithm" // neither RS256 nor ES256
	ReasonPayload   Reason = "payload"   // not a JSON object that has one meaning
	ReasonIssuer    Reason = "issuer"    // not a configured one
	ReasonAudience  Reason = "audience"  // not a configured one, or several
	ReasonClaim     Reason = "claim"     // missing or of another type: InvalidError.Claim
	ReasonExpired   Reason = "expired"
	ReasonEarly     Reason = "early"     // not valid yet, or issued in the future
	ReasonLifetime  Reason = "lifetime"  // longer than Config.MaxLifetime or Lifetimes allow, or none at all
	ReasonKey       Reason = "key"       // the issuer publishes no such key
	ReasonSignature Reason = "signature" // not of the key that it names
)

// An InvalidError is an [ErrInvalid] with its reason, for the operator's log. It has nothing of the token.
// Whoever sent the token should not learn it: unless the reason is one of the last two, everything was
// read without a signature.
type InvalidError struct {
	Reason Reason
	// Issuer is a configured issuer which the token names; "" if it was not read so far.
	Issuer string
	// Claim is the name of the claim that a [ReasonClaim] is about.
	Claim string
}

// Error returns the reason in words.
func (e *InvalidError) Error() string {
	text := ErrInvalid.Error() + ": " + string(e.Reason)
	if e.Claim != "" {
		text += " " + e.Claim
	}
	if e.Issuer != "" {
		text += " (" + e.Issuer + ")"
	}
	return text
}

// Unwrap returns [ErrInvalid].
func (e *InvalidError) Unwrap() error { return ErrInvalid }
