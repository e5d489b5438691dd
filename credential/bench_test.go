package credential_test

import (
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
)

const (
	benchEntries = 1_000_000
	benchHot     = 1024
)

// benchTokens are hot tokens, spread over the table that they are part of.
var benchTokens = sync.OnceValue(func() []string {
	hot := make([]string, benchHot)
	for i := range hot {
		hot[i] = credential.New(credential.PrefixToken).Reveal()
	}
	return hot
})

// BenchmarkFloor measures what every check of a presented token needs: one SHA-256 and one read
// of a map of a million behind an RWMutex. Compare BenchmarkVerify of the same run with it.
func BenchmarkFloor(b *testing.B) {
	hot := benchTokens()
	table := make(map[[32]byte]*record, benchEntries)
	for i := range benchEntries - benchHot {
		table[digestOf(i)] = &record{i}
	}
	for _, text := range hot {
		table[sha256.Sum256([]byte(text))] = &record{}
	}
	var mu sync.RWMutex
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var buf [64]byte
		text := hot[i%benchHot]
		d := sha256.Sum256(buf[:copy(buf[:], text)])
		mu.RLock()
		r := table[d]
		mu.RUnlock()
		if r == nil {
			b.Fatal("missing")
		}
	}
}

func benchCache() *credential.Cache[credential.Digest, *record] {
	c := credential.NewCache[credential.Digest, *record](2*benchEntries, time.Hour)
	now := time.Now()
	for i := range benchEntries - benchHot {
		c.Put(digestOf(i), &record{i}, now, c.Begin(digestOf(i)))
	}
	for _, text := range benchTokens() {
		d, _ := credential.Parse(text)
		c.Put(d, &record{}, now, c.Begin(d))
	}
	return c
}

// BenchmarkVerify measures the warm path: form, checksum, digest, cache.
func BenchmarkVerify(b *testing.B) {
	hot, c := benchTokens(), benchCache()
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d, ok := credential.Parse(hot[i%benchHot])
		if !ok {
			b.Fatal("refused")
		}
		if _, ok := c.Get(d, now); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	hot, c := benchTokens(), benchCache()
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			d, _ := credential.Parse(hot[i%benchHot])
			if _, ok := c.Get(d, now); !ok {
				b.Error("missing")
			}
		}
	})
}

// BenchmarkRefuse measures garbage of the right form.
func BenchmarkRefuse(b *testing.B) {
	const text = "npm_TCllNwh2WLQlMWVhybM1iQrsTj6rMQ0BOh6d"
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := credential.Parse(text); ok {
			b.Fatal("passed")
		}
	}
}

// The warm path allocates nothing. Only allocations are limited here, not times.
func TestWarmPathAllocatesNothing(t *testing.T) {
	now, secret := time.Now(), credential.New(credential.PrefixSession)
	text := secret.Reveal()
	c := credential.NewCache[credential.Digest, *record](100, time.Hour)
	users := credential.NewCache[string, *record](100, time.Hour)
	d, _ := credential.Parse(text)
	c.Put(d, &record{}, now, c.Begin(d))
	user := text[5:]
	users.Put(user, &record{}, now, users.Begin(user))

	require.Zero(t, testing.AllocsPerRun(100, func() {
		d, ok := credential.Parse(text)
		_, held := c.Get(d, now)
		_, known := users.Get(user, now)
		if !ok || !held || !known || credential.Sum(secret) != d {
			t.Error("missing")
		}
	}))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := credential.Parse("npm_TCllNwh2WLQlMWVhybM1iQrsTj6rMQ0BOh6d"); ok {
			t.Error("passed")
		}
	}))
}
