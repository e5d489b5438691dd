package npmauth

import (
	"context"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// An Identity is who a request comes from. The zero value is nobody.
type Identity struct {
	User       policy.UserID
	Name       string
	Credential string // the credential's public ID: safe in logs
	Kind       policy.Kind
}

// An Operation is what the guard allowed, handed to the host with the
// preconditions of that permission.
type Operation struct {
	policy.Operation

	// PackageID is the package that was judged. Between that judgement and the
	// host's write another request may create or replace the package, so the
	// host must make its write conditional on it: "" means that the package must
	// not exist yet. [npmauthtest.Host] proves that a host does.
	//
	// [npmauthtest.Host]: https://pkg.go.dev/github.com/npmauth/npmauth/npmauthtest#Host
	PackageID policy.PackageID

	// OrgID is the organization that was judged, "" with any other action. It is a
	// precondition as PackageID is.
	OrgID policy.OrgID

	body   *publishReader   // of a publish
	change *protocol.Change // what else was read before it was judged
	auth   *Auth            // by which it was judged; nil outside of a guard
	judged *judgement
}

// Confirm judges the operation once more, on what is true now: that the credential still
// holds, that its user still may, that PackageID and OrgID are still those of the package
// and the organization. It is for a host that takes its time between the end of the
// request's body and its own write, and calls this right before it. A factor that was shown
// once is not asked for again. An error is for [WriteError], and nothing may be written.
//
// The host is asked for its facts in the meantime, so it must hold no lock or transaction
// that they wait for. For a publish it is to be called when the whole body has been read.
func (o Operation) Confirm(ctx context.Context) error {
	if o.auth == nil {
		return errNotGuarded
	}
	return o.auth.confirm(ctx, o.judged)
}

// Change returns what the request was allowed to do beyond what the operation names. A host
// does this and nothing else that a body says. With a publish it is known when the document
// has been read to its end without an error, and is an error before; its Access is "" then
// where the package exists, whose visibility a publish does not change. It is an error for a
// read.
func (o Operation) Change() (protocol.Change, error) {
	switch {
	case o.change != nil:
		return *o.change, nil
	case o.body != nil:
		return o.body.change(o.PackageID)
	}
	return protocol.Change{}, errNoChange
}

type passKey struct{}

// A pass is the context of a request that the guard let through.
type pass struct {
	context.Context // of the request as it came
	identity        Identity
	operation       Operation
	reader          reader
	notice          string    // for npm to print, "" mostly
	vary            [1]string // the header's: part of the pass so that it is not allocated by itself
}

// Value returns the pass itself for its key.
func (p *pass) Value(key any) any {
	if key == (passKey{}) {
		return p
	}
	return p.Context.Value(key)
}

// IdentityFrom returns who the guarded request of ctx comes from; false for the
// anonymous and outside of a guard.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	p, ok := ctx.Value(passKey{}).(*pass)
	if !ok || p.identity.User == "" {
		return Identity{}, false
	}
	return p.identity, true
}

// OperationFrom returns what the guard allowed the request of ctx to do; false
// outside of a guard, and for routes that [Config.Public] let through.
func OperationFrom(ctx context.Context) (Operation, bool) {
	p, ok := ctx.Value(passKey{}).(*pass)
	if !ok {
		return Operation{}, false
	}
	return p.operation, true
}

// varies says that the answer depends on who asks, which a cache must know where the host
// forgets to say so: RFC 9110, section 12.5.5.
func (p *pass) varies(h http.Header) {
	if len(h["Vary"]) > 0 {
		h.Add("Vary", "Authorization")
		return
	}
	p.vary[0] = "Authorization"
	h["Vary"] = p.vary[:] // full: what is added goes elsewhere
}

// notify makes npm print what there is to say, whatever the host answers.
func (p *pass) notify(w http.ResponseWriter) {
	if p.notice != "" {
		w.Header().Set("npm-notice", p.notice)
	}
}
