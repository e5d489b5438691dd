package npmauth

import (
	"context"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

// DirectoryUsers returns the people of package account as a [Users] with sign-up, profiles,
// passwords and service accounts. Where d was made with the very value that
// [Config].Store is, what npmauth changes of its people is part of the commit that the
// request was judged in, and is recorded in that commit; see [Auth.People], which is then the
// directory to change people with. Elsewhere it is a host's table like any other.
func DirectoryUsers(d *account.Directory) Users { return directory{d} }

// directory makes an [account.Directory] a [Users].
type directory struct{ d *account.Directory }

func (u directory) Lookup(ctx context.Context, name string) (User, error) {
	return userOf(u.d.Lookup(ctx, name))
}

func (u directory) User(ctx context.Context, id policy.UserID) (User, error) {
	return userOf(u.d.ByID(ctx, id))
}

func (u directory) CheckPassword(ctx context.Context, id policy.UserID, pw credential.Secret) (bool, error) {
	return u.d.CheckPassword(ctx, id, pw)
}

func (u directory) Administers(ctx context.Context, admin policy.UserID, service string) (User, bool, error) {
	p, administers, err := u.d.Administers(ctx, admin, service)
	user, err := userOf(p, err)
	return user, administers, err
}

func (u directory) SignUp(ctx context.Context, n NewUser) (policy.UserID, error) {
	user, err := u.d.Create(ctx, by(ctx, ""), account.NewUser{Name: n.Name, Email: n.Email, Password: n.Password})
	return user.ID, err
}

func (u directory) Profile(ctx context.Context, id policy.UserID) (Profile, error) {
	p, err := u.d.ByID(ctx, id)
	return profileOf(p), err
}

func (u directory) SetProfile(_ context.Context, id policy.UserID, was, is Profile) (Write, error) {
	return func(ctx context.Context) error {
		_, _, err := u.d.Update(ctx, by(ctx, id), id, func(email *string, p *account.Profile) error {
			if *email != was.Email || *p != was.said() {
				return errProfileMoved
			}
			*email, *p = is.Email, is.said()
			return nil
		})
		return err
	}, nil
}

func (u directory) ChangePassword(ctx context.Context, id policy.UserID, old, new credential.Secret) (Write, error) {
	c, err := u.d.ChangePassword(ctx, id, old, new)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return c.Commit(ctx, by(ctx, id)) }, nil
}

// by is who asks, as far as ctx says it.
func by(ctx context.Context, id policy.UserID) audit.Actor {
	client, _ := ctx.Value(clientKey{}).(session.Client)
	return audit.Actor{User: id, Addr: client.Addr}
}

func userOf(p account.User, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	return User{ID: p.ID, Name: p.Name, Email: p.Email, Created: p.Created, Service: p.Service}, nil
}

func profileOf(u account.User) Profile {
	p := u.Profile
	return Profile{
		Email: u.Email, FullName: p.FullName, Homepage: p.Homepage, Freenode: p.Freenode, Twitter: p.Twitter, GitHub: p.GitHub, Updated: u.Updated,
	}
}

// said is the part of a profile that package account keeps beside the address.
func (p Profile) said() account.Profile {
	return account.Profile{FullName: p.FullName, Homepage: p.Homepage, Freenode: p.Freenode, Twitter: p.Twitter, GitHub: p.GitHub}
}

// An inStore is a [Users] whose rows lie in [Config].Store: what is read and written of them
// is part of npmauth's own commits.
type inStore struct{ directory }

// keepsPeople reports whether the people are in cfg.Store.
func keepsPeople(cfg Config) bool {
	u, ok := cfg.Users.(directory)
	return cfg.Users == nil || ok && u.d.Uses(cfg.Store)
}

// within returns u as it is used in the store of a.
func (a *Auth) within(u directory) *inStore {
	return &inStore{directory{u.d.Within(a.store, a.events, a.namesOrg)}}
}

// key returns the key of a user's row.
func (u inStore) key(id policy.UserID) string { return account.PersonKey(id) }

// userFrom is User as r has it.
func (u inStore) userFrom(ctx context.Context, r store.Reader, id policy.UserID) (User, error) {
	return userOf(u.d.ByIDFrom(ctx, r, id))
}

// edit changes a profile in the caller's commit.
func (u inStore) edit(ctx context.Context, tx *store.Tx, by audit.Actor, id policy.UserID, want details) (before, after Profile, err error) {
	was, is, err := u.d.Edit(ctx, tx, by, id, func(email *string, p *account.Profile) error {
		next := profileOf(account.User{Email: *email, Profile: *p})
		if err := want.apply(&next); err != nil {
			return err
		}
		*email, *p = next.Email, next.said()
		return nil
	})
	return profileOf(was), profileOf(is), err
}
