package npmauth

import (
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

// An Observation describes the decision about one request.
type Observation struct {
	Action   protocol.Action
	Outcome  audit.Outcome // Failed is an outage; a client that has disconnected is Canceled
	Rule     string        // the code of the rule that refused, as in an event's reasons; "" if none did
	Duration time.Duration // from the first decision on, including the wait for the body and the host
}

// Metrics count decisions. Observe is called once for each request that was decided on, before it
// is answered or passed to the host, from many goroutines; it must not block. For a publish it is
// called when its body was read, or the host has answered without reading it. What
// host.Operation.Confirm refuses later goes to Config.Audit alone.
type Metrics interface{ Observe(Observation) }
