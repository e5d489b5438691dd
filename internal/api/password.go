package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/wire"
)

// setPassword changes the password, and ends all sessions but the one that asks. Tokens
// go on: they are not made of the password.
func (a *API) setPassword(r *http.Request, op protocol.Operation, body wire.ProfileRequest) (reply, error) {
	want, err := body.Details()
	if err != nil {
		return reply{}, err
	}
	var change struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if err := strictjson.Unmarshal(body.Password, &change); err != nil {
		return reply{}, err
	}
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	ctx := r.Context()
	if q.Change, err = a.newPassword(ctx, q.Actor.Credential.User, change.New); err != nil {
		return reply{}, a.Conclude(ctx, q, err)
	}
	now, err := a.profileOf(ctx, q.Actor.Person.User)
	if err != nil {
		return reply{}, a.Conclude(ctx, q, err)
	}
	other := now
	if err := apply(want, &other); err != nil || other != now {
		return reply{}, a.Conclude(ctx, q, errPasswordAlone)
	}
	next, err := a.preparePassword(ctx, q, credential.NewSecret(change.Old), credential.NewSecret(change.New))
	if err != nil {
		err = a.Conclude(ctx, q, err)
	} else {
		err = a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
			by := q.Actor.By(q.Addr)
			if err := next.inCommit(ctx, tx, by); err != nil {
				return err
			}
			return a.Sessions.KeepTx(ctx, tx, by, q.Actor.Person.Subject, q.Actor.Session(), "password")
		})
	}
	if err == nil {
		err = finish(ctx, next.write)
	}
	if errors.Is(err, host.ErrWrongPassword) {
		a.Events.Record(ctx, audit.Event{
			Type: audit.Password, Outcome: audit.Denied, User: q.Actor.Credential.User, Credential: q.Actor.Credential.ID, Addr: q.Addr, Reasons: []string{"wrong-password"},
		})
	}
	if err != nil {
		return reply{}, err
	}
	return ok(shownProfile(q.Actor.Person.User.Name, now)), nil
}

// newPassword is the change that sets a password: a MAC stands for it, so that what was
// approved for one is good for no other, and nobody learns it from a record.
func (a *API) newPassword(ctx context.Context, id protocol.UserID, password string) (*protocol.Change, error) {
	key, err := a.changeKey.Derive(ctx, "npmauth: password in a change")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	return &protocol.Change{Password: hex.EncodeToString(mac.Sum(nil))}, nil
}

// A passwordChange is a change of a password on its way.
type passwordChange struct {
	// inCommit ends all sessions of the user, in the commit of the final decision.
	inCommit func(ctx context.Context, tx *store.Tx, by audit.Actor) error
	write    host.Write // by the host, after it; nil where inCommit has made the change
}

// preparePassword checks the old password and does what takes long.
func (a *API) preparePassword(ctx context.Context, q *authz.Request, old, new credential.Secret) (passwordChange, error) {
	id := q.Actor.Credential.User
	var change *account.PasswordChange
	var write host.Write
	err := a.OwnPassword(ctx, q, func(ctx context.Context) (right bool, err error) {
		if a.Directory != nil {
			change, err = a.Directory.PrepareChange(ctx, id, old, new)
		} else {
			write, err = a.Passwords.ChangePassword(ctx, id, old, new)
		}
		if errors.Is(err, host.ErrWrongPassword) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return passwordChange{}, err
	}
	if a.Directory != nil {
		return passwordChange{inCommit: change.Apply}, nil
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
			return errors.Join(err, a.passwordWritten(ctx, q, err == nil))
		},
	}, nil
}

// passwordWritten ends what the old password opened while the host wrote the new one, but
// for the session that asks, if that lives still. However long the host took, it has time.
func (a *API) passwordWritten(ctx context.Context, q *authz.Request, done bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	id, by := q.Actor.Credential.User, q.Actor.By(q.Addr)
	return store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		if _, err := tx.Get(ctx, a.ActorKeys(q.Actor.Verified)...); err != nil {
			return err
		}
		asking, err := a.Present(ctx, tx, q.Actor.Verified, a.Now())
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
