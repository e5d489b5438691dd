package credential

import (
	"encoding/binary"
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
	shard  func(K) uint64
	limit  int // entries a shard
	fresh  time.Duration
	// base is what ages are counted from: a difference of two times uses the
	// monotonic clock where both have it, so that a clock that is set back
	// does not prolong an entry.
	base time.Time
	seen atomic.Int64 // since base: entries are no older than this, see Seen
}

// A cacheShard is a table of buckets that is read without a lock. Who writes holds
// mu; a larger table is filled before it takes the place of the smaller one.
type cacheShard[K comparable, V any] struct {
	table atomic.Pointer[[]bucket[K, V]]
	epoch atomic.Uint64 // changed under mu; drops and clears so far, and one
	mu    sync.Mutex
	used  int      // guarded by mu
	_     [88]byte // a shard's lock shares no cache line with its neighbour's
}

// A bucket is one cache line: a look that finds nothing reads no entry.
type bucket[K comparable, V any] [4]slot[K, V]

type slot[K comparable, V any] struct {
	tag   atomic.Uint64 // of the entry's key; 0: empty
	entry atomic.Pointer[cacheEntry[K, V]]
}

// A cacheEntry does not change.
type cacheEntry[K comparable, V any] struct {
	key   K
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
	c.seen.Store(math.MinInt64) // never: a clock may be behind base
	for i := range c.shards {
		c.shards[i].table.Store(&[]bucket[K, V]{{}})
		c.shards[i].epoch.Store(1)
	}
	return c
}

// Shard is the shard function of digests, which are uniform already.
func (d Digest) Shard() uint64 { return binary.LittleEndian.Uint64(d[:8]) }

// of returns the shard of k and its hash.
func (c *Cache[K, V]) of(k K) (*cacheShard[K, V], uint64) {
	h := c.shard(k)
	return &c.shards[h&uint64(len(c.shards)-1)], h
}

// index is the bucket of a hash in a table, whose length is a power of two. The
// bits that chose the shard are not used again.
func index(h uint64, buckets int) int { return int(h >> 8 & uint64(buckets-1)) }

// tag is a hash as a slot keeps it, which is never 0.
func tag(h uint64) uint64 { return h | 1 }

// find returns the slot in the bucket of h that holds k, and what it held, or nil.
func find[K comparable, V any](table []bucket[K, V], h uint64, k K) (*slot[K, V], *cacheEntry[K, V]) {
	b := &table[index(h, len(table))]
	for i := range b {
		if b[i].tag.Load() == tag(h) {
			if e := b[i].entry.Load(); e != nil && e.key == k {
				return &b[i], e
			}
		}
	}
	return nil, nil
}

// Get returns the value of k if it was read, or has been vouched for by Seen, less
// than the freshness before now.
func (c *Cache[K, V]) Get(k K, now time.Time) (V, bool) {
	h := c.shard(k)
	table := *c.shards[h&uint64(len(c.shards)-1)].table.Load()
	b := &table[index(h, len(table))] // as find does, without two more copies of k
	for i := range b {
		if b[i].tag.Load() != tag(h) {
			continue
		}
		if e := b[i].entry.Load(); e != nil && e.key == k && c.current(e.at, now) {
			return e.value, true
		}
	}
	var none V
	return none, false
}

func (c *Cache[K, V]) current(at time.Duration, now time.Time) bool {
	// An age below zero is a clock that was set back, or a neighbour's request:
	// reading again is always right.
	age := now.Sub(c.base) - max(at, time.Duration(c.seen.Load()))
	return age >= 0 && age < c.fresh
}

// A Moment is a time as one Cache counts it: quick to compare, and of no use elsewhere.
type Moment struct{ since time.Duration }

// Moment returns t for [Cache.Current].
func (c *Cache[K, V]) Moment(t time.Time) Moment { return Moment{t.Sub(c.base)} }

// Current reports whether what was read at a moment would be served now, had it been
// kept and never dropped. It is for what is remembered elsewhere under the same rule.
func (c *Cache[K, V]) Current(read Moment, now time.Time) bool { return c.current(read.since, now) }

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
	s, _ := c.of(k)
	return Fill{s.epoch.Load()}
}

