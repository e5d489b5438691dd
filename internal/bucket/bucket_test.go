package bucket

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open(size int) (*Buckets, *clock) {
	c := &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	return New(size, 10*time.Second, c.Now), c
}

// takes returns how many the client gets before it has to wait.
func takes(b *Buckets, client netip.Addr) (n int) {
	for ; n < 10_000 && b.Take(client, 1) == 0; n++ {
	}
	return n
}

func TestBuckets(t *testing.T) {
	b, c := open(3)
	client := netip.MustParseAddr("192.0.2.7")
	assert.Equal(t, 3, takes(b, client))
	assert.InDelta(t, 10*time.Second, b.Take(client, 1), float64(time.Millisecond))
	assert.InDelta(t, 20*time.Second, b.Take(client, 2), float64(time.Millisecond))
	c.now = c.now.Add(-time.Hour)
	assert.Positive(t, b.Take(client, 1), "a clock that is set back")
	c.now = c.now.Add(9 * time.Second)
	assert.Positive(t, b.Take(client, 1))
	c.now = c.now.Add(2 * time.Second)
	assert.Equal(t, 1, takes(b, client), "one more after ten seconds")
	c.now = c.now.Add(time.Hour)
	for range 10 {
		assert.Zero(t, b.Wait(client), "which takes nothing")
	}
	assert.Equal(t, 3, takes(b, client), "no more than there is room for")
	assert.InDelta(t, 10*time.Second, b.Wait(client), float64(time.Millisecond))
	for range 100 {
		b.Spend(client) // what was wrong when there was none any more
	}
	assert.InDelta(t, 10*time.Second, b.Wait(client), float64(time.Millisecond), "no longer for that")
	c.now = c.now.Add(time.Hour)
	b.Spend(client)
	assert.Equal(t, 2, takes(b, client))
	c.now = c.now.Add(time.Hour)
	assert.Positive(t, b.Take(netip.MustParseAddr("198.51.100.1"), 4), "never more than the size")
}

// AU-22
func TestNetworks(t *testing.T) {
	tests := []struct {
		name, a, b string
		left       int // of 3 for b, after a took all it could
	}{
		{"IPv4: one /24", "192.0.2.7", "192.0.2.200", 0},
		{"IPv4: another /24", "192.0.2.7", "192.0.3.7", 3},
		{"IPv4 in IPv6", "192.0.2.7", "::ffff:192.0.2.8", 0},
		{"IPv6: one /56", "2001:db8::1", "2001:db8:0:ff::1", 0},
		{"IPv6: one /48", "2001:db8::1", "2001:db8:0:100::1", 3},
		{"a zone", "fe80::1%eth0", "fe80::1%eth1", 0},
		{"unknown", "", "", 0},
		{"unknown and known", "", "192.0.2.7", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := open(3)
			first, _ := netip.ParseAddr(tt.a)
			second, _ := netip.ParseAddr(tt.b)
			assert.Equal(t, 3, takes(b, first))
			assert.Equal(t, tt.left, takes(b, second))
		})
	}
	// Who has a whole /48 has four times as much as a household, and not 256 times.
	b, _ := open(3)
	all := 0
	for i := range 256 {
		all += takes(b, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 6: byte(i)}))
	}
	assert.Equal(t, 12, all)
}

// However many networks a client has, the memory is bounded, and it takes others nothing.
func TestMemoryIsBounded(t *testing.T) {
	b, _ := open(3)
	for i := range uint32(2 * maxNetworks) {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], i<<8)
		b.Take(netip.AddrFrom4(ip), 1)
	}
	assert.Len(t, b.known, maxNetworks)
	assert.Equal(t, maxNetworks, b.order.Len())
	assert.Equal(t, 3, takes(b, netip.MustParseAddr("2001:db8::1")))
}
