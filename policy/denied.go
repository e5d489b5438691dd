package policy

import (
	"fmt"

	"github.com/npmauth/npmauth/protocol"
)

// A DeniedError means that a policy denied an operation.
type DeniedError struct {
	Operation protocol.Operation
	Decision  Decision
	Anonymous bool // the request carried no credential
}

// Denied returns the DeniedError of a request about which a policy decided d.
func Denied(req *Request, d Decision) *DeniedError {
	return &DeniedError{Operation: req.Operation, Decision: d, Anonymous: req.Anonymous()}
}

// Check is a first decision, for a caller that makes another one before anything is written: it
// refuses early. It returns nil for an Allow, and for a Challenge of a write, which a second
// factor may allow; a [*DeniedError] for everything else.
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
