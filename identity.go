package npmauth

import (
	"context"

	"github.com/npmauth/npmauth/policy"
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

	body *publishReader
}

// Changes is what a request body was allowed to change. A host applies these
// and nothing else that the body says.
type Changes struct {
	Version     string            // the one new version
	Tags        map[string]string // dist-tags, all naming Version
	Access      string            // "public", "restricted", or "" where the body is silent
	Attachments []string          // names below _attachments, as the body writes them
}

// Changes returns what a publish was allowed to change. It is known when the
// body has been read to its end without an error, and is an error before.
func (o Operation) Changes() (Changes, error) {
	if o.body == nil {
		return Changes{}, errNoChanges
	}
	return o.body.changes()
}

type passKey struct{}

// A pass travels in the context of a request that the guard let through.
type pass struct {
	identity  Identity
	operation Operation
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
