// Package bucket limits how often networks may do what costs something: a token bucket for each,
// in memory.
//
//	b := bucket.New(60, 10*time.Second, time.Now) // 60 at once, and one more each 10 seconds
//	if wait := b.Take(addr, 1); wait > 0 {
//		return tooMany(wait)
//	}
package bucket

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/npmauth/npmauth/internal/cidr"
)

// siteWorth is how many networks the /48 of IPv6 that they are in is worth, which one customer of a
// hosting provider can have.
const siteWorth = 4

// maxNetworks bounds the memory, to some MiB. Beyond it the network that was seen longest ago is
// forgotten: a client that has more networks than that could be stopped by none of its buckets.
const maxNetworks = 1 << 16

// Buckets are a bucket for each network. The clients whose address is not known are one network.
// It is safe for concurrent use.
type Buckets struct {
	size  float64
	every time.Duration
	now   func() time.Time

	mu    sync.Mutex
	known map[netip.Prefix]*list.Element // guarded by mu; the values are *bucket
	order *list.List                     // guarded by mu; seen last in front
}

type bucket struct {
	network netip.Prefix
	worth   float64
	taken   float64 // of size times worth
	at      time.Time
}

// New returns Buckets of size, which get one back each time that every has passed.
func New(size int, every time.Duration, now func() time.Time) *Buckets {
	return &Buckets{size: float64(size), every: every, now: now, known: map[netip.Prefix]*list.Element{}, order: list.New()}
}

// Take takes n from the buckets of the client's networks and returns 0. If one of them does not
// have n, it takes nothing and returns how long to wait for them.
func (b *Buckets) Take(client netip.Addr, n int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, wait := b.wait(client, n)
	if wait > 0 {
		return wait
	}
	for _, k := range own {
		k.taken += float64(n)
	}
	return 0
}

// wait returns the buckets of the client, and how long it takes until each has n.
func (b *Buckets) wait(client netip.Addr, n int) (own []*bucket, wait time.Duration) {
	own = b.of(client)
	for _, k := range own {
		if missing := k.taken + float64(n) - b.size*k.worth; missing > 0 {
			wait = max(wait, time.Duration(missing/k.worth*float64(b.every))+1)
		}
	}
	return own, wait
}

// Wait returns how long to wait for one, 0 if there is one now. It takes nothing: for what costs only
// if it turns out to be wrong, see [Buckets.Spend].
func (b *Buckets) Wait(client netip.Addr) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, wait := b.wait(client, 1)
	return wait
}

// Spend takes one, also where there is none.
func (b *Buckets) Spend(client netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.of(client) {
		k.taken = min(k.taken+1, b.size*k.worth)
	}
}

// of returns the buckets of a client, as they are now.
func (b *Buckets) of(client netip.Addr) []*bucket {
	network := cidr.Network(client)
	own := []*bucket{b.get(network, 1)}
	if network.IsValid() && network.Addr().Is6() {
		site, _ := network.Addr().Prefix(48)
		own = append(own, b.get(site, siteWorth))
	}
	return own
}

func (b *Buckets) get(network netip.Prefix, worth float64) *bucket {
	now := b.now()
	e, ok := b.known[network]
	if !ok {
		e = b.order.PushFront(&bucket{network: network, worth: worth, at: now})
		b.known[network] = e
		if b.order.Len() > maxNetworks {
			oldest := b.order.Remove(b.order.Back()).(*bucket)
			delete(b.known, oldest.network)
		}
	}
	b.order.MoveToFront(e)
	k := e.Value.(*bucket)
	if passed := now.Sub(k.at); passed > 0 { // a clock that is set back gives nothing
		k.taken = max(k.taken-worth*float64(passed)/float64(b.every), 0)
	}
	k.at = now
	return k
}
