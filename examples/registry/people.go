package main

import (
	"context"
	"errors"
	"sync"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/protocol"
)

// People are the users, whom npmauth keeps for this registry. Its own tables have their IDs;
// names are for people.
type people struct {
	directory *account.Directory
	names     sync.Map // cached by ID: names never change
}

// errNoUser means that no user has the name.
var errNoUser = errors.New("no such user")

// id returns the user of that name, or errNoUser.
func (p *people) id(ctx context.Context, name string) (protocol.UserID, error) {
	user, err := p.directory.Lookup(ctx, name)
	if errors.Is(err, account.ErrNoUser) {
		return "", errNoUser
	}
	return user.ID, err
}

// ids returns the users of these names, or an answer that names the missing one.
func (p *people) ids(ctx context.Context, names []string) ([]protocol.UserID, error) {
	ids := make([]protocol.UserID, len(names))
	for i, name := range names {
		var err error
		if ids[i], err = p.id(ctx, name); err != nil {
			return nil, noUser(err, name)
		}
	}
	return ids, nil
}

// name returns the name of a user, "" if there is no such user any more.
func (p *people) name(ctx context.Context, id protocol.UserID) (string, error) {
	if name, ok := p.names.Load(id); ok {
		return name.(string), nil
	}
	user, err := p.directory.ByID(ctx, id)
	if errors.Is(err, account.ErrNoUser) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	p.names.Store(id, user.Name)
	return user.Name, nil
}

// list returns the names of users in their order, without unknown ones.
func (p *people) list(ctx context.Context, ids []protocol.UserID) ([]string, error) {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		name, err := p.name(ctx, id)
		if err != nil {
			return nil, err
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}
