package packument

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/npmauth/npmauth/protocol"
)

// Errors of a [Reader].
var (
	// ErrTooLarge means that a document is larger than the bound of [NewReader], or that as much of
	// a publish comes before its attachments.
	ErrTooLarge = errors.New("packument: the document is too large")

	// ErrClosed is the error of a Read after Close or Abort.
	ErrClosed = errors.New("packument: read of a body that was closed")
)

// maxPiece is how many bytes [NewReader] reads at once. If the tarball is checked, it is as
// much of one as is unpacked before the caller knows that the body is a publish.
const maxPiece = 4 << 10

// A Reader lets a registry read the body of a publish while it is checked. What comes before
// the document's closing brace passes by at once. The brace and all that follows are withheld
// until the whole body was read, the [Scanner] accepts it and Authorize does: a registry that
// commits at the end of the body, or of the JSON value, commits no publish of another package
// and none that is not allowed any more, and nothing else is buffered.
//
// A changed document was read whole by [NewReader], and Read returns it from memory.
//
// Read and Close may be called by one goroutine, the other methods by any.
type Reader struct {
	// Authorize authorizes a publish. It is called once, with its whole change, after the last byte
	// and before the brace is released, by the goroutine that reads. Read returns its error, and an
	// error if it panics. It must be set before the first Read. Nil means that a publish which the
	// Scanner accepts is authorized.
	Authorize func(protocol.Change) error

	// Refused is called once with the error of the body of a publish, or with the error that Abort
	// is given, unless Authorize was called. It must be set before the first Read. May be nil.
	Refused func(error)

	src io.ReadCloser

	mu       sync.Mutex // held while scan works: Abort may come from another goroutine
	scan     *Scanner   // guarded by mu
	aborted  bool       // guarded by mu
	decided  bool       // Authorize or Refused was called, or would have been; guarded by mu
	refused  error      // guarded by mu
	released bool       // the brace was read; guarded by mu
	head     pieces     // what NewReader read, up to the brace; of a document all of it; guarded by mu

	kind     Kind
	read     int64  // bytes that were scanned
	withheld []byte // from the brace on; the scan bounds it
	agreed   bool   // scan and Authorize did: withheld may go
	err      error  // what ended reading
}

// NewReader reads src until scan knows what the body is, and no further than about bound
// bytes. An error is [ErrTooLarge], an [*Error] for a body that can be nothing that is
// accepted, or one of src. What is wrong with a publish is an error of Read, so that a
// caller can refuse the request before it.
//
// Of a document bound is the largest size, of a publish that of what may come before its
// attachments. If scan checks the tarball, Abort or Close must be called in the end.
func NewReader(src io.ReadCloser, scan *Scanner, bound int) (*Reader, error) {
	r := &Reader{src: src, scan: scan}
	if err := r.begin(bound); err != nil {
		scan.Abort()
		return nil, err
	}
	return r, nil
}

func (r *Reader) begin(bound int) error {
	for {
		if r.head.size >= bound {
			return ErrTooLarge
		}
		piece := r.head.space()
		if err := r.hold(); err != nil {
			return err
		}
		n, err := r.src.Read(piece)
		piece = piece[:n]
		r.head.add(n)
		_, bad := r.scan.Write(piece)
		publish := r.scan.Kind() == KindPublish
		if bad != nil && !publish {
			return bad
		}
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if end && !publish {
			if err := r.scan.Close(); err != nil {
				return err
			}
		}
		if publish || end {
			r.start(end)
			return nil
		}
	}
}

// start makes what was read the beginning of what Read returns.
func (r *Reader) start(end bool) {
	r.kind, r.read = r.scan.Kind(), int64(r.head.size)
	if end {
		r.src = ended{r.src}
	}
	if brace := r.scan.Brace(); brace >= 0 && r.kind == KindPublish {
		r.withheld = r.head.cut(int(brace))
	}
}

// hold says how much memory is held.
func (r *Reader) hold() error {
	if r.scan.hold == nil {
		return nil
	}
	r.mu.Lock()
	held := r.head.held + cap(r.withheld) + r.scan.held()
	r.mu.Unlock()
	return r.scan.hold(held)
}

// ended is a source that was read to its end.
type ended struct{ io.Closer }

func (ended) Read([]byte) (int, error) { return 0, io.EOF }

// Kind returns what the body is: [KindPublish] or [KindDocument].
func (r *Reader) Kind() Kind { return r.kind }

// Document returns the document, if the body is one.
func (r *Reader) Document() Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scan.Document()
}

// Publish returns what is known of a publish so far: of most clients the version and the tags,
// of others nothing. It is checked only where Authorize or Released give it.
func (r *Reader) Publish() protocol.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scan.Publish()
}

