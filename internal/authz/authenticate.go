package authz

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// A Verified is a credential whose record was found. All requests that present it share it.
type Verified struct {
	Credential policy.Credential
	digest     credential.Digest      // of the secret; zero for the host's own bearers
	foreign    credential.Secret      // such a bearer
	Numbers    subject.Numbers        // that it was created under
	revision   store.Revision         // of its row; zero for the host's own bearers
	deadWith   atomic.Pointer[Person] // the user with whom it was read together, and found dead
}

// Bearer returns the credential of the Authorization header, "" when there is none. Only one
// header with one scheme is a credential: everything that two parsers could read differently
// is an error.
func (a *Authorizer) Bearer(h http.Header) (string, error) {
	if secret, ok, err := a.basic(h); ok {
		return secret, err
	}
	secret, err := wire.Bearer(h)
	if err != nil && !errors.Is(err, wire.TwoCredentials) {
		err = host.ErrInvalidToken
	}
	return secret, err
}

// basic returns the password of Basic authentication, where a token may be one; ok says that
// the header is of that scheme.
func (a *Authorizer) basic(h http.Header) (secret string, ok bool, err error) {
	lines := h["Authorization"]
	if !a.BasicToken || len(lines) != 1 {
		return "", false, nil
	}
	scheme, rest, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimLeft(rest, " "))
	if err != nil {
		return "", true, host.ErrInvalidToken
	}
	if _, secret, ok = strings.Cut(string(raw), ":"); !ok || secret == "" {
		return "", true, host.ErrInvalidToken
	}
	return secret, true, nil
}

// Authenticate returns the actor of the header: the zero Actor without a credential,
// [host.ErrInvalidToken] with one that does not authenticate. Any other error is an outage.
func (a *Authorizer) Authenticate(ctx context.Context, h http.Header, addr netip.Addr, now time.Time) (Actor, error) {
	text, err := a.Bearer(h)
	if err != nil || text == "" {
		return Actor{}, err
	}
	v, err := a.verify(ctx, text, now)
	if err == nil && v.Credential.Dead(now) {
		err = host.ErrInvalidToken
	}
	if err == nil {
		var who *Person
		if who, err = a.PersonOf(ctx, v.Credential.User, now); err == nil {
			if v.alive(who, now) {
				return Actor{&v.Credential, who, v}, nil
			}
			// The two were read at two moments, and may disagree while both are right, unless
			// they are what was read together before.
			err = host.ErrInvalidToken
			if v.deadWith.Load() != who {
				var act Actor
				if act, err = a.readAnew(ctx, v, now); err == nil {
					return act, nil
				}
			}
		}
	}
	if errors.Is(err, host.ErrInvalidToken) {
		a.recordInvalid(ctx, text, v, addr)
	}
	return Actor{}, err
}

// alive reports whether the credential, whose record was found, still holds for its user.
func (v *Verified) alive(who *Person, now time.Time) bool {
	cred := &v.Credential
	switch {
	case cred.Dead(now), who.Account.Disabled, who.Account.ID != cred.User:
		return false
	case cred.Kind == policy.KindForeign:
		return who.Subject.AliveSince(cred.Created)
	}
	return who.Subject.Alive(cred.Kind, v.Numbers)
}

// verify finds the record of a presented secret.
func (a *Authorizer) verify(ctx context.Context, text string, now time.Time) (*Verified, error) {
	d, ok := credential.Parse(text)
	if !ok {
		return a.verifyForeign(ctx, credential.NewSecret(text))
	}
	if v, ok := a.caches.credentials.Get(d.Prefix(), now); ok && v.digest == d {
		return v, nil
	}
	fill := a.caches.credentials.Begin(d.Prefix())
	v, err := a.Stored(ctx, a.unobserved, d)
	if err != nil {
		return nil, err
	}
	a.caches.credentials.Put(d.Prefix(), v, now, fill)
	return v, nil
}

// Stored returns the credential of a digest, as its record says. All kinds are
// looked up in one request, so that nothing about a token's form decides what it is.
func (a *Authorizer) Stored(ctx context.Context, r store.Reader, d credential.Digest) (*Verified, error) {
	items, err := r.Get(ctx, session.Key(d), token.KeyOf(d))
	if err != nil {
		return nil, err
	}
	revision := items[0].Revision
	cred, numbers, err := session.Open(items[0])
	if errors.Is(err, session.ErrNoSession) {
		revision = items[1].Revision
		cred, numbers, err = token.Open(items[1], d)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, host.ErrInvalidToken
	case err != nil:
		return nil, err
	}
	return &Verified{Credential: *cred, digest: d, Numbers: numbers, revision: revision}, nil
}

func (a *Authorizer) verifyForeign(ctx context.Context, bearer credential.Secret) (*Verified, error) {
	if a.Foreign == nil || strings.ContainsAny(bearer.Reveal(), " ,\t") {
		return nil, host.ErrInvalidToken
	}
	f, err := a.Foreign(ctx, bearer)
	if err != nil {
		return nil, err
	}
	if f.User == "" || f.ID == "" {
		return nil, host.ErrInvalidToken
	}
	return &Verified{
		Credential: policy.Credential{
			ID: f.ID, Name: f.Name, Kind: policy.KindForeign, User: f.User, Grants: f.Grants,
			CIDRs: f.CIDRs, Created: f.Created, Expires: f.Expires,
		},
		foreign: bearer,
	}, nil
}

