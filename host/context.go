package host

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Errors of what is asked of a request that no guard handed over.
var (
	ErrUnguarded = errors.New("host: no guard has handed this request over")

	// ErrNoChange is the error of a Change that is not known: that of a publish whose body was
	// not read to its end, and that of a read.
	ErrNoChange = errors.New("host: what a publish would do is known only when the whole body was read, and a read does nothing")
)

// An Identity is who a request comes from. The zero value is nobody.
type Identity struct {
	User       protocol.UserID
	Name       string
	Credential string // the credential's public ID: safe in logs
	Kind       policy.Kind
}

// An Operation is what the guard allowed, handed to the host with the
// preconditions of that permission.
type Operation struct {
	protocol.Operation

	// PackageID is the package that was judged. Between that judgement and the
	// host's write another request may create or replace the package, so the
	// host must make its write conditional on it: "" means that the package must
	// not exist yet. [hosttest.Run] proves that a host does.
	//
	// [hosttest.Run]: https://pkg.go.dev/github.com/npmauth/npmauth/host/hosttest#Run
	PackageID protocol.PackageID

	// OrgID is the organization that was judged, "" with any other action. It is a
	// precondition as PackageID is.
	OrgID protocol.OrgID

	guard Guard
}

// Confirm judges the operation once more, on what is true now: that the credential still
// holds, that its user still may, that PackageID and OrgID are still those of the package
// and the organization. It is for a host that takes its time between the end of the
// request's body and its own write, and calls this right before it. A factor that was shown
// once is not asked for again. An error is for wire.WriteError, and nothing may be written.
//
// The host is asked for its facts in the meantime, so it must hold no lock or transaction
// that they wait for. For a publish it is to be called when the whole body has been read.
func (o Operation) Confirm(ctx context.Context) error {
	if o.guard == nil {
		return ErrUnguarded
	}
	return o.guard.Confirm(ctx)
}

// Change returns what the request was allowed to do beyond what the operation names. A host
// does this and nothing else that a body says. With a publish it is known when the document
// has been read to its end without an error, and is [ErrNoChange] before; its Access is "" then
// where the package exists, whose visibility a publish does not change. It is ErrNoChange for a
// read.
func (o Operation) Change() (protocol.Change, error) {
	if o.guard == nil {
		return protocol.Change{}, ErrUnguarded
	}
	return o.guard.Change()
}

// A Guard is what a host may ask of the guard about a request that it has handed over. Its
// methods are those of [Operation] and [Readable].
type Guard interface {
	Change() (protocol.Change, error)
	Confirm(ctx context.Context) error
	Readable(ctx context.Context, pkg protocol.PackageName) (bool, error)
}

// A Context is the context of a request that a guard hands over. A guard makes it; a test of
// a host's handler may make one, too.
type Context struct {
	context.Context
	identity  Identity
	operation Operation
}

// NewContext returns the context with which a request by who, for op, is handed over. guard
// answers what the host asks of it; nil answers with [ErrUnguarded].
func NewContext(ctx context.Context, who Identity, op Operation, guard Guard) Context {
	op.guard = guard
	return Context{ctx, who, op}
}

type contextKey struct{}

// Value returns c itself for its own key.
func (c *Context) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// IdentityFrom returns who the guarded request of ctx comes from; false for the
// anonymous and outside of a guard.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok || c.identity.User == "" {
		return Identity{}, false
	}
	return c.identity, true
}

// OperationFrom returns what the guard allowed the request of ctx to do; false
// outside of a guard, and for routes that Config.Public let through.
func OperationFrom(ctx context.Context) (Operation, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok {
		return Operation{}, false
	}
	return c.operation, true
}

// Readable reports whether the request of ctx, which the guard handed over, may read
// pkg: by the policy, for the credential and from the address of the request, with the
// credential's grants and with the rights that [Packages] says its user has. It is for a
// host's own searches and lists, in which each package is left out that is not readable:
// a token for one package then sees no other private one of its user's.
//
// It is as good as a read of the package: [Packages] is asked, or an answer no older than
// Config.HostFresh is used, which is kept only about what may be read, so that a list
// costs no question to the host where its packages were read lately. Nothing is recorded.
// A package that does not exist is not readable, and neither is one for which the policy
// wants a second factor.
//
// Outside of a guarded request it is [ErrUnguarded], also on routes that Config.Public let
// through. With every error the answer is false.
func Readable(ctx context.Context, pkg protocol.PackageName) (bool, error) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok || c.operation.guard == nil {
		return false, ErrUnguarded
	}
	return c.operation.guard.Readable(ctx, pkg)
}
