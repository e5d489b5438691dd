package credential

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache remembers decoded records for a short time, so that a warm request
// neither asks the store nor decodes. It is bounded, never serves what it cannot
// vouch for up to its freshness ago, and a fill that a Drop overtook is not kept:
//
//	v, ok := cache.Get(k, now)
//	if !ok {
//		fill := cache.Begin(k)        // before the read
//		v = readAndDecode(k)
//		cache.Put(k, v, now, fill)    // nothing, if k was dropped meanwhile
//	}
//
// Where every change is reported, by whatever node it was made, [Cache.Seen] lets
// entries live on that would be too old without.
//
// Values are shared between callers and must not be changed. A Cache is safe
// for concurrent use.
type Cache[K comparable, V any] struct {
	shards []cacheShard[K, V]
	seed   maphash.Seed
	limit  int // entries a shard
	fresh  time.Duration
	// base is what ages are counted from: a difference of two times uses the
	// monotonic clock where both have it, so that a clock that is set back
	// does not prolong an entry.
	base time.Time
	seen atomic.Int64 // since base: entries are no older than this, see Seen
}

// A cacheShard holds the keys of one hash. There are several so that a Drop voids few fills.
type cacheShard[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]cacheEntry[V] // guarded by mu
	state   uint64              // guarded by mu; one more with each drop and clear
}

type cacheEntry[V any] struct {
	value V
	at    time.Duration // since base
}

// A Fill is the moment before a read, see [Cache.Begin]. With the zero value
// nothing is kept.
type Fill struct{ state uint64 }

const (
	maxShards = 256
	// evictFrom is of how many entries the oldest gives way to a new one.
	evictFrom = 8
)

// NewCache returns a Cache of at most max entries, each served for less than
// fresh after it was read. Zero or less of either serves nothing at all.
func NewCache[K comparable, V any](max int, fresh time.Duration) *Cache[K, V] {
	n := 1
	for n < maxShards && n*16 <= max {
		n *= 2
	}
	c := &Cache[K, V]{
		shards: make([]cacheShard[K, V], n),
		seed:   maphash.MakeSeed(),
		limit:  max / n,
		fresh:  fresh,
		base:   time.Now(),
	}
	c.seen.Store(math.MinInt64) // never: a clock may be behind base
	for i := range c.shards {
		c.shards[i] = cacheShard[K, V]{entries: make(map[K]cacheEntry[V]), state: 1}
	}
	return c
}

// lock returns the shard of k, locked.
func (c *Cache[K, V]) lock(k K) *cacheShard[K, V] {
	s := &c.shards[maphash.Comparable(c.seed, k)%uint64(len(c.shards))]
	s.mu.Lock()
	return s
}

// Get returns the value of k if it was read, or has been vouched for by Seen, less
// than the freshness before now.
func (c *Cache[K, V]) Get(k K, now time.Time) (V, bool) {
	s := c.lock(k)
	e, ok := s.entries[k]
	s.mu.Unlock()
	// An age below zero is a clock that was set back, or a neighbour's request:
	// reading again is always right.
	age := now.Sub(c.base) - max(e.at, time.Duration(c.seen.Load()))
	if !ok || age < 0 || age >= c.fresh {
		var none V
		return none, false
	}
	return e.value, true
}

// Seen says that of all changes made before t, wherever they were made, the keys have
// been dropped. What is held then counts as read at t, if it is older. It is called
// again and again, and before the first time everything is cleared; when nothing calls
// it any more, entries grow old as if nothing ever had. An earlier t than before
// is ignored.
func (c *Cache[K, V]) Seen(t time.Time) {
	at := int64(t.Sub(c.base))
	for {
		had := c.seen.Load()
		if at <= had || c.seen.CompareAndSwap(had, at) {
			return
		}
	}
}

// Begin must be called before the record of k is read, and what it returns be
// given to Put with what was read.
func (c *Cache[K, V]) Begin(k K) Fill {
	s := c.lock(k)
	defer s.mu.Unlock()
	return Fill{s.state}
}

// Put keeps v as the value of k. The time must have been taken before the record
// was read. It keeps nothing if k, or a neighbour in its shard, was dropped since
// fill began: the read may be older than the change that the drop tells of.
func (c *Cache[K, V]) Put(k K, v V, now time.Time, fill Fill) {
	if c.fresh <= 0 || c.limit <= 0 {
		return
	}
	s := c.lock(k)
	defer s.mu.Unlock()
	if s.state != fill.state {
		return
	}
	if _, held := s.entries[k]; !held && len(s.entries) >= c.limit {
		s.evict()
	}
	s.entries[k] = cacheEntry[V]{v, now.Sub(c.base)}
}

// evict drops the oldest of some entries, those that a map yields first: what is asked for
// often comes back with the next request. The caller holds s.mu.
func (s *cacheShard[K, V]) evict() {
	var victim K
	oldest, looked := time.Duration(math.MaxInt64), 0
	for k, e := range s.entries {
		if e.at < oldest {
			victim, oldest = k, e.at
		}
		if looked++; looked == evictFrom {
			break
		}
	}
	delete(s.entries, victim)
}

// Drop forgets k, also where a fill of it is under way. It is called for each
// key that a commit may have changed, before that commit is reported done.
func (c *Cache[K, V]) Drop(k K) {
	c.DropUnless(k, func(V) bool { return false })
}

// DropUnless is [Cache.Drop], but what is held for k stays if it is current. A fill of k that
// is under way is voided in any case: nobody knows what that has read.
func (c *Cache[K, V]) DropUnless(k K, current func(V) bool) {
	s := c.lock(k)
	defer s.mu.Unlock()
	s.state++
	if e, held := s.entries[k]; held && !current(e.value) {
		delete(s.entries, k)
	}
}

// DropWhere forgets every value that is one of those, and every fill under way. It looks at
// all that is held.
func (c *Cache[K, V]) DropWhere(is func(V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.state++
		for k, e := range s.entries {
			if is(e.value) {
				delete(s.entries, k)
			}
		}
		s.mu.Unlock()
	}
}

// Clear forgets everything, and every fill under way.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.state++
		s.entries = make(map[K]cacheEntry[V])
		s.mu.Unlock()
	}
}

// Len returns how many entries are held, stale ones too.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}
