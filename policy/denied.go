package policy

import (
	"fmt"

	"github.com/npmauth/npmauth/protocol"
)

// A DeniedError means that a policy denied or challenged an operation.
type DeniedError struct {
	Operation protocol.Operation
	Decision  Decision
	Anonymous bool // the request carried no credential
}

// Denied returns the DeniedError for the decision d about req.
func Denied(req *Request, d Decision) *DeniedError {
	return &DeniedError{Operation: req.Operation, Decision: d, Anonymous: req.Anonymous()}
}

// Check decides about req before its body is read and its second factor is verified, to deny early.
// It returns nil for Allow, and for the Challenge of a write; for everything else a [*DeniedError].
// A nil error authorizes a read. For a write the caller must decide once more, with
// [Policy.Decide], before anything is written.
func (p *Policy) Check(req *Request) error {
	switch d := p.Decide(*req); {
	case d.Effect == Allow, d.Effect == Challenge && req.Operation.Action.Write():
		return nil
	default:
		return Denied(req, d)
	}
}

// Error names the operation and the first reason's code.
func (e *DeniedError) Error() string {
	code := "denied"
	if len(e.Decision.Reasons) > 0 {
		code = e.Decision.Reasons[0].Code
	}
	return fmt.Sprintf("policy: %s refused: %s", e.Operation.Action, code)
}
