package hosttest

import (
	"context"
	"sync"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// twoUsers is a host's table of two people.
type twoUsers struct {
	mu        sync.Mutex
	passwords map[protocol.UserID]credential.Secret // guarded by mu
	profiles  map[protocol.UserID]host.Profile      // guarded by mu
	careless  string
}

// ChangePassword is careless where the shop is.
func (t *twoUsers) ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (host.Write, error) {
	if ok, err := t.CheckPassword(ctx, id, old); err != nil || !ok {
		return nil, host.ErrWrongPassword
	}
	write := func(context.Context) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.passwords[id].Equal(old) && t.careless != "writes over passwords" {
			return host.ErrWrongPassword
		}
		t.passwords[id] = new
		return nil
	}
	if t.careless == "writes at once" {
		return func(context.Context) error { return nil }, write(ctx)
	}
	return write, nil
}

// Profile returns what was set.
func (t *twoUsers) Profile(_ context.Context, id protocol.UserID) (host.Profile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.profiles[id], nil
}

// SetProfile is careless where the shop is.
func (t *twoUsers) SetProfile(ctx context.Context, id protocol.UserID, _, is host.Profile) (host.Write, error) {
	write := func(context.Context) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.profiles == nil {
			t.profiles = make(map[protocol.UserID]host.Profile)
		}
		is.EmailVerified = is.EmailVerified || t.careless == "believes addresses of people"
		t.profiles[id] = is
		return nil
	}
	if t.careless == "writes at once" {
		return func(context.Context) error { return nil }, write(ctx)
	}
	return write, nil
}

var people = []host.User{{ID: "u-1", Name: "ada"}, {ID: "u-2", Name: "bob"}}

func (*twoUsers) Lookup(_ context.Context, name string) (host.User, error) {
	for _, u := range people {
		if u.Name == name {
			return u, nil
		}
	}
	return host.User{}, host.ErrNoUser
}

func (t *twoUsers) User(_ context.Context, id protocol.UserID) (host.User, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range people {
		if u.ID == id {
			if t.careless != "forgets addresses" {
				u.Email = t.profiles[id].Email
			}
			return u, nil
		}
	}
	return host.User{}, host.ErrNoUser
}

func (t *twoUsers) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !pw.IsZero() && pw.Equal(t.passwords[id]), nil
}

// change returns how a host of this carelessness changes a password.
func (t *twoUsers) change(careless string) func(context.Context, *npmauth.Auth, protocol.UserID, credential.Secret) error {
	return func(ctx context.Context, auth *npmauth.Auth, id protocol.UserID, pw credential.Secret) error {
		t.mu.Lock()
		if t.passwords == nil {
			t.passwords = make(map[protocol.UserID]credential.Secret)
		}
		t.passwords[id] = pw
		t.mu.Unlock()
		if careless == "keeps sessions" {
			return nil
		}
		return auth.PasswordChanged(ctx, id)
	}
}
