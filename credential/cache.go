package credential

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache remembers decoded records for a short time, so that a warm request
// neither asks the store nor decodes. It is bounded, never serves what is older
// than its freshness, and a fill that a Drop overtook is not kept:
//
//	v, ok := cache.Get(k, now)
//	if !ok {
//		fill := cache.Begin(k)        // before the read
//		v = readAndDecode(k)
//		cache.Put(k, v, now, fill)    // nothing, if k was dropped meanwhile
//	}
//
// Values are shared between callers and must not be changed. A Cache is safe
// for concurrent use.
type Cache[K comparable, V any] struct {
	shards []cacheShard[K, V]
	shard  func(K) uint64
	limit  int // entries a shard
	fresh  time.Duration
	// base is what ages are counted from: a difference of two times uses the
	// monotonic clock where both have it, so that a clock that is set back
	// does not prolong an entry.
	base time.Time
}

type cacheShard[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]cacheEntry[V] // guarded by mu
	epoch   atomic.Uint64       // changed under mu; drops and clears so far, and one
	_       [88]byte            // a shard's lock shares no cache line with its neighbour's
}

type cacheEntry[V any] struct {
	value V
	at    time.Duration // since base
}

// A Fill is the moment before a read, see [Cache.Begin]. With the zero value
// nothing is kept.
type Fill struct{ epoch uint64 }

const maxShards = 256

// NewCache returns a Cache of at most max entries, each served for less than
// fresh after it was read. Zero or less of either serves nothing at all. The
// shard function spreads keys evenly over all 64 bits, [Digest.Shard] for
// digests; nil is a seeded hash, for any other key.
func NewCache[K comparable, V any](max int, fresh time.Duration, shard func(K) uint64) *Cache[K, V] {
	if shard == nil {
		seed := maphash.MakeSeed()
		shard = func(k K) uint64 { return maphash.Comparable(seed, k) }
	}
	n := 1
	for n < maxShards && n*16 <= max {
		n *= 2
	}
	c := &Cache[K, V]{
		shards: make([]cacheShard[K, V], n),
		shard:  shard,
		limit:  max / n,
		fresh:  fresh,
		base:   time.Now(),
	}
	for i := range c.shards {
		c.shards[i].entries = make(map[K]cacheEntry[V])
		c.shards[i].epoch.Store(1)
	}
	return c
}

// Shard is the shard function of digests, which are uniform already.
func (d Digest) Shard() uint64 { return binary.LittleEndian.Uint64(d[:8]) }

func (c *Cache[K, V]) of(k K) *cacheShard[K, V] {
	return &c.shards[c.shard(k)&uint64(len(c.shards)-1)]
}

// Get returns the value of k if it was read less than the freshness before now.
func (c *Cache[K, V]) Get(k K, now time.Time) (V, bool) {
	s := c.of(k)
	s.mu.RLock()
	e, ok := s.entries[k]
	s.mu.RUnlock()
	if ok {
		// An age below zero is a clock that was set back, or a neighbour's
		// request: reading again is always right.
		if age := now.Sub(c.base) - e.at; age >= 0 && age < c.fresh {
			return e.value, true
		}
	}
	var none V
	return none, false
}

// Begin must be called before the record of k is read, and what it returns be
// given to Put with what was read.
func (c *Cache[K, V]) Begin(k K) Fill { return Fill{c.of(k).epoch.Load()} }

// Put keeps v as the value of k. The time must have been taken before the record
// was read. It keeps nothing if k, or a neighbour in its shard, was dropped since
// fill began: the read may be older than the change that the drop tells of.
func (c *Cache[K, V]) Put(k K, v V, now time.Time, fill Fill) {
	if c.fresh <= 0 || c.limit <= 0 {
		return
	}
	s := c.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() != fill.epoch {
		return
	}
	at := now.Sub(c.base)
	if _, ok := s.entries[k]; !ok && len(s.entries) >= c.limit {
		c.evict(s, at)
	}
	s.entries[k] = cacheEntry[V]{v, at}
}

// evict makes room for one entry. It looks at a few, which is as good as random
// since a map's iteration begins anywhere, and drops those that are no longer
// served, or else the first: what is asked for often comes back with the next
// request.
func (c *Cache[K, V]) evict(s *cacheShard[K, V], at time.Duration) {
	var first K
	looked := 0
	for k, e := range s.entries {
		if looked == 0 {
			first = k
		}
		if at-e.at >= c.fresh {
			delete(s.entries, k)
		}
		if looked++; looked == 8 {
			break
		}
	}
	if len(s.entries) >= c.limit {
		delete(s.entries, first)
	}
}

// Drop forgets k, also where a fill of it is under way. It is called for each
// key that a commit may have changed, before that commit is reported done.
func (c *Cache[K, V]) Drop(k K) {
	s := c.of(k)
	s.mu.Lock()
	s.epoch.Add(1)
	delete(s.entries, k)
	s.mu.Unlock()
}

// Clear forgets everything, and every fill under way.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch.Add(1)
		clear(s.entries)
		s.mu.Unlock()
	}
}

// Len returns how many entries are held, stale ones too.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}
