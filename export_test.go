package npmauth

import (
	"net/http"
	"time"

	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/wire"
)

// WriteJSON answers as an endpoint of npmauth's does.
func WriteJSON(w http.ResponseWriter, status int, v any) { wire.WriteJSON(w, status, v) }

// SetBodyRate sets how many bytes a second a body must bring, and for how long it may bring fewer.
func (a *Auth) SetBodyRate(rate int, grace time.Duration) {
	a.guard.BodyRate, a.guard.BodyGrace = rate, grace
}

// SetBodyMemory sets how many bytes of bodies are kept at once, and returns what says how many are.
func (a *Auth) SetBodyMemory(total int) (held func() (bytes, senders int)) {
	a.guard.Memory = budget.New(total)
	return a.guard.Memory.Held
}

// SetBodyTimeout shortens how long a body may stand still, for a test that waits for it.
func (a *Auth) SetBodyTimeout(d time.Duration) { a.guard.BodyTimeout = d }
