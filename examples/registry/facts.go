package main

import (
	"context"
	"errors"
	"strings"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
)

// Facts answers npmauth's one question about packages: what is true of this one
// for that user, now. Whoever created a package owns it; anyone signed in may
// take an unscoped name that is free, and @name belongs to the user name.
type facts struct {
	db *database
	// nameOf returns the name of a user.
	nameOf func(context.Context, policy.UserID) (string, error)
}

// Facts implements [npmauth.Packages].
func (f facts) Facts(ctx context.Context, name policy.PackageName, user policy.UserID) (policy.Facts, error) {
	p, err := f.db.find(ctx, name.String())
	switch {
	case errors.Is(err, errNoPackage):
		may, err := f.mayCreate(ctx, name, user)
		return policy.Facts{MayCreate: may}, err
	case err != nil:
		return policy.Facts{}, err
	}
	about := policy.Facts{ID: p.ID, Private: p.Private}
	switch {
	case user == "":
	case user == p.Owner:
		about.Rights = policy.RightRead | policy.RightWrite | policy.RightAdmin
	case !p.Private:
		about.Rights = policy.RightRead
	}
	return about, nil
}

func (f facts) mayCreate(ctx context.Context, name policy.PackageName, user policy.UserID) (bool, error) {
	// Upper case is for packages of long ago; a new one could pass for another.
	if s := name.String(); user == "" || s != strings.ToLower(s) {
		return false, nil
	}
	if name.Scope == "" {
		return true, nil
	}
	own, err := f.nameOf(ctx, user)
	if err != nil {
		return false, err
	}
	return name.Scope == own, nil
}

var _ npmauth.Packages = facts{}
