package api

import (
	"context"
	"errors"
	"strings"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/wire"
)

// signUp creates an account, where that is open to anyone.
//
// A taken name is found before any fault of the password: a wrong one, typed for
// an account that exists, must not be judged as a new one.
func (a *API) signUp(ctx context.Context, name, email string, pw credential.Secret) error {
	switch _, err := a.Users.Lookup(ctx, name); {
	case err == nil:
		return host.ErrNameTaken
	case !errors.Is(err, host.ErrNoUser):
		return err
	}
	if a.Directory == nil { // package account asks by itself, when it knows that it could be a name
		switch taken, err := a.NamesOrg(ctx, name); {
		case err != nil:
			return err
		case taken:
			return host.ErrNameTaken
		}
	}
	id, err := a.SignUps.SignUp(ctx, host.NewUser{Name: name, Email: email, Password: pw})
	if err == nil && a.Directory == nil {
		client, _ := authz.ClientFrom(ctx)
		e := audit.Event{Type: audit.SignUp, Outcome: audit.Done, User: id}
		a.Events.Record(ctx, e.From(audit.Actor{Addr: client.Addr}))
	}
	return err
}

// profileOf returns the profile of a user: with the address that [Users] knows and nothing
// else where the host has no [Profiles].
func (a *API) profileOf(ctx context.Context, user host.User) (host.Profile, error) {
	if a.Profiles == nil {
		return host.Profile{Email: user.Email}, nil
	}
	return a.Profiles.Profile(ctx, user.ID)
}

// A profileChange is a change of a profile on its way.
type profileChange struct {
	before, after host.Profile
	inCommit      authz.Write // in the commit of the judgement
	write         host.Write  // by the host, after it; nil where inCommit has made the change
}

// prepareProfile tries what would change, before a factor is spent, and for what the page
// should say.
func (a *API) prepareProfile(ctx context.Context, j *authz.Request, want wire.ProfileDetails) (*profileChange, error) {
	c, id := new(profileChange), j.Actor.Credential.User
	var err error
	if a.Directory != nil {
		c.inCommit = func(ctx context.Context, tx *store.Tx, j *authz.Request) (err error) {
			if c.before, c.after, err = a.Directory.EditProfile(ctx, tx, j.Actor.By(j.Addr), id, func(p *host.Profile) error { return apply(want, p) }); err != nil {
				return err
			}
			// npm sends all fields: one that was changed meanwhile would be changed back, which
			// nobody has approved.
			if was := j.Change; was != nil && was.Digest(j.Operation) != c.shown().Digest(j.Operation) {
				return authz.ErrProfileChanged
			}
			return nil
		}
		return c, a.rehearse(ctx, func(tx *store.Tx) error { return c.inCommit(ctx, tx, j) })
	}
	if c.before, err = a.Profiles.Profile(ctx, id); err != nil {
		return nil, err
	}
	c.after = c.before
	if err := apply(want, &c.after); err != nil {
		return nil, err
	}
	changed := c.changed()
	if len(changed) == 0 { // npm says so of what is as it was
		c.inCommit = func(context.Context, *store.Tx, *authz.Request) error { return nil }
		return c, nil
	}
	moved := c.before.Email != c.after.Email
	if moved {
		if err := account.ValidEmail(c.after.Email); err != nil {
			return nil, err
		}
		c.after.EmailVerified = false
	}
	if err := account.ProfileOf(c.after).Validate(); err != nil {
		return nil, err
	}
	write, err := a.Profiles.SetProfile(ctx, id, c.before, c.after)
	if err != nil {
		return nil, err
	}
	c.inCommit = func(ctx context.Context, tx *store.Tx, j *authz.Request) error {
		if !moved {
			return nil
		}
		// Before the host's write: an account must not go without its hold because a process
		// ended between the two.
		return subject.Recover(ctx, tx, id, j.Now)
	}
	c.write = func(ctx context.Context) error {
		if err := write(ctx); err != nil {
			return err
		}
		a.Forget(id)
		// By name: no event holds what a person says, nor an address.
		e := audit.Event{Type: audit.Profile, Outcome: audit.Done, User: id, Detail: map[string]string{"changed": strings.Join(changed, " ")}}
		a.Events.Record(ctx, e.From(j.Actor.By(j.Addr)))
		return nil
	}
	return c, nil
}

