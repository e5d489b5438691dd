package host

import (
	"errors"

	"github.com/npmauth/npmauth/policy"
)

// Errors about the credential of a request, possibly wrapped.
var (
	// ErrNoCredential means that the request has no credential.
	ErrNoCredential = errors.New("host: no credential")

	// ErrInvalidToken means that the credential does not authenticate, whether it is malformed,
	// unknown, expired or revoked, or its user is gone.
	ErrInvalidToken = errors.New("host: invalid token")
)

// A DeniedError means that the policy denied or challenged an operation.
type DeniedError = policy.DeniedError
