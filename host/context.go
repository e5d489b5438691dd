package host

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Errors outside of a guarded request, or before a body was read.
var (
	ErrUnguarded = errors.New("host: no guard has handed this request over")

	// ErrNoChange is the error of a Change that is not known: that of a publish whose body was
	// not read to its end, and that of a read.
	ErrNoChange = errors.New("host: what a publish would do is known only when the whole body was read, and a read does nothing")
)

// An Identity is the user and credential of a request. The zero value is anonymous.
type Identity struct {
	User       protocol.UserID
	Name       string
	Credential string // the credential's public ID: safe in logs
	Kind       policy.Kind
}

// An Operation is what the guard allowed, with the preconditions of that permission.
type Operation struct {
	protocol.Operation

	// PackageID is the package that the guard decided on. Between the decision and the host's
	// write another request may create or replace the package, so the host must make its write
	// conditional on it: "" means that the package must not exist yet. [hosttest.Run] tests
	// that a host does.
	//
	// [hosttest.Run]: https://pkg.go.dev/github.com/npmauth/npmauth/host/hosttest#Run
	PackageID protocol.PackageID

	// OrgID is the organization that the guard decided on, "" with any other action. It is a
	// precondition as PackageID is.
	OrgID protocol.OrgID

	guard Guard
}

// Confirm decides on the operation once more, by the present state: that the credential is
// still valid, that its user still may, that PackageID and OrgID are still those of the package
// and the organization. It is for a host with a delay between the end of the request's body and
// its own write, which calls it just before the write. A second factor is not required a second
// time. An error is for wire.WriteError, and nothing may be written.
//
// Confirm calls the host's Facts, so the host must hold no lock or transaction that they wait
// for. For a publish, call it when the whole body has been read.
func (o Operation) Confirm(ctx context.Context) error {
	if o.guard == nil {
		return ErrUnguarded
	}
	return o.guard.Confirm(ctx)
}

// Change returns what the request was allowed to do beyond what the operation names. A host
// does this and nothing else in the body. For a publish it is known when the document has been
// read to its end without an error, and is [ErrNoChange] before; its Access is "" then if the
// package exists, whose visibility a publish does not change. It is ErrNoChange for a read.
func (o Operation) Change() (protocol.Change, error) {
	if o.guard == nil {
		return protocol.Change{}, ErrUnguarded
	}
	return o.guard.Change()
}

// A Guard implements the methods of [Operation] and [Readable] for a request that it passed to the
// host.
type Guard interface {
	Change() (protocol.Change, error)
	Confirm(ctx context.Context) error
	Readable(ctx context.Context, pkg protocol.PackageName) (bool, error)
}

// A Context is the context of a request that a guard passes to the host. A guard makes it; a
// test of a host's handler may make one, too.
type Context struct {
	context.Context
	identity  Identity
	operation Operation
}

// NewContext returns the context of a request by who, for op. guard implements Change, Confirm and
// Readable; nil means that they return [ErrUnguarded].
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

// IdentityFrom returns the user and credential of the guarded request of ctx; false if it is
// anonymous or not guarded.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok || c.identity.User == "" {
		return Identity{}, false
	}
	return c.identity, true
}

// OperationFrom returns what the guard allowed the request of ctx to do; false for a request
// without a guard, and for routes of Config.Public.
func OperationFrom(ctx context.Context) (Operation, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok {
		return Operation{}, false
	}
	return c.operation, true
}

// Readable reports whether the guarded request of ctx may read pkg: by the policy, for the
// credential and the IP address of the request, with the credential's grants and with the
// rights that [Packages] returns for its user. It is for a host's own searches and lists, which
// must omit each package that is not readable: a token for one package then sees no other
// private package of its user.
//
// It decides like a read of the package: it calls [Packages], or uses an answer no older than
// Config.HostFresh, which is kept only for packages that may be read, so that a list calls the
// host seldom if its packages were read lately. It records no event. A package that does not
// exist is not readable, and neither is one for which the policy requires a second factor.
//
// Outside of a guarded request it is [ErrUnguarded], also on routes of Config.Public. With
// every error the result is false.
func Readable(ctx context.Context, pkg protocol.PackageName) (bool, error) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok || c.operation.guard == nil {
		return false, ErrUnguarded
	}
	return c.operation.guard.Readable(ctx, pkg)
}
