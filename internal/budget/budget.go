// Package budget bounds the memory that the bodies of requests take while they are read, in all
// and for each sender:
//
//	b := budget.New(64 << 20)
//	r := b.Reserve(budget.Stranger(addr)) // of one request
//	defer r.Release()
//	err := r.Resize(n) // before n bytes are held
package budget

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"
)

// ErrFull means that a sender holds as much as it may at the moment.
var ErrFull = errors.New("budget: the sender holds too much memory at the moment")

// A Budget is how many bytes may be held at once. A sender may hold as many as are free besides:
// one alone gets a half, two get a third each, and so on, so that there is always something left for
// who comes next. (It is the dynamic threshold by which switches share a buffer between their
// ports: Choudhury and Hahne, 1998.)
type Budget struct {
	total int

	mu      sync.Mutex
	held    int            // by all; guarded by mu
	senders map[Sender]int // bytes by who holds any; guarded by mu
}

// New returns a Budget of total bytes.
func New(total int) *Budget { return &Budget{total: total, senders: map[Sender]int{}} }

// Held returns how many bytes are held, and by how many senders.
func (b *Budget) Held() (bytes, senders int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held, len(b.senders)
}

// A Sender is whose share is used: that of a user, of a package's trusted publishers, or of a network.
// The zero Sender is all strangers whose address is not known.
type Sender struct {
	user    string
	pkg     string
	network netip.Prefix
}

// User returns the sender with the ID of that user.
func User(id string) Sender { return Sender{user: id} }

// Publisher returns the sender that the trusted publishers of the package with that ID are.
func Publisher(pkg string) Sender { return Sender{pkg: pkg} }

// Stranger returns the sender of a request without a credential: the network that one client can
// easily have, which is the /24 of IPv4 and the /56 of IPv6 that a household gets.
func Stranger(addr netip.Addr) Sender {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits) // of no address: the zero Prefix
	return Sender{network: network}
}

// Reserve returns the reservation of a request that begins, of no bytes.
func (b *Budget) Reserve(s Sender) *Reservation { return &Reservation{budget: b, sender: s} }

// A Reservation is what one request holds. It is safe for concurrent use: a host may read a body
// on another goroutine than that of the request. The methods of a nil Reservation do nothing.
type Reservation struct {
	budget *Budget

	// Guarded by budget.mu.
	sender   Sender
	bytes    int
	err      error // ErrFull, once it was returned
	released bool
}

// Resize sets how many bytes the request holds, before it holds them. To hold fewer is always
// possible. The error is ErrFull: the request is over, every later call returns it, too, and what it held is
// free at once. If it were only when the request has ended, many that begin together would all be refused,
// each for what the others still hold.
func (r *Reservation) Resize(bytes int) error {
	if r == nil {
		return nil
	}
	b := r.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	more := bytes - r.bytes
	switch {
	case r.released:
		return nil
	case r.err != nil:
		return r.err
	case more > 0 && b.senders[r.sender]+more > b.total-b.held-more:
		r.err = ErrFull
		r.add(-r.bytes)
		return r.err
	}
	r.add(more)
	return nil
}

// add must be called with mu of the budget held.
func (r *Reservation) add(bytes int) {
	b := r.budget
	r.bytes += bytes
	b.held += bytes
	b.senders[r.sender] += bytes
	if b.senders[r.sender] == 0 {
		delete(b.senders, r.sender) // or every stranger would leave a row
	}
}

// SetSender makes what the request holds part of the share of s, when it is known who sends it.
func (r *Reservation) SetSender(s Sender) {
	if r == nil {
		return
	}
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	bytes := r.bytes
	r.add(-bytes)
	r.sender = s
	r.add(bytes)
}

// Err returns ErrFull if Resize has returned it.
func (r *Reservation) Err() error {
	if r == nil {
		return nil
	}
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	return r.err
}

// Release ends the reservation. What Resize is told later counts for nothing.
func (r *Reservation) Release() {
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	r.add(-r.bytes)
	r.released = true
}

type contextKey struct{}

// WithReservation returns a context of the request that r is of.
func WithReservation(ctx context.Context, r *Reservation) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// From returns the reservation of a request, nil if it has none.
func From(ctx context.Context) *Reservation {
	r, _ := ctx.Value(contextKey{}).(*Reservation)
	return r
}

// Buffered returns src for a reader that keeps all of it, as [io.ReadAll] does, and reads it but
// once: each byte counts twice, for the buffer that grows and for what is decoded of it. Its Read
// returns ErrFull before it reads.
func (r *Reservation) Buffered(src io.ReadCloser) io.ReadCloser { return &buffered{src, r, 0} }

type buffered struct {
	io.ReadCloser
	r    *Reservation
	read int
}

func (b *buffered) Read(p []byte) (int, error) {
	if err := b.r.Resize(2 * (b.read + len(p))); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.read += n
	return n, err
}
