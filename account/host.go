package account

import (
	"context"
	"errors"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A Directory implements every optional interface of [host.Users].
var _ interface {
	host.Users
	host.SignUp
	host.Profiles
	host.Passwords
	host.Services
} = (*Directory)(nil)

// Lookup is [Directory.ByName] for [host.Users].
func (d *Directory) Lookup(ctx context.Context, name string) (host.User, error) {
	u, err := d.ByName(ctx, name)
	return u.forHost(), err
}

// User is [Directory.ByID] for [host.Users].
func (d *Directory) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	return d.UserFrom(ctx, nil, id)
}

// UserFrom is [Directory.User] reading from r: a store, or a transaction. A nil r means the
// Directory's own store.
func (d *Directory) UserFrom(ctx context.Context, r store.Reader, id protocol.UserID) (host.User, error) {
	u, err := d.ByIDFrom(ctx, r, id)
	return u.forHost(), err
}

// SignIn returns the user with this name who may sign in, or [subject.ErrDenied] if nobody has the
// name or a service account has. It is the Lookup of a session.Config, beside
// [Directory.CheckPassword] and [Directory.Alive]:
//
//	sessions, err := session.New(session.Config{
//		Store: st, Lookup: people.SignIn, CheckPassword: people.CheckPassword, Alive: people.Alive, …
//	})
func (d *Directory) SignIn(ctx context.Context, name string) (subject.User, error) {
	u, err := d.ByName(ctx, name)
	if err = denied(u, err); err != nil {
		return subject.User{}, err
	}
	return subject.User{ID: u.ID, Name: u.Name}, nil
}

// Alive returns nil if a person has this ID, and [subject.ErrDenied] if nobody has or if it is a
// service account's, which has no sessions. It does not check whether the account is disabled:
// package session does, with package subject.
func (d *Directory) Alive(ctx context.Context, id protocol.UserID) error {
	return denied(d.ByID(ctx, id))
}

// denied returns why the user found must not sign in.
func denied(u User, err error) error {
	if errors.Is(err, ErrNoUser) || err == nil && u.Service {
		return subject.ErrDenied
	}
	return err
}

// SignUp is [Directory.Create] for [host.SignUp], by the client of [subject.WithClient].
func (d *Directory) SignUp(ctx context.Context, n host.NewUser) (protocol.UserID, error) {
	u, err := d.Create(ctx, by(ctx, ""), NewUser{Name: n.Name, Email: n.Email, Password: n.Password})
	return u.ID, err
}

// Profile returns the profile of a user, for [host.Profiles].
func (d *Directory) Profile(ctx context.Context, id protocol.UserID) (host.Profile, error) {
	u, err := d.ByID(ctx, id)
	return u.hostProfile(), err
}

// SetProfile prepares a change of a profile, for [host.Profiles]. The [host.Write] is
// [ErrChanged] if the profile has changed meanwhile.
func (d *Directory) SetProfile(_ context.Context, id protocol.UserID, was, is host.Profile) (host.Write, error) {
	return func(ctx context.Context) error {
		_, _, err := d.Update(ctx, by(ctx, id), id, func(email *string, p *Profile) error {
			if *email != was.Email || *p != ProfileOf(was) {
				return ErrChanged
			}
			*email, *p = is.Email, ProfileOf(is)
			return nil
		})
		return err
	}, nil
}

// EditProfile is [Directory.Edit] for a [host.Profile].
func (d *Directory) EditProfile(ctx context.Context, tx *store.Tx, by audit.Actor, id protocol.UserID, fn func(*host.Profile) error) (before, after host.Profile, err error) {
	if fn == nil {
		return host.Profile{}, host.Profile{}, errNoEdit
	}
	was, is, err := d.Edit(ctx, tx, by, id, func(email *string, p *Profile) error {
		next := User{Email: *email, Profile: *p}.hostProfile()
		if err := fn(&next); err != nil {
			return err
		}
		*email, *p = next.Email, ProfileOf(next)
		return nil
	})
	return was.hostProfile(), is.hostProfile(), err
}

// ChangePassword prepares a change of the password, for [host.Passwords]: it is
// [Directory.PrepareChange].
func (d *Directory) ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (host.Write, error) {
	c, err := d.PrepareChange(ctx, id, old, new)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return c.Commit(ctx, by(ctx, id)) }, nil
}

// by returns the actor with this ID, and with the IP address of [subject.WithClient].
func by(ctx context.Context, id protocol.UserID) audit.Actor {
	return audit.Actor{User: id, Addr: subject.ClientFrom(ctx).Addr}
}

// forHost returns u as a [host.User].
func (u User) forHost() host.User {
	return host.User{ID: u.ID, Name: u.Name, Email: u.Email, Created: u.Created, Service: u.Service}
}

func (u User) hostProfile() host.Profile {
	p := u.Profile
	return host.Profile{
		Email: u.Email, FullName: p.FullName, Homepage: p.Homepage, Freenode: p.Freenode, Twitter: p.Twitter, GitHub: p.GitHub, Updated: u.Updated,
	}
}

// ProfileOf returns a host's profile without its e-mail address and times.
func ProfileOf(p host.Profile) Profile {
	return Profile{FullName: p.FullName, Homepage: p.Homepage, Freenode: p.Freenode, Twitter: p.Twitter, GitHub: p.GitHub}
}
