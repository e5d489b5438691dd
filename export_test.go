package npmauth

import "time"

// SetBodyTimeout shortens how long a body may stand still, for a test that waits for it.
func (a *Auth) SetBodyTimeout(d time.Duration) { a.bodyTimeout = d }