// PersonOf returns the user of that ID. One who does not exist is [host.ErrInvalidToken], and no
// outage.
func (a *Authorizer) PersonOf(ctx context.Context, id protocol.UserID, now time.Time) (*Person, error) {
	if who, ok := a.caches.people.Get(id, now); ok {
		return who, nil
	}
	fill := a.caches.people.Begin(id)
	who, err := a.readPerson(ctx, a.unobserved, id)
	if err == nil {
		a.caches.people.Put(id, who, now, fill)
	}
	return who, err
}

// readPerson is PersonOf without the cache, from r.
func (a *Authorizer) readPerson(ctx context.Context, r store.Reader, id protocol.UserID) (*Person, error) {
	sub, err := subject.Get(ctx, r, id)
	if err != nil {
		return nil, err
	}
	user, err := a.hostUser(ctx, r, id)
	if errors.Is(err, host.ErrNoUser) {
		return nil, host.ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	of := sub.Account(user.Name)
	of.ID, of.Service, of.Groups = user.ID, user.Service, user.Groups
	of.Disabled, of.HighImpact = of.Disabled || user.Disabled, of.HighImpact || user.HighImpact
	return &Person{Account: of, Subject: sub, User: user}, nil
}

// hostUser returns the host's record of a user, from r where the people are in the store.
func (a *Authorizer) hostUser(ctx context.Context, r store.Reader, id protocol.UserID) (host.User, error) {
	if a.Directory == nil {
		return a.Users.User(ctx, id)
	}
	return a.Directory.UserFrom(ctx, r, id)
}

// ActorKeys returns the keys of all rows that say whether the credential is live, to be read
// in one Get.
func (a *Authorizer) ActorKeys(v *Verified) []string {
	keys := subject.Keys(v.Credential.User)
	if v.foreign.IsZero() {
		keys = append(keys, session.Key(v.digest), token.KeyOf(v.digest))
	}
	if a.Directory != nil {
		keys = append(keys, account.PersonKey(v.Credential.User))
	}
	return keys
}

// Present authenticates v in tx, on rows that become preconditions of its commit, and on the
// host's record. The caller has read [Authorizer.ActorKeys] in tx.
func (a *Authorizer) Present(ctx context.Context, tx *store.Tx, v *Verified, now time.Time) (act Actor, err error) {
	user := v.Credential.User
	if v.foreign.IsZero() {
		v, err = a.Stored(ctx, tx, v.digest)
	} else {
		v, err = a.verifyForeign(ctx, v.foreign)
	}
	if err != nil {
		return Actor{}, err
	}
	who, err := a.readPerson(ctx, tx, user)
	if err != nil {
		return Actor{}, err
	}
	act = Actor{&v.Credential, who, v}
	if !v.alive(who, now) {
		return act, errDead
	}
	return act, nil
}

// errDead is [host.ErrInvalidToken] for a credential that was found, together with its user.
var errDead = fmt.Errorf("%w: it is dead", host.ErrInvalidToken)

// readAnew reads in one Get whether a credential holds, past the caches, and puts what it
// found there.
func (a *Authorizer) readAnew(ctx context.Context, v *Verified, now time.Time) (act Actor, err error) {
	user := v.Credential.User
	fillUser := a.caches.people.Begin(user)
	fillCredential := a.caches.credentials.Begin(v.digest.Prefix())
	err = store.Transact(ctx, a.unobserved, func(tx *store.Tx) error {
		if _, err := tx.Get(ctx, a.ActorKeys(v)...); err != nil {
			return err
		}
		act, err = a.Present(ctx, tx, v, now)
		return err
	})
	dead := errors.Is(err, errDead)
	if err != nil && !dead {
		return Actor{}, err
	}
	if dead {
		act.Verified.deadWith.Store(act.Person)
	}
	a.caches.people.Put(user, act.Person, now, fillUser)
	if v.foreign.IsZero() {
		a.caches.credentials.Put(v.digest.Prefix(), act.Verified, now, fillCredential)
	}
	if dead {
		return Actor{}, err
	}
	return act, nil
}

// recordInvalid tells of a credential that did not authenticate, by its public
// ID where there is one. An ID token shown as a bearer is told apart: people
// do put it where the token belongs that it can be exchanged for.
func (a *Authorizer) recordInvalid(ctx context.Context, text string, v *Verified, addr netip.Addr) {
	e := audit.Event{Type: audit.BadCredential, Outcome: audit.Denied, Addr: addr, Reasons: []string{"invalid-token"}}
	if strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 {
		e.Type, e.Reasons = audit.JWTAsBearer, []string{"jwt-as-bearer"}
	}
	if v != nil {
		e.User, e.Credential = v.Credential.User, v.Credential.ID
	}
	a.Events.Record(ctx, e)
}
