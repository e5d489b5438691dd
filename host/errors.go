package host

import (
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
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
type DeniedError struct {
	Operation protocol.Operation
	Decision  policy.Decision
	Anonymous bool // the request carried no credential
}

// Error names the operation and the first reason's code.
func (e *DeniedError) Error() string {
	code := "denied"
	if len(e.Decision.Reasons) > 0 {
		code = e.Decision.Reasons[0].Code
	}
	return fmt.Sprintf("host: %s refused: %s", e.Operation.Action, code)
}
