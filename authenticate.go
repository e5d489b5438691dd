package npmauth

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
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
	read              credential.Moment // before any of it was read
	account           policy.Account
	notBefore         time.Time
	sessionsNotBefore time.Time
	sessionKept       string
	user              User
	generation        atomic.Uint64 // of the user, before this was last found in the table or read
}

// caches hold what a warm request needs. Their entries are never older than
// Config.Fresh, or else a watcher of the store has vouched for them since, and a local
// change drops them before it is acknowledged.
type caches struct {
	hostFresh   time.Duration
	ownPeople   bool // people are in the store, and so watched; a host's are not
	credentials *credential.Cache[credential.Digest, *verified]
	people      *credential.Cache[policy.UserID, *person]
	generations [1 << 10]atomic.Uint64 // of people, by hash: a change of one ends the shortcuts to all of its own
	settings    *credential.Cache[policy.PackageID, policy.Settings]
	facts       *credential.Cache[factsKey, policy.Facts]
}

// A verified credential is shared by all requests that present it. It carries a
// shortcut to its user, which saves a warm request the look into a second table and
// holds while nothing about that person has changed.
type verified struct {
	cred       policy.Credential // by value: each pointer to follow is a wait for memory
	generation *atomic.Uint64    // of the user
	who        atomic.Pointer[person]
}

type factsKey struct {
	pkg  policy.PackageName
	user policy.UserID
}

var hashSeed = maphash.MakeSeed()

