package npmauth

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/npmauth/npmauth/internal/publishbody"
	"github.com/npmauth/npmauth/policy"
)

// A publishReader lets a host read the body of a publish while it is checked.
// The last byte that was read is withheld until the check of the whole agrees,
// so that a host which commits at the end of the body cannot commit one that
// names another package, and nothing has to be buffered.
type publishReader struct {
	src     io.ReadCloser
	mu      sync.Mutex           // held while scan works: abort may come from another goroutine
	scan    *publishbody.Scanner // guarded by mu
	aborted bool                 // guarded by mu
	held    byte                 // the last byte read, while has
	has     bool
	agreed  bool  // the whole body was checked: held may go
	err     error // what ended reading
	res     publishbody.Result
	refused refusal // the body is not what was allowed
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

// newPublishReader returns a reader of src. With unpack it also reads what is in the
// tarball; then abort must be called once nobody is to read on.
func newPublishReader(src io.ReadCloser, pkg policy.PackageName, who string, unpack bool) *publishReader {
	scanner := publishbody.New
	if unpack {
		scanner = publishbody.NewUnpacking
	}
	return &publishReader{src: src, scan: scanner(pkg, who)}
}

// Read returns the body one byte late. It ends in io.EOF only if the whole body
// was a publish of the package that was judged.
func (b *publishReader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if b.agreed && b.has {
			p[0], b.has, b.err = b.held, false, io.EOF
			return 1, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		n, err := b.src.Read(p)
		if e := b.check(p[:n]); e != nil {
			b.err = e
			b.refuse(e)
			return 0, e
		}
		n = b.hold(p[:n])
		if errors.Is(err, io.EOF) {
			bad := b.complete()
			if b.agreed = bad == nil; !b.agreed {
				err = bad
				b.refuse(bad)
			}
		}
		if err != nil {
			b.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// check has p scanned.
func (b *publishReader) check(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return http.ErrBodyReadAfterClose
	}
	_, err := b.scan.Write(p)
	return err
}

// complete ends the scan.
func (b *publishReader) complete() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return http.ErrBodyReadAfterClose
	}
	b.res, err = b.scan.Close()
	return err
}

// refuse has err answered, unless it says nothing of the body.
func (b *publishReader) refuse(err error) {
	if !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.refused.set(err)
	}
}

// abort ends a scan that is under way. Who still reads gets an error.
func (b *publishReader) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = true
	b.scan.Abort()
}

// hold keeps the last byte of p back and puts the one it kept before first. It
// returns how many bytes of p may go.
func (b *publishReader) hold(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	last := p[len(p)-1]
	copy(p[1:], p[:len(p)-1])
	n := len(p)
	if b.has {
		p[0] = b.held
	} else {
		copy(p, p[1:])
		n--
	}
	b.held, b.has = last, true
	return n
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
	case !b.agreed || b.has:
		return Changes{}, errNoChanges
	}
	return Changes{Version: b.res.Version, Tags: b.res.Tags, Access: b.res.Access, Attachments: b.res.Attachments}, nil
}

// A publishWriter puts npmauth's sentence in place of whatever a host answers
// after its read of the body was refused: the host cannot know why it was.
type publishWriter struct {
	http.ResponseWriter
	body   *publishReader
	before http.Header // what was set around the guard, and is not the host's
	refuse func()
	wrote  bool // an answer has begun
	taken  bool // and it is ours
}

func (w *publishWriter) WriteHeader(status int) {
	if w.taken {
		return
	}
	if status >= 200 && !w.wrote {
		w.wrote = true
		if w.body.refused.get() != nil {
			w.take()
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *publishWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.taken {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written so far, as http.Flusher.
func (w *publishWriter) Flush() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if !w.taken {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// take answers in the host's place.
func (w *publishWriter) take() {
	w.wrote, w.taken = true, true
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.before)
	w.refuse()
}

// finish answers for a host that said nothing after a refused body.
func (w *publishWriter) finish() {
	if w.body.refused.get() != nil && !w.wrote {
		w.take()
	}
}
