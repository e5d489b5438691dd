package authz

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
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
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/wire"
)

// A Verified is a credential whose record was found. All requests that present it share it.
type Verified struct {
	Credential policy.Credential
	digest     credential.Digest      // of the secret; zero for the host's own bearers
	foreign    credential.Secret      // such a bearer
	Numbers    subject.Numbers        // that it was created under
	revision   store.Revision         // of its row; zero for the host's own bearers
	issued     *trust.Token           // of a trusted publisher; nil for all others
	deadWith   atomic.Pointer[Person] // whom it belongs to, as read together with it when it was found dead
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

// Authenticate returns the actor of the header: the zero Actor without a credential, an
// [*InvalidError] with one that does not authenticate. Any other error is an outage.
func (a *Authorizer) Authenticate(ctx context.Context, h http.Header, addr netip.Addr, now time.Time) (Actor, error) {
	act, err := a.authenticate(ctx, h, now)
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		a.recordInvalid(ctx, invalid, addr)
	}
	return act, err
}

// authenticateFor is Authenticate for an action. A credential that is known to have ended is
// ignored where the action is public: npm sends a session of two hours with each installation.
// Its sender is anonymous then, in all that is decided, and only told what is the matter. Of what
// an installation sends one request a minute is recorded.
func (a *Authorizer) authenticateFor(ctx context.Context, action protocol.Action, h http.Header, addr netip.Addr, now time.Time) (Actor, error) {
	act, err := a.authenticate(ctx, h, now)
	invalid, ok := errors.AsType[*InvalidError](err)
	switch {
	case !ok:
		return act, err
	case !invalid.Ended || !action.Public():
		a.recordInvalid(ctx, invalid, addr)
		return Actor{}, err
	}
	act = Actor{Notice: invalid.Answer.Sentence + " Until then you are answered as somebody who is not logged in."}
	if a.firstOf(invalid.presented, addr, now) {
		a.recordInvalid(ctx, invalid, addr)
		act.first = true
	}
	return act, nil
}

// firstOf reports whether a secret is the first of that text from that address for a minute, as
// far as is remembered.
func (a *Authorizer) firstOf(secret credential.Secret, addr netip.Addr, now time.Time) bool {
	key := noticeKey{credential.Sum(secret).Prefix(), addr}
	if _, ok := a.caches.noticed.Get(key, now); ok {
		return false
	}
	a.caches.noticed.Put(key, struct{}{}, now, a.caches.noticed.Begin(key))
	return true
}

// authenticate is Authenticate without an event.
func (a *Authorizer) authenticate(ctx context.Context, h http.Header, now time.Time) (Actor, error) {
	text, err := a.Bearer(h)
	if err == nil && text == "" {
		return Actor{}, nil
	}
	var v *Verified
	if err == nil {
		v, err = a.verify(ctx, text, now)
	}
	if err == nil && v.Credential.Dead(now) {
		err = errDead
	}
	if err == nil {
		var who *Person
		if who, err = a.holderNow(ctx, v.holder(), now); err == nil {
			if err = v.holds(who, now); err == nil {
				return Actor{Credential: &v.Credential, Person: who, Verified: v}, nil
			}
			// The two were read at two moments, and may disagree while both are right, unless
			// they are what was read together before.
			if v.deadWith.Load() != who {
				var act Actor
				if act, err = a.readAnew(ctx, v, now); err == nil {
					return act, nil
				}
			}
		}
	}
	if errors.Is(err, host.ErrInvalidToken) {
		err = invalid(err, text, v)
	}
	return Actor{}, err
}

// holds returns nil if the credential, whose record was found, holds for whom it belongs to, and errDead
// if not.
func (v *Verified) holds(who *Person, now time.Time) error {
	cred := &v.Credential
	alive := false
	switch {
	case cred.Dead(now):
	case who.Account.Disabled, who.Account.ID != cred.User, who.Owner.Disabled:
		return errSuspended
	case cred.Kind == policy.KindForeign:
		alive = who.Subject.AliveSince(cred.Created)
	case cred.Kind == policy.KindPublisher:
		alive = v.issued != nil && who.Publishers.Alive(*v.issued)
	default:
		alive = who.Subject.Alive(cred.Kind, v.Numbers)
	}
	if !alive {
		return errDead
	}
	return nil
}

