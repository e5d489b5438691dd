package authz

import (
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// caches hold what a warm request needs. Their entries are never older than
// Config.Fresh, or else a watcher of the store has vouched for them since, and a local
// change drops them before it is acknowledged.
type caches struct {
	hostFresh   time.Duration
	ownPeople   bool // people are in the store, and so watched; a host's are not
	credentials *credential.Cache[credential.Prefix, *Verified]
	people      *credential.Cache[holder, *Person]
	settings    *credential.Cache[protocol.PackageID, policy.Settings]
	scopes      *credential.Cache[string, settings.Scope]
	facts       *credential.Cache[factsKey, policy.Facts]
	noticed     *credential.Cache[noticeKey, struct{}] // of which something was told lately
}

// A noticeKey is a secret by the first half of its digest, and where it came from.
type noticeKey struct {
	secret credential.Prefix
	addr   netip.Addr
}

// noticeEvery is how often the sender of one secret is told the same with what an installation reads.
const noticeEvery = time.Minute

type factsKey struct {
	pkg  protocol.PackageName
	user protocol.UserID
}

func newCaches(fresh, hostFresh time.Duration, ownPeople bool) *caches {
	return &caches{
		hostFresh: hostFresh, ownPeople: ownPeople,
		credentials: credential.NewCache[credential.Prefix, *Verified](1<<20, fresh),
		people:      credential.NewCache[holder, *Person](1<<17, fresh),
		settings:    credential.NewCache[protocol.PackageID, policy.Settings](1<<17, fresh),
		scopes:      credential.NewCache[string, settings.Scope](1<<15, fresh),
		facts:       credential.NewCache[factsKey, policy.Facts](1<<17, hostFresh),
		noticed:     credential.NewCache[noticeKey, struct{}](1<<14, noticeEvery),
	}
}

// changed drops what a commit may have changed. It runs before that commit is
// acknowledged to anyone.
func (c *caches) changed(keys []string) {
	for _, key := range keys {
		if d, ok := session.DigestOf(key); ok {
			c.credentials.Drop(d.Prefix())
		} else if p, ok := token.PrefixFromKey(key); ok {
			c.credentials.Drop(p)
		} else if d, ok := token.DigestOfRevoked(key); ok {
			c.credentials.Drop(d.Prefix())
		} else if id, ok := subject.Of(key); ok {
			c.people.Drop(holder{user: id})
		} else if id, ok := account.PersonOf(key); ok {
			c.people.Drop(holder{user: id})
		} else if id, ok := trust.PackageOf(key); ok {
			c.people.Drop(holder{pkg: id})
		} else if scope, ok := trust.ScopeOf(key); ok {
			c.people.Drop(holder{scope: scope})
		} else if p, ok := trust.PrefixFromKey(key); ok {
			c.credentials.Drop(p)
		} else if subject.IsEveryone(key) {
			c.people.Clear()
		} else if id, ok := settings.PackageOf(key); ok {
			c.settings.Drop(id)
		} else if scope, ok := settings.ScopeOf(key); ok {
			c.scopes.Drop(scope)
		}
	}
}

// read drops what is held at another revision than that which this node has read, for
// whatever reason: another node may have changed it, and what is answered on that is true
// here from then on.
func (c *caches) read(items []store.Item) {
	for _, it := range items {
		if d, ok := session.DigestOf(it.Key); ok {
			c.readCredential(d.Prefix(), policy.KindSession, it.Revision)
		} else if p, ok := token.PrefixFromKey(it.Key); ok {
			c.readCredential(p, policy.KindToken, it.Revision)
		} else if p, ok := trust.PrefixFromKey(it.Key); ok {
			c.readCredential(p, policy.KindPublisher, it.Revision)
		} else if id, ok := session.IDOf(it.Key); ok && !it.Exists() {
			c.credentials.DropWhere(func(v *Verified) bool { return v.Credential.ID == id })
		} else if id, ok := subject.Of(it.Key); ok {
			c.readHolder(holder{user: id}, items)
		} else if id, ok := trust.PackageOf(it.Key); ok {
			c.readHolder(holder{pkg: id}, items)
		} else if scope, ok := trust.ScopeOf(it.Key); ok {
			c.readHolder(holder{scope: scope}, items)
		}
	}
}

func (c *caches) readCredential(p credential.Prefix, kind policy.Kind, at store.Revision) {
	c.credentials.DropUnless(p, func(v *Verified) bool { return v.Credential.Kind != kind || v.revision == at })
}

// readHolder compares both of the rows of a holder, which are read together.
func (c *caches) readHolder(h holder, items []store.Item) {
	c.people.DropUnless(h, func(who *Person) bool {
		return !slices.ContainsFunc(items, func(it store.Item) bool {
			return slices.ContainsFunc(who.evidence(), func(e store.Evidence) bool { return e.Key == it.Key && e.Revision != it.Revision })
		})
	})
}

// forget drops everything of the store's, also what is being read.
func (c *caches) forget() {
	c.credentials.Clear()
	c.settings.Clear()
	c.scopes.Clear()
	c.people.Clear()
}

// seen says that what other nodes changed before t has been dropped.
func (c *caches) seen(t time.Time) {
	c.credentials.Seen(t)
	c.settings.Seen(t)
	c.scopes.Seen(t)
	if c.ownPeople {
		c.people.Seen(t)
	}
}
