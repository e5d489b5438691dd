package credential

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache keeps decoded records for a short time, so that a warm request neither reads the
// store nor decodes. It is bounded, returns no value that is older than its freshness, and does
// not keep a value whose key was dropped while it was read:
//
//	v, ok := cache.Get(k, now)
//	if !ok {
//		fill := cache.Begin(k)        // before the read
//		v = readAndDecode(k)
//		cache.Put(k, v, now, fill)    // nothing, if k was dropped meanwhile
//	}
//
// If every change is reported, whatever node made it, [Cache.Seen] keeps entries alive that
// would otherwise be too old.
//
// Values are shared between callers and must not be changed. A Cache is safe
// for concurrent use.
type Cache[K comparable, V any] struct {
	shards []cacheShard[K, V]
	seed   maphash.Seed
	limit  int // entries a shard
	fresh  time.Duration
	// base is the time that ages are counted from: a difference of two times uses the monotonic
	// clock if both have it, so that a clock that is set back does not prolong an entry.
	base time.Time
	seen atomic.Int64 // since base: entries are no older than this, see Seen
}

// A cacheShard has the keys of one hash. There are several so that a Drop voids few fills.
type cacheShard[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]cacheEntry[V] // guarded by mu
	state   uint64              // guarded by mu; one more with each drop and clear
}

type cacheEntry[V any] struct {
	value V
	at    time.Duration // since base
}

// A Fill is the moment before a read, see [Cache.Begin]. With the zero value Put keeps nothing.
type Fill struct{ state uint64 }

const (
	maxShards = 256
	// evictFrom is the number of entries of which the oldest is evicted for a new one.
	evictFrom = 8
)

// NewCache returns a Cache of at most max entries, each returned for less than fresh after it
// was read. If either is zero or less the Cache returns nothing at all.
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

// Get returns the value of k if it was read, or was confirmed by Seen, less than the freshness
// before now.
func (c *Cache[K, V]) Get(k K, now time.Time) (V, bool) {
	s := c.lock(k)
	e, ok := s.entries[k]
	s.mu.Unlock()
	// An age below zero comes from a clock that was set back, or from a concurrent request: to
	// read the record is always right.
	age := now.Sub(c.base) - max(e.at, time.Duration(c.seen.Load()))
	if !ok || age < 0 || age >= c.fresh {
		var none V
		return none, false
	}
	return e.value, true
}

// Seen tells the Cache that the keys of all changes before t, wherever they were made, have
// been dropped. An older entry then counts as read at t. Call it regularly; the first call
// clears everything. Once the calls stop, entries grow old as without it. A t before that of an
// earlier call is ignored.
func (c *Cache[K, V]) Seen(t time.Time) {
	at := int64(t.Sub(c.base))
	for {
		had := c.seen.Load()
		if at <= had || c.seen.CompareAndSwap(had, at) {
			return
		}
	}
}

// Begin must be called before the record of k is read. Give its result to Put with the value.
func (c *Cache[K, V]) Begin(k K) Fill {
	s := c.lock(k)
	defer s.mu.Unlock()
	return Fill{s.state}
}

// Put keeps v as the value of k. now must have been taken before the record was read. Put keeps
// nothing if k, or another key of its shard, was dropped since fill began: the read may be
// older than the change.
func (c *Cache[K, V]) Put(k K, v V, now time.Time, fill Fill) {
	if c.fresh <= 0 || c.limit <= 0 {
		return
	}
	s := c.lock(k)
	defer s.mu.Unlock()
	if s.state != fill.state {
		return
	}
	if _, ok := s.entries[k]; !ok && len(s.entries) >= c.limit {
		s.evict()
	}
	s.entries[k] = cacheEntry[V]{v, now.Sub(c.base)}
}

// evict drops the oldest of some entries, those that a map yields first: a key that is often
// read returns with the next request. The caller has locked s.mu.
func (s *cacheShard[K, V]) evict() {
	var victim K
	oldest, seen := time.Duration(math.MaxInt64), 0
	for k, e := range s.entries {
		if e.at < oldest {
			victim, oldest = k, e.at
		}
		if seen++; seen == evictFrom {
			break
		}
	}
	delete(s.entries, victim)
}

// Drop drops the entry of k, and voids a fill of it that is under way. Call it for each key that a
// commit may have changed, before the commit is acknowledged.
func (c *Cache[K, V]) Drop(k K) {
	c.DropUnless(k, func(V) bool { return false })
}

// DropUnless is [Cache.Drop], but keeps the value of k if it is current. A fill of k that is under
// way is voided in any case, since its value is not known.
func (c *Cache[K, V]) DropUnless(k K, current func(V) bool) {
	s := c.lock(k)
	defer s.mu.Unlock()
	s.state++
	if e, ok := s.entries[k]; ok && !current(e.value) {
		delete(s.entries, k)
	}
}

// DropWhere drops every entry for whose value is returns true, and voids every fill under way. It
// visits all entries.
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

// Clear drops all entries, and voids every fill under way.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.state++
		s.entries = make(map[K]cacheEntry[V])
		s.mu.Unlock()
	}
}

// Len returns the number of entries, stale ones too.
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
