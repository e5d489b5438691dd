package main

import (
	"cmp"
	"context"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// stranger is a bcrypt hash of the cost that the table's have: who is in no row takes as long as who is.
const stranger = "$2a$10$11ih6mwNRjPn/gGXNxZqH.dbckFBZUA6Bh9e6r12x8IlrR4BQUzz."

// Users is a table of names and bcrypt hashes, as an htpasswd file has them. A name is its user's
// ID, so no line is ever removed: who has left has no hash, and nobody else gets the name.
type users struct {
	hashes map[string]string
	hasher *account.Hasher // verifies bcrypt, a few at a time
}

// Lookup implements [host.Users].
func (u users) Lookup(ctx context.Context, name string) (host.User, error) {
	return u.User(ctx, protocol.UserID(name))
}

// User implements [host.Users].
func (u users) User(_ context.Context, id protocol.UserID) (host.User, error) {
	hash, known := u.hashes[string(id)]
	if !known {
		return host.User{}, host.ErrNoUser
	}
	return host.User{ID: id, Name: string(id), Disabled: hash == ""}, nil
}

// CheckPassword implements [host.Users].
func (u users) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	hash := u.hashes[string(id)]
	ok, _, err := u.hasher.Verify(ctx, cmp.Or(hash, stranger), pw)
	return ok && hash != "", err
}