// HashTarball is [Scanner.HashTarball], and must be called before the first Read.
func (r *Reader) HashTarball() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scan.HashTarball()
}

// Released returns the publish once its closing brace was read, and false before.
func (r *Reader) Released() (protocol.Change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.released {
		return protocol.Change{}, false
	}
	return r.scan.Publish(), true
}

// Err returns why a publish was refused, by the Scanner or by Authorize; nil if it was not.
func (r *Reader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// Read returns the body, and of a publish [io.EOF] only if the whole of it was accepted and
// authorized.
func (r *Reader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if r.agreed && len(r.withheld) > 0 {
			n := copy(p, r.withheld)
			r.withheld = r.withheld[n:]
			r.release()
			return n, nil
		}
		if r.err != nil {
			return 0, r.err
		}
		switch n, bad := r.again(p); {
		case bad != nil:
			return 0, r.refuse(bad)
		case n > 0:
			return n, nil
		}
		if err := r.hold(); err != nil {
			return 0, r.refuse(err)
		}
		n, err := r.src.Read(p)
		passes, bad := r.check(p[:n])
		if bad != nil {
			return 0, r.refuse(bad)
		}
		r.withheld = append(r.withheld, p[passes:n]...)
		if errors.Is(err, io.EOF) {
			if bad := r.complete(); bad != nil {
				err = r.refuse(bad)
			} else {
				r.agreed = true
			}
		} else if err != nil {
			r.tell(err)
		}
		r.err = err
		if passes > 0 {
			return passes, nil
		}
	}
	return 0, nil
}

// again returns what NewReader read, if nothing is wrong with it, and 0 bytes after its end.
func (r *Reader) again(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.aborted:
		return 0, ErrClosed
	case r.head.size == 0:
		return 0, nil
	}
	if _, bad := r.scan.Write(nil); bad != nil {
		return 0, bad
	}
	n := r.head.take(p)
	if r.kind == KindDocument && r.head.size == 0 {
		r.err = io.EOF
	}
	return n, nil
}

// check has p scanned and returns how many bytes of it come before the brace.
func (r *Reader) check(p []byte) (passes int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return 0, ErrClosed
	}
	if _, err := r.scan.Write(p); err != nil {
		return 0, err
	}
	passes = len(p)
	if brace := r.scan.Brace(); brace >= 0 {
		passes = int(min(int64(len(p)), max(0, brace-r.read)))
	}
	r.read += int64(len(p))
	return passes, nil
}

func (r *Reader) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = true
}

// complete ends the scan and asks Authorize.
func (r *Reader) complete() error {
	publish, err := r.endScan()
	if err != nil {
		return err
	}
	if !r.decide() {
		return ErrClosed
	}
	if r.Authorize == nil {
		return nil
	}
	return r.authorize(publish)
}

func (r *Reader) endScan() (protocol.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return protocol.Change{}, ErrClosed
	}
	if err := r.scan.Close(); err != nil {
		return protocol.Change{}, err
	}
	return r.scan.Publish(), nil
}

// decide reports whether nothing was decided about the body yet.
func (r *Reader) decide() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.decided
	r.decided = true
	return !was
}

// authorize returns what Authorize says. A panic goes no further: a gateway reads the body on
// a goroutine of its transport, where nothing would recover it.
func (r *Reader) authorize(publish protocol.Change) (err error) {
	defer func() {
		if recover() != nil { // not what it panicked with, which may quote what was looked up
			err = fmt.Errorf("packument: panic in Authorize\n%s", debug.Stack())
		}
	}()
	return r.Authorize(publish)
}

// refuse ends reading with err, and tells of it unless it says nothing of the body.
func (r *Reader) refuse(err error) error {
	r.err = err
	if !errors.Is(err, ErrClosed) {
		r.mu.Lock()
		r.refused = err
		r.mu.Unlock()
		r.tell(err)
	}
	return err
}

func (r *Reader) tell(err error) {
	if r.decide() && r.Refused != nil {
		r.Refused(err)
	}
}

// Abort ends a check that is under way: a Read from here on returns [ErrClosed], unless the end of
// the body was released. It is for the code that passed the Reader to a handler, after the handler
// has returned. An error that is not nil is what Refused is called with, if nothing was decided
// about a publish yet. Abort may be called several times.
func (r *Reader) Abort(err error) {
	r.mu.Lock()
	r.aborted = true
	r.head = pieces{} // the Reader may be known for longer
	r.scan.Abort()
	r.mu.Unlock()
	if err != nil && r.kind == KindPublish {
		r.tell(err)
	}
}

// Close closes the source, and ends a check that is under way.
func (r *Reader) Close() error {
	r.Abort(nil)
	return r.src.Close()
}
