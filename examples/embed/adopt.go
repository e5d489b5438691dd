package main

import (
	"context"
	"crypto/sha256"
	"net/http"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// adopt puts npmauth in front of the app. Its people keep their names and
// passwords, and its API tokens keep reading.
func adopt(a *app, baseURL string, st store.Store) (*npmauth.Auth, error) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	if err != nil {
		return nil, err
	}
	return npmauth.New(npmauth.Config{
		BaseURL:  baseURL,
		Store:    st,
		Users:    users{a, hasher},
		Packages: packages{a},
		Foreign:  a.foreign,
		Public: func(r *http.Request) bool { // what the app has besides packages
			return r.URL.Path == "/" || r.URL.Path == "/healthz"
		},
	})
}

// Users shows npmauth the app's table of people.
type users struct {
	*app
	hasher *account.Hasher // understands bcrypt, and keeps a crowd of logins from taking the machine
}

// Lookup implements [npmauth.Users].
func (u users) Lookup(_ context.Context, name string) (npmauth.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, p := range u.people {
		if i > 0 && p.name == name {
			return u.user(i), nil
		}
	}
	return npmauth.User{}, npmauth.ErrNoUser
}

// User implements [npmauth.Users].
func (u users) User(_ context.Context, id policy.UserID) (npmauth.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := personNumber(id)
	if err != nil || n < 1 || n >= len(u.people) {
		return npmauth.User{}, npmauth.ErrNoUser
	}
	return u.user(n), nil
}

// user is called with mu held.
func (u users) user(n int) npmauth.User {
	p := u.people[n]
	return npmauth.User{ID: personID(n), Name: p.name, Email: p.email, Disabled: p.left}
}

// CheckPassword implements [npmauth.Users]. The hash of nobody is "", for which
// Verify takes its time, too.
func (u users) CheckPassword(ctx context.Context, id policy.UserID, pw credential.Secret) (bool, error) {
	ok, _, err := u.hasher.Verify(ctx, u.hashOf(id), pw)
	return ok, err
}

// setPassword is what the app's own page calls when a person has chosen another password:
// as it was, but for what it tells npmauth at the end, which ends what the old one opened.
func (u users) setPassword(ctx context.Context, auth *npmauth.Auth, id policy.UserID, pw credential.Secret) error {
	hash, err := u.hasher.Hash(ctx, pw)
	if err != nil {
		return err
	}
	if err := u.storeHash(id, hash); err != nil {
		return err
	}
	return auth.PasswordChanged(ctx, id)
}

func (u users) storeHash(id policy.UserID, hash string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := personNumber(id)
	if err != nil || n < 1 || n >= len(u.people) {
		return npmauth.ErrNoUser
	}
	u.people[n].hash = hash
	return nil
}

func (u users) hashOf(id policy.UserID) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := personNumber(id)
	if err != nil || n < 1 || n >= len(u.people) {
		return ""
	}
	return u.people[n].hash
}

// Packages shows npmauth the app's table of packages: the company's own, which
// its people read and their creator writes.
type packages struct{ *app }

// Facts implements [npmauth.Packages].
func (p packages) Facts(_ context.Context, name policy.PackageName, user policy.UserID) (policy.Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pkg := p.packages[name.String()]
	if pkg == nil {
		return policy.Facts{MayCreate: user != ""}, nil
	}
	facts := policy.Facts{ID: packageID(pkg), Private: true}
	if user != "" {
		facts.Rights = policy.RightRead
	}
	if user == personID(pkg.owner) {
		facts.Rights |= policy.RightWrite | policy.RightAdmin
	}
	return facts, nil
}

// foreign knows the app's older API tokens, which could always read everything
// that their person can.
func (a *app) foreign(_ context.Context, bearer credential.Secret) (npmauth.ForeignToken, error) {
	digest := sha256.Sum256([]byte(bearer.Reveal()))
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.tokens[digest]
	if !ok {
		return npmauth.ForeignToken{}, npmauth.ErrInvalidToken
	}
	return npmauth.ForeignToken{
		ID:     "api-token-of-" + a.people[n].name,
		User:   personID(n),
		Grants: []policy.Grant{{Target: policy.AllPackages, Permission: policy.ReadOnly}},
	}, nil
}

var (
	_ npmauth.Users    = users{}
	_ npmauth.Packages = packages{}
	_ http.Handler     = (*app)(nil)
)
