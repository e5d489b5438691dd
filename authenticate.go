package npmauth

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/npmauth/npmauth/access"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
)

// An actor is who asks, as far as authentication can tell: a live credential
// and the facts about its user. Both are shared with the caches and must not
// be changed. The zero actor is anonymous.
type actor struct {
	cred *policy.Credential
	who  *person
}

func (a actor) identity() Identity {
	if a.cred == nil {
		return Identity{}
	}
	return Identity{User: a.cred.User, Name: a.who.account.Name, Credential: a.cred.ID, Kind: a.cred.Kind}
}

// A person is what is known of a user, from the host and from the subject row.
type person struct {
	account           policy.Account
	sessionsNotBefore time.Time
	user              User
}

// caches hold what a warm request needs. Their entries are never older than
// Config.Fresh, and a local change drops them before it is acknowledged.
type caches struct {
	credentials *credential.Cache[credential.Digest, *policy.Credential]
	people      *credential.Cache[policy.UserID, *person]
	settings    *credential.Cache[policy.PackageID, policy.Settings]
	facts       *credential.Cache[factsKey, policy.Facts]
}

type factsKey struct {
	pkg  policy.PackageName
	user policy.UserID
}

var hashSeed = maphash.MakeSeed()

func newCaches(fresh, hostFresh time.Duration) caches {
	return caches{
		credentials: credential.NewCache[credential.Digest, *policy.Credential](1<<20, fresh, func(d credential.Digest) uint64 {
			return uint64(d[0]) | uint64(d[1])<<8
		}),
		people: credential.NewCache[policy.UserID, *person](1<<17, fresh, func(id policy.UserID) uint64 {
			return maphash.String(hashSeed, string(id))
		}),
		settings: credential.NewCache[policy.PackageID, policy.Settings](1<<17, fresh, func(id policy.PackageID) uint64 {
			return maphash.String(hashSeed, string(id))
		}),
		facts: credential.NewCache[factsKey, policy.Facts](1<<17, hostFresh, func(k factsKey) uint64 {
			return maphash.String(hashSeed, k.pkg.Name) ^ maphash.String(hashSeed, string(k.user))
		}),
	}
}

// changed drops what a commit may have changed. It runs before that commit is
// acknowledged to anyone.
func (c *caches) changed(keys []string) {
	for _, key := range keys {
		if d, ok := session.DigestOf(key); ok {
			c.credentials.Drop(d)
		} else if d, ok := token.DigestOf(key); ok {
			c.credentials.Drop(d)
		} else if id, ok := account.SubjectOf(key); ok {
			c.people.Drop(id)
		} else if id, ok := access.PackageOf(key); ok {
			c.settings.Drop(id)
		}
	}
}

// bearer takes the credential out of an Authorization header. It is "" when
// there is none. Only one header with one scheme is a credential: everything
// that two parsers could read differently is refused.
func (a *Auth) bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	switch len(lines) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", errTwoHeaders
	}
	scheme, rest, _ := strings.Cut(lines[0], " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case len(scheme) == len("Bearer") && strings.EqualFold(scheme, "Bearer"):
		if rest == "" || strings.ContainsAny(rest, " ,\t") {
			return "", ErrInvalidToken
		}
		return rest, nil
	case a.basicToken && strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", ErrInvalidToken
		}
		_, secret, ok := strings.Cut(string(raw), ":")
		if !ok || secret == "" {
			return "", ErrInvalidToken
		}
		return secret, nil
	}
	return "", ErrInvalidToken
}

// authenticate returns who the header speaks for: the zero actor when it
// carries nothing, an error whenever it carries something that does not hold.
func (a *Auth) authenticate(ctx context.Context, h http.Header, addr netip.Addr, now time.Time) (actor, error) {
	text, err := a.bearer(h)
	if err != nil || text == "" {
		return actor{}, err
	}
	cred, err := a.credential(ctx, text, now)
	if err == nil {
		var who *person
		if who, err = a.person(ctx, cred.User, now); err == nil {
			if err = alive(cred, who, now); err == nil {
				return actor{cred, who}, nil
			}
		}
	}
	if errors.Is(err, ErrInvalidToken) {
		a.recordInvalid(ctx, text, cred, addr)
	}
	return actor{}, err
}

