package guard

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/budget"
)

// The defaults of a [Guard]. None bounds how long a body takes as a whole: a tarball is big, and a
// line may be slow. [http.Server.ReadTimeout] does that for a host that wants it.
const (
	bodyTimeout = 30 * time.Second

	// Twice what Apache's mod_reqtimeout asks for (body=20,MinRate=500), and less than the 9.6
	// kbit/s of the slowest telephone. The minute is for lines that come and go.
	bodyGrace = time.Minute
	bodyRate  = 1 << 10
)

// MaxMemory is how many bytes the bodies that are read into memory may take at once, by default.
// Half of it is for one sender alone, and must do for the largest document. More would count twice:
// so far does Go's heap grow.
const MaxMemory = 48 << 20

// maxDrain is how many bytes of a body that nobody reads are read for nobody.
const maxDrain = maxUnproven

// LimitBodies returns next with limits for the body of each request, also where a host reads it: how
// long it may stand still and how slow it may be, and how much memory it takes where npmauth keeps
// it. It takes no credential to send half a request, and each holds a connection, a goroutine and
// what was read of it.
//
// A body that stalls or is too slow is answered 408, whatever next answers; npm sends what is not a
// POST once more then.
//
// What nobody has read of a body is read when next has returned, before its answer goes out: a
// client that is still sending would find the connection closed, and see no answer.
func (a *Guard) LimitBodies(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next(w, r)
			return
		}
		memory := a.Memory.Reserve(budget.Stranger(a.Client(r)))
		defer memory.Release()
		body := a.newDeadlineBody(w, r)
		// A copy: net/http goes by the type of the body that it gave, and reads what is left
		// of another one even where the client waits for 100 Continue.
		inner := r.WithContext(budget.WithReservation(r.Context(), memory))
		inner.Body = body
		out := &bodyWriter{publishWriter{ResponseWriter: w, before: w.Header().Clone(), refused: func() error { return cmp.Or(body.stall(), memory.Err()) }, refuse: func(err error) {
			if body.stall() != nil {
				w.Header().Set("Connection", "close")
			}
			a.Fail(w, r, err)
		}}, body}
		defer func() {
			body.finish()
			r.MultipartForm = inner.MultipartForm // net/http removes its files
		}()
		next(out, inner)
		memory.Release()
		body.drain()
		out.finish()
	})
}

// A deadlineBody is a request's body of which the next bytes must come within timeout. What its
// reader waits for them is taken from credit, in which each byte is worth a part of a second. The
// credit never exceeds grace: what came fast does not pay for what comes slowly later, while what
// was read before is held.
type deadlineBody struct {
	src     io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	grace   time.Duration
	rate    int       // bytes a second
	latest  time.Time // of all deadlines; zero: there is none
	http1   bool
	expects bool // the client waits for 100 Continue, which the first read sends

	mu      sync.Mutex    // a host may read in one goroutine and answer in another
	credit  time.Duration // guarded by mu
	off     bool          // guarded by mu: deadlines are the host's, or there are none
	duplex  bool          // guarded by mu: the host answers while it reads
	read    bool          // guarded by mu: somebody has
	closed  bool          // guarded by mu: nobody but drain reads any more
	over    bool          // guarded by mu: nothing more comes
	done    bool          // guarded by mu: the connection is another request's, perhaps
	stalled error         // guarded by mu
}

func (a *Guard) newDeadlineBody(w http.ResponseWriter, r *http.Request) *deadlineBody {
	b := &deadlineBody{
		src: r.Body, control: http.NewResponseController(w), http1: r.ProtoMajor == 1, expects: r.Header.Get("Expect") != "",
		timeout: cmp.Or(a.BodyTimeout, bodyTimeout), grace: cmp.Or(a.BodyGrace, bodyGrace), rate: cmp.Or(a.BodyRate, bodyRate),
	}
	b.credit = b.grace
	// The server's deadline for the request as a whole is one of the same connection, and
	// setting ours must not lift it.
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ReadTimeout > 0 {
		b.latest = time.Now().Add(srv.ReadTimeout)
	}
	b.set() // net/http reads, too: what nobody did is read before an answer goes out
	return b
}

// Read reads under a deadline of its own.
func (b *deadlineBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.readOn(p)
}

func (b *deadlineBody) readOn(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := b.src.Read(p)
	return n, b.end(n, time.Since(start), err)
}

