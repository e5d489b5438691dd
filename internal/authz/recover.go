package authz

import (
	"net/http"
	"runtime/debug"

	"github.com/npmauth/npmauth/wire"
)

// Recover is deferred around code that calls a store or the host: a panic of
// theirs is an outage, and so a refusal, like every other error. The host's own handler
// is not its business.
func (a *Authorizer) Recover(r *http.Request, refuse func(error)) {
	x := recover()
	switch x {
	case nil:
	case http.ErrAbortHandler:
		panic(x) // the server's own way to end a request
	default:
		// Not what it panicked with, which may quote what was being looked up.
		a.Log.ErrorContext(r.Context(), "npmauth: panic while deciding, request refused",
			"method", r.Method, "path", wire.RedactPath(r.URL.EscapedPath()), "stack", string(debug.Stack()))
		refuse(wire.Unavailable)
	}
}