// verify finds the record of a presented secret.
func (a *Authorizer) verify(ctx context.Context, text string, now time.Time) (*Verified, error) {
	d, ok := credential.Parse(text)
	if !ok {
		return a.VerifyForeign(ctx, a.unobserved, credential.NewSecret(text))
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
// looked up in one request, so that nothing about a token's form decides what it is. One that was
// imported as revoked is refused, whatever records there are.
func (a *Authorizer) Stored(ctx context.Context, r store.Reader, d credential.Digest) (*Verified, error) {
	items, err := r.Get(ctx, CredentialKeys(d)...)
	if err != nil {
		return nil, err
	}
	if err := notRevoked(items[len(ownKinds)]); err != nil {
		return nil, err
	}
	for i, kind := range ownKinds {
		if v, err := a.open(kind, items[i], d); !errors.Is(err, host.ErrInvalidToken) {
			return v, err
		}
	}
	return nil, host.ErrInvalidToken
}

// ownKinds are those of which npmauth keeps a row.
var ownKinds = []policy.Kind{policy.KindSession, policy.KindToken, policy.KindPublisher}

// CredentialKeys returns the keys of the rows that a credential with that digest may have, and last that
// of one that was imported as revoked.
func CredentialKeys(d credential.Digest) (keys []string) {
	for _, kind := range ownKinds {
		keys = append(keys, rowKey(kind, d))
	}
	return append(keys, token.RevokedKey(d))
}

// rowKey returns the key of the row of a credential of that kind.
func rowKey(kind policy.Kind, d credential.Digest) string {
	switch kind {
	case policy.KindSession:
		return session.Key(d)
	case policy.KindPublisher:
		return trust.TokenKey(d)
	}
	return token.KeyOf(d)
}

// open decodes the row of a credential. If there is none the error is [host.ErrInvalidToken].
func (a *Authorizer) open(kind policy.Kind, it store.Item, d credential.Digest) (*Verified, error) {
	v := &Verified{digest: d, revision: it.Revision}
	var cred *policy.Credential
	var err error
	switch kind {
	case policy.KindSession:
		cred, v.Numbers, err = session.Open(it)
	case policy.KindPublisher:
		if a.Trust == nil { // any more
			return nil, host.ErrInvalidToken
		}
		var t trust.Token
		if t, err = trust.OpenToken(it, d); err == nil {
			cred, v.issued = t.Credential(), &t
		}
	default:
		cred, v.Numbers, err = token.Open(it, d)
	}
	switch {
	case errors.Is(err, session.ErrNoSession), errors.Is(err, store.ErrNotFound):
		return nil, host.ErrInvalidToken
	case err != nil:
		return nil, err
	}
	v.Credential = *cred
	return v, nil
}

// Package returns the package of a trusted publisher's credential, and the zero name of all others.
func (v *Verified) Package() protocol.PackageName {
	if v.issued == nil {
		return protocol.PackageName{}
	}
	return v.issued.Package
}

// job says of a trusted publisher's credential which publisher that is and what the job was, nil of all others.
func (v *Verified) job() map[string]string {
	if v.issued == nil {
		return nil
	}
	detail := maps.Clone(v.issued.Run)
	if detail == nil {
		detail = map[string]string{}
	}
	detail["publisher"], detail["issuer"] = v.issued.Publisher, v.issued.Issuer
	if v.issued.Scope != "" {
		detail["scope"] = v.issued.Scope
	}
	return detail
}

// Revoked reports whether a credential was revoked together with others, which leaves its row.
func (a *Authorizer) Revoked(ctx context.Context, r store.Reader, v *Verified) (bool, error) {
	if v.issued != nil {
		who, err := a.readHolder(ctx, r, v.holder())
		return err == nil && !who.Publishers.Alive(*v.issued), err
	}
	sub, err := subject.Get(ctx, r, v.Credential.User)
	return err == nil && sub.Numbers(v.Credential.Kind) != v.Numbers, err
}

// again is Stored for a credential that was found before, of the same kind.
func (a *Authorizer) again(ctx context.Context, r store.Reader, v *Verified) (*Verified, error) {
	items, err := r.Get(ctx, rowKey(v.Credential.Kind, v.digest), token.RevokedKey(v.digest))
	if err != nil {
		return nil, err
	}
	if err := notRevoked(items[1]); err != nil {
		return nil, err
	}
	return a.open(v.Credential.Kind, items[0], v.digest)
}

// notRevoked returns an error if it is the row of a token that was imported as revoked.
func notRevoked(it store.Item) error {
	r, err := token.OpenRevoked(it)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &InvalidError{Answer: revokedAnswer(r), Ended: true}
}

// VerifyForeign returns the credential of a bearer that does not have npmauth's form. The host
// is asked only if it was not imported as revoked, and before ForeignUntil.
func (a *Authorizer) VerifyForeign(ctx context.Context, r store.Reader, bearer credential.Secret) (*Verified, error) {
	if strings.ContainsAny(bearer.Reveal(), " ,\t") {
		return nil, host.ErrInvalidToken
	}
	items, err := r.Get(ctx, token.RevokedKey(credential.Sum(bearer)))
	if err != nil {
		return nil, err
	}
	if err := notRevoked(items[0]); err != nil {
		return nil, err
	}
	if !a.ForeignUntil.IsZero() && !a.Now().Before(a.ForeignUntil) {
		return nil, &InvalidError{Answer: foreignEndedAnswer(a.ForeignUntil), Ended: true}
	}
	if a.Foreign == nil {
		return nil, host.ErrInvalidToken
	}
	f, err := a.Foreign(ctx, bearer)
	if err != nil {
		return nil, err
	}
	if f.User == "" || f.ID == "" {
		return nil, errSuspended // a mistake of the host's
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
	return a.holderNow(ctx, holder{user: id}, now)
}

// holderNow returns whom a credential belongs to, as old as the cache allows.
func (a *Authorizer) holderNow(ctx context.Context, h holder, now time.Time) (*Person, error) {
	if h.pending() {
		return a.readHolder(ctx, a.unobserved, h)
	}
	if who, ok := a.caches.people.Get(h, now); ok {
		return who, nil
	}
	fill := a.caches.people.Begin(h)
	who, err := a.readHolder(ctx, a.unobserved, h)
	if err == nil {
		a.caches.people.Put(h, who, now, fill)
	}
	return who, err
}

// readHolder is holderNow without the cache, from r.
func (a *Authorizer) readHolder(ctx context.Context, r store.Reader, h holder) (*Person, error) {
	switch {
	case h.pending():
		return a.readPending(ctx, r, h.creates)
	case h.scope != "":
		publishers, err := readState(ctx, r, trust.ScopeStateKeys(h.scope), func(items []store.Item) (trust.State, error) { return trust.DecodeScopeState(h.scope, items) })
		return &Person{Publishers: publishers}, err
	case h.pkg != "":
		publishers, err := readState(ctx, r, trust.StateKeys(h.pkg), func(items []store.Item) (trust.State, error) { return trust.DecodeState(h.pkg, items) })
		return &Person{Publishers: publishers}, err
	}
	return a.readPerson(ctx, r, h.user)
}

func readState(ctx context.Context, r store.Reader, keys []string, decode func([]store.Item) (trust.State, error)) (trust.State, error) {
	items, err := r.Get(ctx, keys...)
	if err != nil {
		return trust.State{}, err
	}
	return decode(items)
}

// readPending is readHolder for pending trusted publishers.
func (a *Authorizer) readPending(ctx context.Context, r store.Reader, c policy.Creation) (*Person, error) {
	items, err := r.Get(ctx, trust.PendingKeys(c.Package, c.Owner)...)
	if err != nil {
		return nil, err
	}
	publishers, err := trust.DecodePending(c.Package, c.Owner, items)
	if err != nil {
		return nil, err
	}
	owner, err := a.hostUser(ctx, r, c.Owner)
	if errors.Is(err, host.ErrNoUser) || err == nil && owner.ID != c.Owner {
		return nil, host.ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	return &Person{Publishers: publishers, Owner: owner}, nil
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
	of := v.holder()
	var keys []string
	switch {
	case of.pkg != "":
		keys = trust.StateKeys(of.pkg)
	case of.scope != "":
		keys = trust.ScopeStateKeys(of.scope)
	case of.pending():
		keys = trust.PendingKeys(of.creates.Package, of.creates.Owner)
	default:
		keys = subject.Keys(of.user)
	}
	if v.foreign.IsZero() {
		keys = append(keys, rowKey(v.Credential.Kind, v.digest), token.RevokedKey(v.digest))
	} else {
		keys = append(keys, token.RevokedKey(credential.Sum(v.foreign)))
	}
	if user := cmp.Or(of.user, of.creates.Owner); a.Directory != nil && user != "" {
		keys = append(keys, account.PersonKey(user))
	}
	return keys
}

// Present authenticates v in tx, on rows that become preconditions of its commit, and on the
// host's record. The caller has read [Authorizer.ActorKeys] in tx.
func (a *Authorizer) Present(ctx context.Context, tx *store.Tx, v *Verified, now time.Time) (act Actor, err error) {
	of := v.holder()
	if v.foreign.IsZero() {
		v, err = a.again(ctx, tx, v)
	} else {
		v, err = a.VerifyForeign(ctx, tx, v.foreign)
	}
	if err != nil {
		return Actor{}, err
	}
	who, err := a.readHolder(ctx, tx, of)
	if err != nil {
		return Actor{}, err
	}
	return Actor{Credential: &v.Credential, Person: who, Verified: v}, v.holds(who, now)
}

var (
	// errDead is [host.ErrInvalidToken] for a credential that was found, together with its user.
	errDead = fmt.Errorf("%w: it is dead", host.ErrInvalidToken)
	// errSuspended is errDead for one that has not ended: its account is disabled, which may be
	// for a while only, or what the host says of its user cannot be right.
	errSuspended = fmt.Errorf("%w while its account is disabled or unclear", errDead)
)

// An InvalidError is [host.ErrInvalidToken] for a credential that was presented.
type InvalidError struct {
	Answer *wire.Error
	// Ended reports that it is known to be none: malformed, unknown, expired or revoked, or its
	// user is gone. It can never be valid again.
	Ended     bool
	presented credential.Secret // zero for a header that was not understood
	verified  *Verified         // nil if no record was found
}

// Error is that of [host.ErrInvalidToken].
func (e *InvalidError) Error() string { return host.ErrInvalidToken.Error() + ": " + e.Answer.Code }

// Unwrap returns [host.ErrInvalidToken].
func (e *InvalidError) Unwrap() error { return host.ErrInvalidToken }

// invalid returns the InvalidError of a text that was presented, and of which v was found, if
// anything was. err says why, and is a [host.ErrInvalidToken].
func invalid(err error, text string, v *Verified) error {
	e := &InvalidError{Answer: invalidAnswer(text), Ended: !errors.Is(err, errSuspended)}
	if known, ok := errors.AsType[*InvalidError](err); ok {
		e.Answer, e.Ended = known.Answer, known.Ended
	}
	e.presented, e.verified = credential.NewSecret(text), v
	return e
}

// readAnew reads in one Get whether a credential holds, past the caches, and puts what it
// found there.
func (a *Authorizer) readAnew(ctx context.Context, v *Verified, now time.Time) (act Actor, err error) {
	of := v.holder()
	fillHolder := a.caches.people.Begin(of)
	fillCredential := a.caches.credentials.Begin(v.digest.Prefix())
	err = store.Transact(ctx, a.unobserved, func(tx *store.Tx) error {
		if _, err := tx.Get(ctx, a.ActorKeys(v)...); err != nil {
			return err
		}
		act, err = a.Present(ctx, tx, v, now)
		return err
	})
	dead := errors.Is(err, errDead) && act.Verified != nil // nil: the host does not say whose it is
	if err != nil && !dead {
		return Actor{}, err
	}
	if dead {
		act.Verified.deadWith.Store(act.Person)
	}
	if !of.pending() {
		a.caches.people.Put(of, act.Person, now, fillHolder)
	}
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
func (a *Authorizer) recordInvalid(ctx context.Context, invalid *InvalidError, addr netip.Addr) {
	text := invalid.presented.Reveal()
	if text == "" {
		return
	}
	e := audit.Event{Type: audit.BadCredential, Outcome: audit.Denied, Addr: addr, Reasons: []string{invalid.Answer.Code}}
	if strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 {
		e.Type, e.Reasons = audit.JWTAsBearer, []string{"jwt-as-bearer"}
	}
	if v := invalid.verified; v != nil {
		e.User, e.Credential = v.Credential.User, v.Credential.ID
	}
	a.Events.Record(ctx, e)
}
