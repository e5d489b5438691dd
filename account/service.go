package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// SetAdministrators sets who administers a service account: people of this Directory, at most
// [MaxAdministrators], each once. The list may be empty, and then nobody creates tokens for it.
// Tokens that a former administrator created stay valid: they are the account's. For a person's
// ID the error is [ErrService], for an unknown one [ErrNoUser].
func (d *Directory) SetAdministrators(ctx context.Context, by audit.Actor, service protocol.UserID, admins []protocol.UserID) (User, error) {
	if err := d.checkAdministrators(ctx, admins); err != nil {
		return User{}, err
	}
	var user User
	err := store.Transact(ctx, d.store, func(tx *store.Tx) (err error) {
		user, err = d.setAdministrators(ctx, tx, by, service, admins)
		return err
	})
	return user, err
}

func (d *Directory) setAdministrators(ctx context.Context, tx *store.Tx, by audit.Actor, service protocol.UserID, admins []protocol.UserID) (User, error) {
	now := d.instant()
	p, err := people.Update(ctx, tx, string(service), func(p *person) error {
		if !p.Service {
			return fmt.Errorf("%w: a person has no administrators", ErrService)
		}
		p.Administrators, p.Updated = slices.Clone(admins), now
		return nil
	})
	if errors.Is(err, ErrService) {
		return User{}, err
	}
	user, err := found(p, err)
	if err != nil {
		return User{}, err
	}
	return user, d.events.Commit(ctx, tx, audit.Event{
		Time: now, Type: audit.Administrators, Outcome: audit.Done, User: service, Detail: map[string]string{"administrators": strconv.Itoa(len(admins))},
	}.From(by))
}

// checkAdministrators looks each up. Users are never deleted and never become another kind, so
// the result stays true.
func (d *Directory) checkAdministrators(ctx context.Context, admins []protocol.UserID) error {
	if len(admins) > MaxAdministrators {
		return fmt.Errorf("%w: there are more than %d", ErrAdministrators, MaxAdministrators)
	}
	for i, id := range admins {
		if slices.Contains(admins[:i], id) {
			return fmt.Errorf("%w: one is named twice", ErrAdministrators)
		}
		switch user, err := d.ByID(ctx, id); {
		case errors.Is(err, ErrNoUser):
			return fmt.Errorf("%w: one is nobody", ErrAdministrators)
		case err != nil:
			return err
		case user.Service:
			return fmt.Errorf("%w: one is a service account", ErrAdministrators)
		}
	}
	return nil
}

// Administers reports whether admin administers the service account of this name, and returns
// that account. The name of a person, and one that no account has, is [ErrNoUser].
func (d *Directory) Administers(ctx context.Context, admin protocol.UserID, service string) (host.User, bool, error) {
	user, err := d.ByName(ctx, service)
	if err != nil {
		return host.User{}, false, err
	}
	if !user.Service {
		return host.User{}, false, ErrNoUser
	}
	return user.forHost(), admin != "" && slices.Contains(user.Administrators, admin), nil
}