// Put keeps v as the value of k. The time must have been taken before the record
// was read. It keeps nothing if k, or a neighbour in its shard, was dropped since
// fill began: the read may be older than the change that the drop tells of.
func (c *Cache[K, V]) Put(k K, v V, now time.Time, fill Fill) {
	if c.fresh <= 0 || c.limit <= 0 {
		return
	}
	s, h := c.of(k)
	e := &cacheEntry[K, V]{k, v, now.Sub(c.base)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() != fill.epoch {
		return
	}
	table := *s.table.Load()
	if held, _ := find(table, h, k); held != nil {
		held.entry.Store(e)
		return
	}
	if s.used >= c.limit {
		s.evict(table, h, len(table))
	}
	free := empty(table, h)
	for free == nil && len(table) < c.limit {
		table = c.grow(s, table)
		free = empty(table, h)
	}
	if free == nil { // as many of one bucket are rare, and a cache may forget
		s.evict(table, h, 1)
		free = empty(table, h)
	}
	free.entry.Store(e)
	free.tag.Store(tag(h))
	s.used++
}

// empty returns a free slot in the bucket of h, or nil.
func empty[K comparable, V any](table []bucket[K, V], h uint64) *slot[K, V] {
	b := &table[index(h, len(table))]
	for i := range b {
		if b[i].tag.Load() == 0 {
			return &b[i]
		}
	}
	return nil
}

// grow doubles the table. The caller holds s.mu.
func (c *Cache[K, V]) grow(s *cacheShard[K, V], table []bucket[K, V]) []bucket[K, V] {
	larger := make([]bucket[K, V], 2*len(table))
	for i := range table {
		for j := range table[i] {
			e := table[i][j].entry.Load()
			if e == nil {
				continue
			}
			h := c.shard(e.key)
			to := empty(larger, h) // its bucket takes from this one alone
			to.entry.Store(e)
			to.tag.Store(tag(h))
		}
	}
	s.table.Store(&larger)
	return larger
}

// evict drops one entry from the first bucket that has any, beginning with that
// of h and looking at no more than n: the oldest, which is one that is no longer
// served if there is one. What is asked for often comes back with the next request. The caller
// holds s.mu.
func (s *cacheShard[K, V]) evict(table []bucket[K, V], h uint64, n int) {
	for i := range n {
		b := &table[(index(h, len(table))+i)&(len(table)-1)]
		var victim *slot[K, V]
		var oldest time.Duration
		for j := range b {
			e := b[j].entry.Load()
			if e != nil && (victim == nil || e.at < oldest) {
				victim, oldest = &b[j], e.at
			}
		}
		if victim != nil {
			s.remove(victim)
			return
		}
	}
}

// remove empties a slot. The caller holds s.mu.
func (s *cacheShard[K, V]) remove(sl *slot[K, V]) {
	sl.tag.Store(0)
	sl.entry.Store(nil)
	s.used--
}

// Drop forgets k, also where a fill of it is under way. It is called for each
// key that a commit may have changed, before that commit is reported done.
func (c *Cache[K, V]) Drop(k K) {
	s, h := c.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch.Add(1)
	if held, _ := find(*s.table.Load(), h, k); held != nil {
		s.remove(held)
	}
}

// DropUnless is [Cache.Drop], but what is held for k stays if it is current. A fill of k that
// is under way is voided in any case: nobody knows what that has read.
func (c *Cache[K, V]) DropUnless(k K, current func(V) bool) {
	s, h := c.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch.Add(1)
	if held, e := find(*s.table.Load(), h, k); held != nil && !current(e.value) {
		s.remove(held)
	}
}

// DropWhere forgets every value that is one of those, and every fill under way. It looks at
// all that is held.
func (c *Cache[K, V]) DropWhere(is func(V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch.Add(1)
		table := *s.table.Load()
		for j := range table {
			for n := range table[j] {
				if e := table[j][n].entry.Load(); e != nil && is(e.value) {
					s.remove(&table[j][n])
				}
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
		s.epoch.Add(1)
		s.table.Store(&[]bucket[K, V]{{}})
		s.used = 0
		s.mu.Unlock()
	}
}

// Len returns how many entries are held, stale ones too.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.used
		s.mu.Unlock()
	}
	return n
}
