package npmauth

import (
	"net/http"
	"time"

	"github.com/npmauth/npmauth/wire"
)

// WriteJSON answers as an endpoint of npmauth's does.
func WriteJSON(w http.ResponseWriter, status int, v any) { wire.WriteJSON(w, status, v) }

// SetBodyTimeout shortens how long a body may stand still, for a test that waits for it.
func (a *Auth) SetBodyTimeout(d time.Duration) { a.guard.BodyTimeout = d }
