package npmauthtest

import (
	"context"
	"sync"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
)

// twoUsers is a host's table of two people.
type twoUsers struct {
	mu        sync.Mutex
	passwords map[policy.UserID]credential.Secret // guarded by mu
}

var people = []npmauth.User{{ID: "u-1", Name: "ada"}, {ID: "u-2", Name: "bob"}}

func (*twoUsers) Lookup(_ context.Context, name string) (npmauth.User, error) {
	for _, u := range people {
		if u.Name == name {
			return u, nil
		}
	}
	return npmauth.User{}, npmauth.ErrNoUser
}

func (*twoUsers) User(_ context.Context, id policy.UserID) (npmauth.User, error) {
	for _, u := range people {
		if u.ID == id {
			return u, nil
		}
	}
	return npmauth.User{}, npmauth.ErrNoUser
}

func (t *twoUsers) CheckPassword(_ context.Context, id policy.UserID, pw credential.Secret) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !pw.IsZero() && pw.Equal(t.passwords[id]), nil
}

// change returns how a host of this carelessness changes a password.
func (t *twoUsers) change(careless string) func(context.Context, *npmauth.Auth, policy.UserID, credential.Secret) error {
	return func(ctx context.Context, auth *npmauth.Auth, id policy.UserID, pw credential.Secret) error {
		t.mu.Lock()
		if t.passwords == nil {
			t.passwords = make(map[policy.UserID]credential.Secret)
		}
		t.passwords[id] = pw
		t.mu.Unlock()
		if careless == "keeps sessions" {
			return nil
		}
		return auth.PasswordChanged(ctx, id)
	}
}