// alive says whether cred, whose record was found, still holds for its user.
func alive(cred *policy.Credential, who *person, now time.Time) error {
	switch {
	case !now.Before(cred.Expires) && !(cred.Expires.IsZero() && cred.Kind == policy.KindForeign):
		return ErrInvalidToken
	case who.account.Disabled || who.account.ID != cred.User:
		return ErrInvalidToken
	case ended(who.account.NotBefore, cred.Created):
		return ErrInvalidToken
	case cred.Kind == policy.KindSession && ended(who.sessionsNotBefore, cred.Created):
		return ErrInvalidToken
	}
	return nil
}

// ended reports whether what was created is dead by a not-before instant. What
// was created in that very instant is.
func ended(notBefore, created time.Time) bool {
	return !notBefore.IsZero() && !created.After(notBefore)
}

// credential finds the record of a presented secret.
func (a *Auth) credential(ctx context.Context, text string, now time.Time) (*policy.Credential, error) {
	d, ok := credential.Parse(text)
	if !ok {
		return a.foreignCredential(ctx, text)
	}
	if cred, ok := a.caches.credentials.Get(d, now); ok {
		return cred, nil
	}
	fill := a.caches.credentials.Begin(d)
	items, err := a.store.Get(ctx, session.Key(d), token.Key(d))
	if err != nil {
		return nil, err
	}
	var cred *policy.Credential
	switch {
	case items[0].Exists():
		cred, err = session.Open(items[0])
	case items[1].Exists():
		cred, err = token.Open(items[1])
	default:
		return nil, ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	a.caches.credentials.Put(d, cred, now, fill)
	return cred, nil
}

func (a *Auth) foreignCredential(ctx context.Context, text string) (*policy.Credential, error) {
	if a.foreign == nil {
		return nil, ErrInvalidToken
	}
	f, err := a.foreign(ctx, credential.NewSecret(text))
	if err != nil {
		return nil, err
	}
	if f.User == "" || f.ID == "" {
		return nil, ErrInvalidToken
	}
	return &policy.Credential{
		ID: f.ID, Kind: policy.KindForeign, User: f.User, Grants: f.Grants,
		CIDRs: f.CIDRs, Created: f.Created, Expires: f.Expires,
	}, nil
}

// person returns what is true of a user now. Who does not exist is a dead
// credential and not an outage.
func (a *Auth) person(ctx context.Context, id policy.UserID, now time.Time) (*person, error) {
	if who, ok := a.caches.people.Get(id, now); ok {
		return who, nil
	}
	fill := a.caches.people.Begin(id)
	user, err := a.users.User(ctx, id)
	if errors.Is(err, ErrNoUser) {
		return nil, ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	items, err := a.store.Get(ctx, account.SubjectKey(id))
	if err != nil {
		return nil, err
	}
	sub, err := account.DecodeSubject(id, items[0])
	if err != nil {
		return nil, err
	}
	who := &person{
		account: policy.Account{
			ID: user.ID, Name: user.Name, Disabled: user.Disabled || sub.Disabled,
			TwoFactor: sub.TwoFactor, NotBefore: sub.NotBefore,
		},
		sessionsNotBefore: sub.SessionsNotBefore,
		user:              user,
	}
	a.caches.people.Put(id, who, now, fill)
	return who, nil
}

// recordInvalid tells of a credential that did not authenticate, by its public
// ID where there is one. An ID token shown as a bearer is told apart: people
// do put it where the token belongs that it can be exchanged for.
func (a *Auth) recordInvalid(ctx context.Context, text string, cred *policy.Credential, addr netip.Addr) {
	e := audit.Event{Type: audit.BadCredential, Outcome: audit.Denied, Addr: addr, Reason: "invalid-token"}
	if strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 {
		e.Type, e.Reason = audit.JWTAsBearer, "jwt-as-bearer"
	}
	if cred != nil {
		e.User, e.Credential = cred.User, cred.ID
	}
	a.record(ctx, e)
}

// Authenticate returns who r comes from. A request without a credential is
// [ErrNoCredential], and one whose credential does not hold [ErrInvalidToken];
// any other error is an outage. None of them is an identity.
func (a *Auth) Authenticate(r *http.Request) (Identity, error) {
	act, err := a.authenticate(r.Context(), r.Header, a.client(r), a.now())
	if err != nil {
		return Identity{}, err
	}
	if act.cred == nil {
		return Identity{}, ErrNoCredential
	}
	return act.identity(), nil
}