// Close ends reading. What is left is read by drain, so that who closes a body does not wait for
// its client, and the client sees an answer.
func (b *deadlineBody) Close() error {
	if b.drains() {
		return nil
	}
	return b.src.Close()
}

// drains reports whether what is left of the body is read by drain, and nobody else reads it from
// here on. Over HTTP/2 a client sees the answer without, and only a deadline makes it safe to wait.
func (b *deadlineBody) drains() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.http1 || b.off || b.duplex || b.done {
		return false
	}
	b.closed = true
	return true
}

// drain reads what is left, but what the client sends only when it is told to.
func (b *deadlineBody) drain() {
	if !b.drains() || b.waits() {
		return
	}
	_, _ = io.CopyN(io.Discard, readerFunc(b.readOn), maxDrain)
}

// waits reports whether the client waits for 100 Continue.
func (b *deadlineBody) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expects && !b.read
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// begin sets the deadline for what is read next.
func (b *deadlineBody) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = true
	switch {
	case b.done:
		return http.ErrBodyReadAfterClose
	case b.stalled != nil:
		return b.stalled
	case !b.over:
		b.set()
	}
	return nil
}

// end deals with how a read of n bytes ended, and returns that. After a timeout the deadline stays:
// it ends at once what net/http would read on, and the connection with it. After anything
// else it goes: once net/http's own body was read to its end, by whoever it was, net/http
// reads ahead to notice a client that leaves, and would take a deadline that passes for one.
//
// An error that is neither is a [*authz.BodyError], unless the bound of a handler around npmauth
// was met.
func (b *deadlineBody) end(n int, waited time.Duration, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.credit = min(b.credit-waited+time.Duration(n)*time.Second/time.Duration(b.rate), b.grace)
	if err == nil {
		// Over HTTP/2 a deadline that passes while nobody reads ends the body for good.
		if !b.off && !b.done {
			_ = b.control.SetReadDeadline(b.latest) // or the one of this read stays, which is sooner
		}
		return nil
	}
	b.over = b.over || errors.Is(err, io.EOF)
	late := errors.Is(err, os.ErrDeadlineExceeded)
	ours := !b.off && !b.done
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case late:
		err = fmt.Errorf("%w: %w", errBodyTimeout, err)
	case !errors.Is(err, io.EOF) && !large:
		err = &authz.BodyError{Err: err}
	}
	switch {
	case late && ours:
		b.stalled = err
	case ours:
		_ = b.control.SetReadDeadline(time.Time{}) // or the connection ends sooner
	}
	return err
}

// set must be called with mu held, or before anybody else has b.
func (b *deadlineBody) set() {
	if b.off {
		return
	}
	t := time.Now().Add(min(b.timeout, b.credit))
	if !b.latest.IsZero() && b.latest.Before(t) {
		t = b.latest
	}
	b.off = b.control.SetReadDeadline(t) != nil // a recorder has none
}

// stall returns the error of a body that stalled.
func (b *deadlineBody) stall() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stalled
}

// release leaves the deadlines to the host.
func (b *deadlineBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.off = true
}

// finish is called at the end of the handler. What is left of the body is read by
// net/http before it sends the answer, and must not stall either; for the next request on
// the connection it sets a deadline of its own.
func (b *deadlineBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	if !b.over && b.stalled == nil {
		b.set()
	}
}

// A bodyWriter answers a request whose body has a deadline. A host that sets one itself
// has the last word, and the answer.
type bodyWriter struct {
	publishWriter
	body *deadlineBody
}

// SetReadDeadline is what [http.ResponseController] calls.
func (w *bodyWriter) SetReadDeadline(t time.Time) error {
	w.body.release()
	return w.body.control.SetReadDeadline(t)
}

// EnableFullDuplex is what [http.ResponseController] calls. The host's answer ends when it says so,
// and not after the body.
func (w *bodyWriter) EnableFullDuplex() error {
	err := w.body.control.EnableFullDuplex()
	if err == nil {
		w.body.mu.Lock()
		w.body.duplex = true
		w.body.mu.Unlock()
	}
	return err
}

// Hijack is what [http.ResponseController] calls.
func (w *bodyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.body.control.Hijack()
	if err == nil {
		w.body.release()
	}
	return conn, rw, err
}
