package integration

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Link is the network between a node and its database, which can be cut.
type Link struct {
	Addr string // where it begins

	to      string
	every   atomic.Int64 // see Lose; 0: none
	answers atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; nil once the link is closed
}

// NewLink returns a link that ends at addr.
func NewLink(t testing.TB, addr string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &Link{Addr: listener.Addr().String(), to: addr, conns: make(map[net.Conn]struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		for conn := range l.conns {
			conn.Close()
		}
		l.conns = nil
		l.mu.Unlock()
		all.Wait()
	})
	return l
}

// Cut breaks all connections.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
}

// Lose lets every nth answer get lost with its connection: what was asked for is
// done, and nobody hears of it. With 0 none is lost any more.
func (l *Link) Lose(nth int) { l.every.Store(int64(nth)) }

func (l *Link) lost() bool {
	nth := l.every.Load()
	return nth > 0 && l.answers.Add(1)%nth == 0
}

// carry carries one connection.
func (l *Link) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer far.Close()
	l.mu.Lock()
	if l.conns == nil {
		l.mu.Unlock()
		return
	}
	l.conns[near], l.conns[far] = struct{}{}, struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, near)
		delete(l.conns, far)
	}()

	var both sync.WaitGroup
	both.Go(func() { l.pour(far, near, func() bool { return false }) })
	both.Go(func() { l.pour(near, far, l.lost) })
	both.Wait()
}

// pour carries one direction, until either side ends or lost says that the bytes
// which have just come are.
func (l *Link) pour(to, from net.Conn, lost func() bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && lost() {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}
