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
)

// bodyTimeout is how long a body may stand still. None bounds how long it takes as a
// whole: a tarball is big, and a line may be slow. [http.Server.ReadTimeout] does that
// for a host that wants it.
const bodyTimeout = 30 * time.Second

// WithDeadline returns next with a deadline between the reads of each request's body, also
// of those that a host reads. It takes no credential to send half a request, and each
// holds a connection, a goroutine and what was read of it.
//
// A body that stalls is answered 408, whatever next answers; npm sends what is not a POST
// once more then.
func (a *Guard) WithDeadline(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next(w, r)
			return
		}
		body := newDeadlineBody(w, r, cmp.Or(a.BodyTimeout, bodyTimeout))
		// A copy: net/http goes by the type of the body that it gave, and reads what is left
		// of another one even where the client waits for 100 Continue.
		inner := r.WithContext(r.Context())
		inner.Body = body
		out := &bodyWriter{publishWriter{ResponseWriter: w, before: w.Header().Clone(), refused: body.stall, refuse: func(err error) {
			w.Header().Set("Connection", "close")
			a.Fail(w, r, err)
		}}, body}
		defer func() {
			body.finish()
			r.MultipartForm = inner.MultipartForm // net/http removes its files
		}()
		next(out, inner)
		out.finish()
	})
}

// A deadlineBody is a request's body of which the next bytes must come within timeout.
type deadlineBody struct {
	src     io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	latest  time.Time // of all deadlines; zero: there is none

	mu      sync.Mutex // a host may read in one goroutine and answer in another
	off     bool       // guarded by mu: deadlines are the host's, or there are none
	over    bool       // guarded by mu: nothing more comes
	done    bool       // guarded by mu: the connection is another request's, perhaps
	stalled error      // guarded by mu
}

func newDeadlineBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) *deadlineBody {
	b := &deadlineBody{src: r.Body, control: http.NewResponseController(w), timeout: timeout}
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
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	return n, b.end(err)
}

// Close closes the source, which may read what is left of it.
func (b *deadlineBody) Close() error {
	if b.begin() != nil {
		return b.src.Close()
	}
	err := b.src.Close()
	if err == nil {
		_ = b.end(io.EOF)
		return nil
	}
	return b.end(err)
}

// begin sets the deadline for what is read next.
func (b *deadlineBody) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
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

// end deals with how a read ended, and returns that. After a timeout the deadline stays:
// it ends at once what net/http would read on, and the connection with it. After anything
// else it goes: once net/http's own body was read to its end, by whoever it was, net/http
// reads ahead to notice a client that leaves, and would take a deadline that passes for one.
//
// An error that is neither is a [*authz.BodyError], unless the bound of a handler around npmauth
// was met.
func (b *deadlineBody) end(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
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
	t := time.Now().Add(b.timeout)
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

// Hijack is what [http.ResponseController] calls.
func (w *bodyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.body.control.Hijack()
	if err == nil {
		w.body.release()
	}
	return conn, rw, err
}
