package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A panicError is a panic of the host's tables or of the store: an outage, and so a
// refusal, wherever they are asked. Its text leaves out what they panicked with, which may
// quote what was being looked up.
type panicError struct{ stack []byte }

func (*panicError) Error() string { return "npmauth: panic in the host's tables or in the store" }

func isPanic(err error) bool {
	_, ok := errors.AsType[*panicError](err)
	return ok
}

// Call returns what fn returns, and an error if it panics. An error after ctx was cancelled is
// [context.Canceled], too: many drivers have words of their own for a query that was interrupted.
func Call[T any](ctx context.Context, fn func() (T, error)) (v T, err error) {
	defer func() {
		if recover() != nil {
			var none T
			v, err = none, &panicError{debug.Stack()}
		}
	}()
	v, err = fn()
	if err != nil && errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return v, err
}

// The host's tables, with their panics as errors.
type (
	guardedUsers     struct{ host.Users }
	guardedPackages  struct{ host.Packages }
	guardedDocuments struct{ host.Documents }
	guardedOrgs      struct{ host.Orgs }
	guardedServices  struct{ host.Services }
	guardedSignUp    struct{ host host.SignUp }
	guardedProfiles  struct{ host.Profiles }
	guardedPasswords struct{ host.Passwords }

	guardedMemberships struct{ host host.Memberships }
	guardedFactorRules struct{ host host.FactorRules }
	guardedUserScopes  struct{ host host.UserScopes }
	guardedTarballs    struct{ host host.Tarballs }
)

func (g guardedUsers) Lookup(ctx context.Context, name string) (host.User, error) {
	return Call(ctx, func() (host.User, error) { return g.Users.Lookup(ctx, name) })
}

func (g guardedUsers) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	return Call(ctx, func() (host.User, error) { return g.Users.User(ctx, id) })
}

func (g guardedUsers) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	return Call(ctx, func() (bool, error) { return g.Users.CheckPassword(ctx, id, pw) })
}

func (g guardedPackages) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	return Call(ctx, func() (policy.Facts, error) { return g.Packages.Facts(ctx, pkg, user) })
}

func (g guardedDocuments) Document(ctx context.Context, pkg protocol.PackageName) (host.Document, error) {
	return Call(ctx, func() (host.Document, error) { return g.Documents.Document(ctx, pkg) })
}

func (g guardedOrgs) OrgFacts(ctx context.Context, org string, user protocol.UserID) (policy.OrgFacts, error) {
	return Call(ctx, func() (policy.OrgFacts, error) { return g.Orgs.OrgFacts(ctx, org, user) })
}

func (g guardedOrgs) FactorRequired(ctx context.Context, user protocol.UserID) (bool, error) {
	return Call(ctx, func() (bool, error) { return g.Orgs.FactorRequired(ctx, user) })
}

func (g guardedMemberships) Memberships(ctx context.Context, user protocol.UserID) ([]host.Membership, error) {
	return Call(ctx, func() ([]host.Membership, error) { return g.host.Memberships(ctx, user) })
}

func (g guardedFactorRules) SetRequireFactor(ctx context.Context, org protocol.OrgID, require bool) (host.Write, error) {
	return guardedWrite(Call(ctx, func() (host.Write, error) { return g.host.SetRequireFactor(ctx, org, require) }))
}

func (g guardedUserScopes) OwnScope(ctx context.Context, user protocol.UserID) (string, error) {
	return Call(ctx, func() (string, error) { return g.host.OwnScope(ctx, user) })
}

func (g guardedTarballs) StagedTarball(ctx context.Context, id string) (io.ReadCloser, error) {
	return Call(ctx, func() (io.ReadCloser, error) { return g.host.StagedTarball(ctx, id) })
}

func (g guardedTarballs) PublishedTarball(ctx context.Context, pkg protocol.PackageID, version string) (io.ReadCloser, error) {
	return Call(ctx, func() (io.ReadCloser, error) { return g.host.PublishedTarball(ctx, pkg, version) })
}

func (g guardedServices) Administers(ctx context.Context, admin protocol.UserID, service string) (host.User, bool, error) {
	type answer struct {
		user        host.User
		administers bool
	}
	a, err := Call(ctx, func() (a answer, err error) {
		a.user, a.administers, err = g.Services.Administers(ctx, admin, service)
		return a, err
	})
	return a.user, a.administers, err
}

func (g guardedSignUp) SignUp(ctx context.Context, n host.NewUser) (protocol.UserID, error) {
	return Call(ctx, func() (protocol.UserID, error) { return g.host.SignUp(ctx, n) })
}

func (g guardedProfiles) Profile(ctx context.Context, id protocol.UserID) (host.Profile, error) {
	return Call(ctx, func() (host.Profile, error) { return g.Profiles.Profile(ctx, id) })
}

func (g guardedProfiles) SetProfile(ctx context.Context, id protocol.UserID, was, is host.Profile) (host.Write, error) {
	return guardedWrite(Call(ctx, func() (host.Write, error) { return g.Profiles.SetProfile(ctx, id, was, is) }))
}

func (g guardedPasswords) ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (host.Write, error) {
	return guardedWrite(Call(ctx, func() (host.Write, error) { return g.Passwords.ChangePassword(ctx, id, old, new) }))
}

var errNoWrite = errors.New("npmauth: the host prepared no Write")

// guardedWrite is what the host prepared, as it is called here.
func guardedWrite(write host.Write, err error) (host.Write, error) {
	switch {
	case err != nil:
		return nil, err
	case write == nil:
		return nil, errNoWrite
	}
	return func(ctx context.Context) error {
		_, err := Call(ctx, func() (struct{}, error) { return struct{}{}, write(ctx) })
		return err
	}, nil
}

// guardedForeign returns foreign with its panics as errors.
func guardedForeign(foreign func(context.Context, credential.Secret) (host.ForeignToken, error)) func(context.Context, credential.Secret) (host.ForeignToken, error) {
	return func(ctx context.Context, bearer credential.Secret) (host.ForeignToken, error) {
		return Call(ctx, func() (host.ForeignToken, error) { return foreign(ctx, bearer) })
	}
}
