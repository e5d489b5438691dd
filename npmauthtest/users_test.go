package npmauthtest

import (
	"context"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
)

// twoUsers is a host's table of two people.
type twoUsers struct{}

var people = []npmauth.User{{ID: "u-1", Name: "ada"}, {ID: "u-2", Name: "bob"}}

func (twoUsers) Lookup(_ context.Context, name string) (npmauth.User, error) {
	for _, u := range people {
		if u.Name == name {
			return u, nil
		}
	}
	return npmauth.User{}, npmauth.ErrNoUser
}

func (twoUsers) User(_ context.Context, id policy.UserID) (npmauth.User, error) {
	for _, u := range people {
		if u.ID == id {
			return u, nil
		}
	}
	return npmauth.User{}, npmauth.ErrNoUser
}

func (twoUsers) CheckPassword(context.Context, policy.UserID, credential.Secret) (bool, error) {
	return false, nil
}