func newCaches(fresh, hostFresh time.Duration, ownPeople bool) *caches {
	return &caches{
		hostFresh: hostFresh, ownPeople: ownPeople,
		credentials: credential.NewCache[credential.Digest, *verified](1<<20, fresh, credential.Digest.Shard),
		people: credential.NewCache[policy.UserID, *person](1<<17, fresh, func(id policy.UserID) uint64 {
			return maphash.String(hashSeed, string(id))
		}),
		settings: credential.NewCache[policy.PackageID, policy.Settings](1<<17, fresh, func(id policy.PackageID) uint64 {
			return maphash.String(hashSeed, string(id))
		}),
		facts: credential.NewCache[factsKey, policy.Facts](1<<17, hostFresh, func(k factsKey) uint64 {
			return maphash.Comparable(hashSeed, k) // all of it: every scope may have a package of one name
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
			c.dropPerson(id)
		} else if id, ok := account.PersonOf(key); ok {
			c.dropPerson(id)
		} else if account.IsEpoch(key) {
			c.dropPeople()
		} else if id, ok := access.PackageOf(key); ok {
			c.settings.Drop(id)
		}
	}
}

func (c *caches) dropPerson(id policy.UserID) {
	c.people.Drop(id)
	c.generation(id).Add(1) // after the Drop: what is read from now on is new
}

// forget drops everything of the store's, also what is being read.
func (c *caches) forget() {
	c.credentials.Clear()
	c.settings.Clear()
	c.dropPeople()
}

func (c *caches) dropPeople() {
	c.people.Clear()
	for i := range c.generations {
		c.generations[i].Add(1)
	}
}

// seen says that what other nodes changed before t has been dropped.
func (c *caches) seen(t time.Time) {
	c.credentials.Seen(t)
	c.settings.Seen(t)
	if c.ownPeople {
		c.people.Seen(t)
	}
}

func (c *caches) generation(id policy.UserID) *atomic.Uint64 {
	return &c.generations[maphash.String(hashSeed, string(id))%uint64(len(c.generations))]
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
	const usual = "Bearer npm"
	if text := lines[0]; len(text) > len(usual) && text[:len(usual)] == usual {
		return text[len("Bearer "):], nil // what else is in it, Parse refuses
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
	v, err := a.verify(ctx, text, now)
	if err == nil {
		var who *person
		if who, err = a.owner(ctx, v, now); err == nil {
			if err = alive(&v.cred, who, now); err == nil {
				return actor{&v.cred, who}, nil
			}
		}
	}
	if errors.Is(err, ErrInvalidToken) {
		a.recordInvalid(ctx, text, v, addr)
	}
	return actor{}, err
}

// owner returns the user of a verified credential.
func (a *Auth) owner(ctx context.Context, v *verified, now time.Time) (*person, error) {
	generation := v.generation.Load() // before anything is read
	if who := v.who.Load(); who != nil && who.generation.Load() == generation && a.caches.people.Current(who.read, now) {
		return who, nil
	}
	who, err := a.person(ctx, v.cred.User, now)
	if err != nil {
		return nil, err
	}
	who.generation.Store(generation)
	v.who.Store(who)
	return who, nil
}

// alive says whether cred, whose record was found, still holds for its user.
func alive(cred *policy.Credential, who *person, now time.Time) error {
	switch {
	case !now.Before(cred.Expires) && !(cred.Expires.IsZero() && cred.Kind == policy.KindForeign):
		return ErrInvalidToken
	case who.account.Disabled || who.account.ID != cred.User:
		return ErrInvalidToken
	case ended(who.notBefore, cred.Created):
		return ErrInvalidToken
	case cred.Kind == policy.KindSession && ended(who.sessionsNotBefore, cred.Created) && cred.ID != who.sessionKept:
		return ErrInvalidToken
	}
	return nil
}

// ended reports whether what was created is dead by a not-before instant. What
// was created in that very instant is.
func ended(notBefore, created time.Time) bool {
	return !notBefore.IsZero() && !created.After(notBefore)
}

// verify finds the record of a presented secret.
func (a *Auth) verify(ctx context.Context, text string, now time.Time) (*verified, error) {
	if d, ok := credential.Peek(text); ok {
		if v, ok := a.caches.credentials.Get(d, now); ok {
			return v, nil
		}
	}
	d, ok := credential.Parse(text)
	if !ok {
		return a.verifyForeign(ctx, text)
	}
	fill := a.caches.credentials.Begin(d)
	cred, err := a.stored(ctx, d)
	if err != nil {
		return nil, err
	}
	v := &verified{cred: *cred, generation: a.caches.generation(cred.User)}
	a.caches.credentials.Put(d, v, now, fill)
	return v, nil
}

// stored returns the credential of a digest, as its record says. All kinds are
// looked up in one request, so that nothing about a token's form decides what it is.
func (a *Auth) stored(ctx context.Context, d credential.Digest) (*policy.Credential, error) {
	items, err := a.store.Get(ctx, session.Key(d), token.Key(d))
	switch {
	case err != nil:
		return nil, err
	case items[0].Exists():
		return session.Open(items[0])
	case items[1].Exists():
		return token.Open(items[1])
	}
	return nil, ErrInvalidToken
}

func (a *Auth) verifyForeign(ctx context.Context, text string) (*verified, error) {
	if a.foreign == nil || strings.ContainsAny(text, " ,\t") {
		return nil, ErrInvalidToken
	}
	f, err := a.foreign(ctx, credential.NewSecret(text))
	if err != nil {
		return nil, err
	}
	if f.User == "" || f.ID == "" {
		return nil, ErrInvalidToken
	}
	return &verified{
		cred: policy.Credential{
			ID: f.ID, Kind: policy.KindForeign, User: f.User, Grants: f.Grants,
			CIDRs: f.CIDRs, Created: f.Created, Expires: f.Expires,
		},
		generation: a.caches.generation(f.User),
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
	sub, err := a.subjects.Get(ctx, a.store, id)
	if err != nil {
		return nil, err
	}
	who := &person{
		read: a.caches.people.Moment(now),
		account: policy.Account{
			ID: user.ID, Name: user.Name, Disabled: user.Disabled || sub.Disabled,
			TwoFactor: sub.TwoFactor, CIDRs: sub.CIDRs,
			Service:    user.Service,
			HighImpact: user.HighImpact || sub.HighImpact, Recovered: sub.Recovered,
		},
		notBefore:         sub.NotBefore,
		sessionsNotBefore: sub.SessionsNotBefore,
		sessionKept:       sub.SessionKept,
		user:              user,
	}
	a.caches.people.Put(id, who, now, fill)
	return who, nil
}

// recordInvalid tells of a credential that did not authenticate, by its public
// ID where there is one. An ID token shown as a bearer is told apart: people
// do put it where the token belongs that it can be exchanged for.
func (a *Auth) recordInvalid(ctx context.Context, text string, v *verified, addr netip.Addr) {
	e := audit.Event{Type: audit.BadCredential, Outcome: audit.Denied, Addr: addr, Reasons: []string{"invalid-token"}}
	if strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 {
		e.Type, e.Reasons = audit.JWTAsBearer, []string{"jwt-as-bearer"}
	}
	if v != nil {
		e.User, e.Credential = v.cred.User, v.cred.ID
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
