package host

import (
	"context"
	"errors"
	"time"

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

// An Identity is the user, or the trusted publisher, and the credential of a request. The zero value is
// anonymous.
type Identity struct {
	User       protocol.UserID
	Name       string
	Credential string // the credential's public ID: safe in logs
	Kind       policy.Kind
	// Publisher is the trusted publisher whose job sends the request, which has no user then: User and Name
	// are "". It is nil for all others.
	Publisher *Publisher
}

// A Publisher is a trusted publisher, and what the CI system has said of the job that it runs. It must not
// be changed.
type Publisher struct {
	ID     string            // of the trusted publisher's configuration
	Type   string            // github, gitlab, circleci, oidc or custom
	Issuer string            // the URL of who signed the ID token
	Run    map[string]string // claims of the ID token, such as repository, ref, sha and run_id
	// Owner is the user for whom the job creates the package that it publishes: who has saved the trusted publisher
	// while it was pending, and is the first owner. It is "" for a package that exists.
	Owner protocol.UserID
}

// Owns returns the user who owns a package that i creates: the User, or the Owner of its Publisher.
func (i Identity) Owns() protocol.UserID {
	if i.Publisher != nil {
		return i.Publisher.Owner
	}
	return i.User
}

// NPMUser is _npmUser of a version's document: who published it. Email is a member also where it is "": npm view
// prints "undefined" of one that is missing.
type NPMUser struct {
	Name             string            `json:"name"`
	Email            string            `json:"email"`
	TrustedPublisher *TrustedPublisher `json:"trustedPublisher,omitempty"`
	Approver         *Person           `json:"approver,omitempty"` // of a version that was staged
}

// Evidence returns what u says of how a version was published, for [policy.Facts]. It is for a host that stores u
// with its versions.
func (u NPMUser) Evidence() policy.Evidence {
	var e policy.Evidence
	if u.TrustedPublisher != nil {
		e |= policy.EvidencePublisher
	}
	if u.Approver != nil {
		e |= policy.EvidenceApproval
	}
	return e
}

// A TrustedPublisher is the evidence in _npmUser that a version was published by a trusted publisher, which pnpm
// compares with that of earlier versions.
type TrustedPublisher struct {
	ID       string `json:"id"`           // the CI system: github, gitlab, circleci, …
	ConfigID string `json:"oidcConfigId"` // which configuration of it, with oidc: before its ID
}

// publisherNames are what npmjs.com calls the publishers.
var publisherNames = map[string]string{"github": "GitHub Actions", "gitlab": "GitLab CI/CD", "circleci": "CircleCI"}

// NPMUser returns what a registry stores as _npmUser of a version that i publishes. email is that of the user,
// and is not used for a trusted publisher.
func (i Identity) NPMUser(email string) NPMUser {
	p := i.Publisher
	if p == nil {
		return NPMUser{Name: i.Name, Email: email}
	}
	name := publisherNames[p.Type]
	if name == "" {
		name = "Trusted publisher"
	}
	return NPMUser{Name: name, TrustedPublisher: &TrustedPublisher{ID: p.Type, ConfigID: "oidc:" + p.ID}}
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

	// Staged is the staged version that a ReadStaged, ApproveStaged or RejectStaged is about, nil with any
	// other action. The host keeps what was sent of it under its ID.
	Staged *Staged

	guard Guard
}

// A Staged is a staged version. It must not be changed.
type Staged struct {
	ID      string
	Version string
	By      Identity // who staged it, without the Kind of a user's credential
	// Approvers are those who have approved it, as many as the package needs with ApproveStaged: the last is the
	// sender of the request.
	Approvers []Approver
}

// An Approver has approved a staged version.
type Approver struct {
	User protocol.UserID
	Name string
	At   time.Time
}

// NPMUser returns what a registry stores as _npmUser of a version that was approved: who staged it, and who
// approved it last. The addresses are those of the two, and not used for a trusted publisher.
func (s *Staged) NPMUser(email, approver string) NPMUser {
	user := s.By.NPMUser(email)
	if n := len(s.Approvers); n > 0 {
		user.Approver = &Person{Name: s.Approvers[n-1].Name, Email: approver}
	}
	return user
}

// A Person is a name and an e-mail address.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
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

// Created tells npmauth that the package exists which the request was allowed to create, under this ID. A host calls it
// for each package that a publish or an ApproveStaged creates, one with PackageID "", whoever sends the request: after the
// package is durable, so that [Packages] has it, and before it answers.
//
// If a pending trusted publisher has created the package, then that is one of its trusted publishers from then on. What
// others have pending for the name is gone. Without the call the pending trusted publisher creates nothing any more, and
// is none of the package, since nothing else says who created it.
//
// It does nothing for an operation that creates no package. An error says that npmauth's store or Packages failed, or that
// Packages knows the name under no or another ID. The package exists all the same: log the error and answer as usual; its
// owner can add the trusted publisher with npm trust. Created calls Facts, so the host must hold no lock or transaction that
// they wait for.
func (o Operation) Created(ctx context.Context, id protocol.PackageID) error {
	if o.guard == nil {
		return ErrUnguarded
	}
	return o.guard.Created(ctx, id)
}

// Change returns what the request was allowed to do beyond what the operation names. A host
// does this and nothing else in the body. For a publish it is known when the document has been
// read to its end without an error, and is [ErrNoChange] before; its Access is "" then if the
// package exists, whose visibility a publish does not change. Of the approval of a staged version
// it is what publishing that does now. It is ErrNoChange for a read.
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
	Created(ctx context.Context, id protocol.PackageID) error
	Readable(ctx context.Context, pkg protocol.PackageName) (bool, error)
}

// A Context is the context of a request that a guard passes to the host. A guard makes it; a
// test of a host's handler may make one, too.
type Context struct {
	context.Context
	identity  Identity
	operation Operation
}

// NewContext returns the context of a request by who, for op. guard implements Change, Confirm, Created
// and Readable; nil means that they return [ErrUnguarded].
func NewContext(ctx context.Context, who Identity, op Operation, guard Guard) Context {
	op.guard = guard
	return Context{ctx, who, op}
}

// WithStaged returns c with the staged version that its operation is about.
func (c Context) WithStaged(s *Staged) Context {
	c.operation.Staged = s
	return c
}

type contextKey struct{}

// Value returns c itself for its own key.
func (c *Context) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// IdentityFrom returns who sends the guarded request of ctx, with which credential; false if it is
// anonymous or not guarded.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	if !ok || c.identity.User == "" && c.identity.Publisher == nil {
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
