package host

import (
	"errors"

	"github.com/npmauth/npmauth/policy"
)

// Errors about the credential of a request, possibly wrapped.
var (
	// ErrNoCredential means that the request carries no credential.
	ErrNoCredential = errors.New("host: no credential")

	// ErrInvalidToken means that the credential does not authenticate. It is the same whether
	// it is malformed, unknown, expired, revoked, or its user gone.
	ErrInvalidToken = errors.New("host: invalid token")
)

// A DeniedError means that the policy denied an operation.
type DeniedError = policy.DeniedError
