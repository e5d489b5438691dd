package npmauth

import (
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

// An Observation is what [Metrics] are told of one request.
type Observation struct {
	Action   protocol.Action
	Outcome  audit.Outcome
	Rule     string        // the code of the rule that refused, as in an event's reasons; "" if none did
	Duration time.Duration // from the first decision on, waiting for the body and the host included
}

// Metrics count what was decided. Observe is called once for each request that was decided on,
// before it is answered or handed over, from many goroutines; it must not block. Of a
// publish it is called when its body was read, or the host has answered without that. What
// [host.Operation.Confirm] refuses later is told to [Config.Audit] alone.
type Metrics interface{ Observe(Observation) }
