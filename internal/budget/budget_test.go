package budget_test

import (
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/budget"
)

// A sender may hold as much as is free besides.
func TestShares(t *testing.T) {
	b := budget.New(120)
	of := func(user string) *budget.Reservation { return b.Reserve(budget.User(user)) }
	assert.ErrorIs(t, of("alice").Resize(61), budget.ErrFull)
	alice := of("alice")
	require.NoError(t, alice.Resize(60), "a half")
	assert.ErrorIs(t, of("alice").Resize(1), budget.ErrFull, "by user, and not by request")

	assert.ErrorIs(t, of("bob").Resize(31), budget.ErrFull)
	bob := of("bob")
	require.NoError(t, bob.Resize(30))
	bytes, senders := b.Held()
	assert.Equal(t, 90, bytes)
	assert.Equal(t, 2, senders)
	require.NoError(t, b.Reserve(budget.Sender{}).Resize(15), "and who comes next")

	assert.NoError(t, alice.Resize(60), "what is held stays")
	assert.NoError(t, alice.Resize(50), "and less is always possible")
	assert.NoError(t, alice.Err())
	assert.ErrorIs(t, alice.Resize(51), budget.ErrFull, "but not more than the others have free")
	assert.ErrorIs(t, alice.Err(), budget.ErrFull)
	assert.NoError(t, bob.Resize(0))
}

// Who is refused holds nothing from then on, though their request has not ended: of those who begin
// together some go on.
func TestRefusedHoldNothing(t *testing.T) {
	b := budget.New(120)
	first, second := b.Reserve(budget.User("alice")), b.Reserve(budget.User("alice"))
	require.NoError(t, first.Resize(30))
	require.NoError(t, second.Resize(30))
	assert.ErrorIs(t, first.Resize(31), budget.ErrFull)
	bytes, _ := b.Held()
	assert.Equal(t, 30, bytes)
	assert.NoError(t, second.Resize(60))
	for _, n := range []int{0, 1} {
		assert.ErrorIs(t, first.Resize(n), budget.ErrFull, "the request is over")
	}
	first.Release()
	bytes, _ = b.Held()
	assert.Equal(t, 60, bytes)
}

// What a request holds moves with it to who sends it.
func TestSetSender(t *testing.T) {
	b := budget.New(100)
	stranger := budget.Stranger(netip.MustParseAddr("192.0.2.1"))
	r := b.Reserve(stranger)
	require.NoError(t, r.Resize(50))
	assert.ErrorIs(t, b.Reserve(stranger).Resize(1), budget.ErrFull)
	r.SetSender(budget.User("alice"))
	other := b.Reserve(stranger)
	assert.NoError(t, other.Resize(25))
	bytes, senders := b.Held()
	assert.Equal(t, 75, bytes)
	assert.Equal(t, 2, senders)
	assert.ErrorIs(t, b.Reserve(budget.User("alice")).Resize(1), budget.ErrFull)
}

func TestRelease(t *testing.T) {
	b := budget.New(100)
	r := b.Reserve(budget.User("alice"))
	require.NoError(t, r.Resize(50))
	r.Release()
	r.Release()
	assert.NoError(t, r.Resize(40), "who reads on after the request holds nothing")
	r.SetSender(budget.User("bob"))
	bytes, senders := b.Held()
	assert.Zero(t, bytes)
	assert.Zero(t, senders)
}

func TestStrangers(t *testing.T) {
	same := func(a, b string) bool {
		return budget.Stranger(netip.MustParseAddr(a)) == budget.Stranger(netip.MustParseAddr(b))
	}
	assert.True(t, same("192.0.2.1", "192.0.2.255"))
	assert.True(t, same("192.0.2.1", "::ffff:192.0.2.9"))
	assert.False(t, same("192.0.2.1", "192.0.3.1"))
	assert.True(t, same("2001:db8:0:ff::1", "2001:db8:0:1::2"))
	assert.True(t, same("fe80::1%eth0", "fe80::1"))
	assert.False(t, same("2001:db8:0:100::1", "2001:db8:0:1::2"))
	assert.Equal(t, budget.Sender{}, budget.Stranger(netip.Addr{}))
	assert.NotEqual(t, budget.Sender{}, budget.User("alice"))
	assert.NotEqual(t, budget.User("alice"), budget.Publisher("alice"), "a user and a package may have one ID")
}

func TestBuffered(t *testing.T) {
	b := budget.New(4 << 10)
	r := b.Reserve(budget.User("alice"))
	small := r.Buffered(io.NopCloser(strings.NewReader(strings.Repeat("x", 100))))
	text, err := io.ReadAll(small)
	require.NoError(t, err)
	assert.Len(t, text, 100)
	bytes, _ := b.Held()
	assert.GreaterOrEqual(t, bytes, 200)
	assert.LessOrEqual(t, bytes, 2<<10)

	src := strings.NewReader(strings.Repeat("x", 10<<10))
	n, err := io.ReadAll(r.Buffered(io.NopCloser(src)))
	assert.ErrorIs(t, err, budget.ErrFull)
	assert.LessOrEqual(t, len(n), 1<<10)
	assert.Equal(t, 10<<10-len(n), src.Len(), "nothing is read that cannot be held")
}

func TestNoReservation(t *testing.T) {
	r := budget.From(t.Context())
	assert.NoError(t, r.Resize(1<<40))
	assert.NoError(t, r.Err())
	r.SetSender(budget.User("alice"))
	text, err := io.ReadAll(r.Buffered(io.NopCloser(strings.NewReader("text"))))
	assert.NoError(t, err)
	assert.Equal(t, "text", string(text))

	b := budget.New(1)
	own := b.Reserve(budget.Sender{})
	assert.Same(t, own, budget.From(budget.WithReservation(t.Context(), own)))
}

func TestConcurrentReservations(t *testing.T) {
	const total = 1 << 20
	b := budget.New(total)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for range 200 {
				r := b.Reserve(budget.User(string(rune('a' + i%4))))
				for n := 0; r.Resize(n) == nil && n < total; n += 32 << 10 {
					bytes, _ := b.Held()
					assert.LessOrEqual(t, bytes, total)
				}
				r.SetSender(budget.User("z"))
				r.Release()
			}
		})
	}
	wg.Wait()
	bytes, senders := b.Held()
	assert.Zero(t, bytes)
	assert.Zero(t, senders)
}
