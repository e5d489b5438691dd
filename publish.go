package npmauth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/npmauth/npmauth/packument"
)

// A publishReader lets a host read the body of a publish while it is checked. What
// comes before the document's closing brace passes by at once. The brace and all that
// follows are withheld until the whole body was read, the check of it agrees and judge
// does: a host that commits at the end of the body, or of the JSON value, cannot commit a
// publish of another package or one that is not allowed any more, and nothing else has to
// be buffered.
type publishReader struct {
	src      io.ReadCloser
	head     []byte             // what was scanned before, up to the brace
	judge    func() error       // called once, after the last byte; nil agrees
	conclude func(error)        // called once if judge was not: what is wrong with the body; nil hears nothing
	mu       sync.Mutex         // held while scan works: abort may come from another goroutine
	scan     *packument.Scanner // guarded by mu
	aborted  bool               // guarded by mu
	decided  bool               // judge or conclude was called; guarded by mu
	read     int64              // bytes that were scanned
	withheld []byte             // from the brace on; the scan bounds it
	agreed   bool               // scan and judge did: withheld may go
	released bool               // the brace went
	err      error              // what ended reading
	res      packument.Publish
	refused  refusal // the body is not what was allowed
}

// A refusal is an error that one goroutine may find while another asks for it: a
// host that passes the body on may answer before it has been read.
type refusal struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (r *refusal) set(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *refusal) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// newPublishReader returns a reader of a publish of which scan has seen head and src is the
// rest. If scan reads what is in the tarball, abort must be called once nobody is to read on.
// Before the first Read, judge may be set: it has the last word before the end of the document
// is released, on the goroutine that reads, which may be one of the host's.
func newPublishReader(src io.ReadCloser, scan *packument.Scanner, head []byte) *publishReader {
	b := &publishReader{src: src, scan: scan, head: head, read: int64(len(head))}
	if brace := scan.Brace(); brace >= 0 {
		b.head, b.withheld = head[:brace], bytes.Clone(head[brace:])
	}
	return b
}

// Read returns the body, and io.EOF only if the whole of it was a publish of the package
// that was judged, and still is allowed.
func (b *publishReader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if b.agreed && len(b.withheld) > 0 {
			n := copy(p, b.withheld)
			b.withheld, b.released = b.withheld[n:], true
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		if len(b.head) > 0 {
			if _, bad := b.check(nil); bad != nil {
				return 0, b.refuse(bad)
			}
			n := copy(p, b.head)
			if b.head = b.head[n:]; len(b.head) == 0 {
				b.head = nil // which may be a large part of the body
			}
			return n, nil
		}
		n, err := b.src.Read(p)
		passes, bad := b.check(p[:n])
		if bad != nil {
			return 0, b.refuse(bad)
		}
		b.withheld = append(b.withheld, p[passes:n]...)
		if errors.Is(err, io.EOF) {
			if bad := b.complete(); bad != nil {
				err = b.refuse(bad)
			} else {
				b.agreed = true
			}
		}
		b.err = err
		if passes > 0 {
			return passes, nil
		}
	}
	return 0, nil
}

// check has p scanned and returns how many bytes of it come before the brace.
func (b *publishReader) check(p []byte) (passes int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return 0, http.ErrBodyReadAfterClose
	}
	if _, err := b.scan.Write(p); err != nil {
		return 0, err
	}
	passes = len(p)
	if brace := b.scan.Brace(); brace >= 0 {
		passes = int(min(int64(len(p)), max(0, brace-b.read)))
	}
	b.read += int64(len(p))
	return passes, nil
}

// complete ends the scan and asks judge.
func (b *publishReader) complete() error {
	if err := b.endScan(); err != nil || b.judge == nil {
		return err
	}
	if !b.decide() {
		return http.ErrBodyReadAfterClose
	}
	return b.judged()
}

// decide reports whether nobody has decided about the body yet.
func (b *publishReader) decide() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.decided
	b.decided = true
	return !was
}

// tell tells of a body that was refused, or not read, unless it was judged.
func (b *publishReader) tell(err error) {
	if b.conclude != nil && b.decide() {
		b.conclude(err)
	}
}

func (b *publishReader) endScan() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return http.ErrBodyReadAfterClose
	}
	if err := b.scan.Close(); err != nil {
		return err
	}
	if b.scan.Kind() != packument.KindPublish {
		return errNoPublish
	}
	b.res = b.scan.Publish()
	return nil
}

// errNoPublish is for a document without attachments, which no publishReader is made for.
var errNoPublish = errors.New("npmauth: the body of a publish turned out to be none")

// judged returns what judge says. A panic of it is an outage, and goes no further: a
// gateway reads the body on a goroutine of its transport, where nobody would recover it.
func (b *publishReader) judged() (err error) {
	defer func() {
		if recover() != nil { // not what it panicked with, which may quote what was looked up
			err = fmt.Errorf("panic while deciding: %w\n%s", errUnavailable, debug.Stack())
		}
	}()
	return b.judge()
}

// refuse ends reading with err, and has it answered unless it says nothing of the body.
func (b *publishReader) refuse(err error) error {
	b.err = err
	if !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.refused.set(err)
		b.tell(err)
	}
	return err
}

// abort ends a scan that is under way. Who still reads gets an error.
func (b *publishReader) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = true
	b.scan.Abort()
}

// Close closes the source.
func (b *publishReader) Close() error {
	b.abort()
	return b.src.Close()
}

func (b *publishReader) changes() (Changes, error) {
	switch bad := b.refused.get(); {
	case bad != nil:
		return Changes{}, bad
	case !b.released:
		return Changes{}, errNoChanges
	}
	return Changes{Version: b.res.Version, Tags: b.res.Tags, Access: b.res.Access, Attachments: b.res.Attachments}, nil
}

// A publishWriter puts npmauth's sentence in place of whatever a host answers
// after its read of the body was refused: the host cannot know why it was.
type publishWriter struct {
	http.ResponseWriter
	before  http.Header  // what was set around the guard, and is not the host's
	refused func() error // why the read was; nil if it was not
	refuse  func(error)
	wrote   bool // an answer has begun
	taken   bool // and it is ours
}

// Unwrap lets [http.ResponseController] find what the writer below can do.
func (w *publishWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *publishWriter) WriteHeader(status int) {
	if w.taken {
		return
	}
	if status >= 200 {
		w.begin()
	}
	if !w.taken {
		w.ResponseWriter.WriteHeader(status)
	}
}

// begin answers in the host's place if its read was refused, before the first of what it
// answers goes out.
func (w *publishWriter) begin() {
	if w.wrote {
		return
	}
	w.wrote = true
	if err := w.refused(); err != nil {
		w.take(err)
	}
}

func (w *publishWriter) Write(p []byte) (int, error) {
	w.begin()
	if w.taken {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written so far, as http.Flusher.
func (w *publishWriter) Flush() {
	w.begin()
	if !w.taken {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// take answers in the host's place.
func (w *publishWriter) take(err error) {
	w.wrote, w.taken = true, true
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.before)
	w.refuse(err)
}

// finish answers for a host that said nothing after a refused body.
func (w *publishWriter) finish() {
	if err := w.refused(); err != nil && !w.wrote {
		w.take(err)
	}
}
