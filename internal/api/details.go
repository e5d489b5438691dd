package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

var (
	errPasswordAlone = &wire.Error{Status: http.StatusBadRequest, Code: "bad-profile-request", Sentence: "Change the password by itself."}
	errNoEmail       = &wire.Error{Status: http.StatusBadRequest, Code: "bad-email", Sentence: "An e-mail address can be changed but not taken away."}
)

// apply changes a profile as d says.
func apply(d wire.ProfileDetails, p *host.Profile) error {
	had := p.Email
	for _, f := range []struct{ want, is *string }{
		{d.Email, &p.Email}, {d.FullName, &p.FullName}, {d.Homepage, &p.Homepage},
		{d.Freenode, &p.Freenode}, {d.Twitter, &p.Twitter}, {d.GitHub, &p.GitHub},
	} {
		if f.want != nil {
			*f.is = *f.want
		}
	}
	if had != "" && p.Email == "" {
		return errNoEmail
	}
	return nil
}

// notOffered lets the policy refuse what the host's people cannot do.
func (a *API) notOffered(r *http.Request, op protocol.Operation) (reply, error) {
	j, _, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	return reply{}, a.Conclude(r.Context(), j, errNotOffered)
}

// setProfile changes what somebody says about themselves, and their address.
func (a *API) setProfile(r *http.Request, op protocol.Operation, body wire.ProfileRequest) (reply, error) {
	if a.Profiles == nil {
		return a.notOffered(r, op)
	}
	want, err := body.Details()
	if err != nil {
		return reply{}, err
	}
	j, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	change, err := a.prepareProfile(r.Context(), j, want)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), j, err)
	}
	j.Change = change.shown()
	if err := a.Commit(r, j, d, nil, change.inCommit); err != nil {
		return reply{}, err
	}
	if err := finish(r.Context(), change.write); err != nil {
		return reply{}, err
	}
	return ok(shownProfile(j.Actor.Person.User.Name, change.after)), nil
}

// setPassword changes the password, and ends all sessions but the one that asks. Tokens
// go on: they are not made of the password.
func (a *API) setPassword(r *http.Request, op protocol.Operation, body wire.ProfileRequest) (reply, error) {
	if a.Passwords == nil {
		return a.notOffered(r, op)
	}
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
	j, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	ctx := r.Context()
	if j.Change, err = a.newPassword(ctx, j.Actor.Credential.User, change.New); err != nil {
		return reply{}, a.Conclude(ctx, j, err)
	}
	now, err := a.profileOf(ctx, j.Actor.Person.User)
	if err != nil {
		return reply{}, a.Conclude(ctx, j, err)
	}
	other := now
	if err := apply(want, &other); err != nil || other != now {
		return reply{}, a.Conclude(ctx, j, errPasswordAlone)
	}
	next, err := a.preparePassword(ctx, j, credential.NewSecret(change.Old), credential.NewSecret(change.New))
	if err != nil {
		err = a.Conclude(ctx, j, err)
	} else {
		err = a.Commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *authz.Request) error {
			by := j.Actor.By(j.Addr)
			if err := next.inCommit(ctx, tx, by); err != nil {
				return err
			}
			return a.Sessions.KeepTx(ctx, tx, by, j.Actor.Person.Subject, j.Actor.Session(), "password")
		})
	}
	if err == nil {
		err = finish(ctx, next.write)
	}
	if errors.Is(err, host.ErrWrongPassword) {
		a.Events.Record(ctx, audit.Event{
			Type: audit.Password, Outcome: audit.Denied, User: j.Actor.Credential.User, Credential: j.Actor.Credential.ID, Addr: j.Addr, Reasons: []string{"wrong-password"},
		})
	}
	if err != nil {
		return reply{}, err
	}
	return ok(shownProfile(j.Actor.Person.User.Name, now)), nil
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

// errRehearsed ends a transaction that must not happen.
var errRehearsed = errors.New("npmauth: rehearsed")

// rehearse runs fn for its errors and commits nothing.
func (a *API) rehearse(ctx context.Context, fn func(*store.Tx) error) error {
	err := store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}