// shown returns what changes: the address and the fields, by npm's names.
func (c *profileChange) shown() *protocol.Change {
	was, is := c.before, c.after
	change := &protocol.Change{}
	if was.Email != is.Email {
		change.Email = &is.Email
	}
	for _, f := range []struct{ name, was, is string }{
		{"fullname", was.FullName, is.FullName}, {"homepage", was.Homepage, is.Homepage},
		{"freenode", was.Freenode, is.Freenode}, {"twitter", was.Twitter, is.Twitter}, {"github", was.GitHub, is.GitHub},
	} {
		if f.was != f.is {
			if change.Profile == nil {
				change.Profile = map[string]string{}
			}
			change.Profile[f.name] = f.is
		}
	}
	return change
}

// changed returns the names of the fields that change, as npm profile has them.
func (c *profileChange) changed() (names []string) {
	change := c.shown()
	if change.Email != nil {
		names = append(names, "email")
	}
	for _, name := range []string{"fullname", "homepage", "freenode", "twitter", "github"} {
		if _, is := change.Profile[name]; is {
			names = append(names, name)
		}
	}
	return names
}

// finish makes the host's write, if there is one, after the commit of the judgement. It does
// not let go of it because the client went away.
func finish(ctx context.Context, write host.Write) error {
	if write == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	return write(ctx)
}

// A passwordChange is a change of a password on its way.
type passwordChange struct {
	// inCommit ends all sessions of the user, in the commit of the judgement.
	inCommit func(ctx context.Context, tx *store.Tx, by audit.Actor) error
	write    host.Write // by the host, after it; nil where inCommit has made the change
}

// preparePassword checks the old password and does what takes long.
func (a *API) preparePassword(ctx context.Context, j *authz.Request, old, new credential.Secret) (passwordChange, error) {
	id := j.Actor.Credential.User
	if a.Directory != nil {
		c, err := a.Directory.PrepareChange(ctx, id, old, new)
		if err != nil {
			return passwordChange{}, err
		}
		return passwordChange{inCommit: c.Apply}, nil
	}
	write, err := a.Passwords.ChangePassword(ctx, id, old, new)
	if err != nil {
		return passwordChange{}, err
	}
	// Once before the host's write, so that a process which ends between the two leaves no
	// session that the old password opened, and once after it, for what it opened meanwhile.
	return passwordChange{
		inCommit: func(ctx context.Context, tx *store.Tx, _ audit.Actor) error {
			_, err := subject.Revoke(ctx, tx, id, subject.Sessions, a.Now())
			return err
		},
		write: func(ctx context.Context) error {
			err := write(ctx)
			if err != nil && authz.Answer(err).Status < 500 {
				return err // nothing was changed
			}
			return errors.Join(err, a.passwordWritten(ctx, j, err == nil))
		},
	}, nil
}

// passwordWritten ends what the old password opened while the host wrote the new one, but
// for the session that asks, if that lives still. However long the host took, it has time.
func (a *API) passwordWritten(ctx context.Context, j *authz.Request, done bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	id, by := j.Actor.Credential.User, j.Actor.By(j.Addr)
	return store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		if _, err := tx.Get(ctx, a.ActorKeys(j.Actor.Verified)...); err != nil {
			return err
		}
		asking, err := a.Present(ctx, tx, j.Actor.Verified, a.Now())
		if err != nil && !errors.Is(err, host.ErrInvalidToken) {
			return err
		}
		kept := ""
		if err == nil {
			kept = asking.Session()
		}
		if done {
			e := audit.Event{Type: audit.Password, Outcome: audit.Done, User: id}
			if err := a.Events.Commit(ctx, tx, e.From(by)); err != nil {
				return err
			}
		}
		if kept == "" {
			return a.EndSessionsTx(ctx, tx, by, id, "password")
		}
		if _, err := subject.Revoke(ctx, tx, id, subject.Sessions, a.Now()); err != nil {
			return err
		}
		return a.Sessions.KeepTx(ctx, tx, by, asking.Person.Subject, kept, "password")
	})
}
