package hosttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// errPanic is the error of a table of the registry that panicked.
var errPanic = errors.New("hosttest: the registry panicked")

// caught is deferred around calls of the registry: a panic fails the case, when it has ended,
// and not the whole run. fail is called after one; nil does nothing.
func (x *rig) caught(what string, fail func()) {
	p := recover()
	switch p {
	case nil:
		return
	case http.ErrAbortHandler: // a handler's own way to end a request
		panic(p)
	}
	x.mu.Lock()
	x.panics = append(x.panics, fmt.Sprintf("%s panicked: %v\n%s", what, p, debug.Stack()))
	x.mu.Unlock()
	if fail != nil {
		fail()
	}
}

// report fails a case in which the registry panicked. It omits panics of a request that is
// still under way.
func (x *rig) report(t tb) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.panics {
		assert.Fail(t, "the registry's "+p)
	}
}

// serve passes a request to the registry.
func (x *rig) serve(w http.ResponseWriter, r *http.Request) {
	defer x.caught("Handler, at "+r.Method+" "+r.URL.EscapedPath()+",", func() { w.WriteHeader(http.StatusInternalServerError) })
	x.Handler.ServeHTTP(w, r)
}

// aborts reports whether fn ends with [http.ErrAbortHandler].
func (x *rig) aborts(fn func()) (aborted bool) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			aborted = true
		} else if p != nil {
			panic(p)
		}
	}()
	fn()
	return false
}

// watched returns reg with tables whose panics are reported.
func (x *rig) watched(reg Registry) Registry {
	reg.Packages = watchedPackages{reg.Packages, x}
	if reg.Documents != nil {
		reg.Documents = watchedDocuments{reg.Documents, x}
	}
	if reg.Users != nil {
		reg.Users = watchedUsers{reg.Users, x}
	}
	if reg.Orgs != nil {
		reg.Orgs = watchedOrgs{reg.Orgs, x}
	}
	return reg
}

type (
	watchedPackages struct {
		host.Packages
		x *rig
	}
	watchedDocuments struct {
		host.Documents
		x *rig
	}
	watchedUsers struct {
		host.Users
		x *rig
	}
	watchedOrgs struct {
		host.Orgs
		x *rig
	}
)

func (p watchedPackages) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (f policy.Facts, err error) {
	defer p.x.caught("Packages.Facts", func() { f, err = policy.Facts{}, errPanic })
	return p.Packages.Facts(ctx, pkg, user)
}

func (d watchedDocuments) Document(ctx context.Context, pkg protocol.PackageName) (doc host.Document, err error) {
	defer d.x.caught("Documents.Document", func() { doc, err = host.Document{}, errPanic })
	return d.Documents.Document(ctx, pkg)
}

func (u watchedUsers) Lookup(ctx context.Context, name string) (user host.User, err error) {
	defer u.x.caught("Users.Lookup", func() { user, err = host.User{}, errPanic })
	return u.Users.Lookup(ctx, name)
}

func (u watchedUsers) User(ctx context.Context, id protocol.UserID) (user host.User, err error) {
	defer u.x.caught("Users.User", func() { user, err = host.User{}, errPanic })
	return u.Users.User(ctx, id)
}

func (u watchedUsers) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (ok bool, err error) {
	defer u.x.caught("Users.CheckPassword", func() { ok, err = false, errPanic })
	return u.Users.CheckPassword(ctx, id, pw)
}

func (o watchedOrgs) OrgFacts(ctx context.Context, org string, user protocol.UserID) (f policy.OrgFacts, err error) {
	defer o.x.caught("Orgs.OrgFacts", func() { f, err = policy.OrgFacts{}, errPanic })
	return o.Orgs.OrgFacts(ctx, org, user)
}

func (o watchedOrgs) FactorRequired(ctx context.Context, user protocol.UserID) (required bool, err error) {
	defer o.x.caught("Orgs.FactorRequired", func() { required, err = false, errPanic })
	return o.Orgs.FactorRequired(ctx, user)
}
