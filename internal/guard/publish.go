package guard

import (
	"errors"
	"maps"
	"net/http"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// A publishReader is the body of a package document as the host reads it.
type publishReader struct{ *packument.Reader }

// Read returns the error that a closed body has in net/http.
func (b *publishReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, packument.ErrClosed) {
		err = http.ErrBodyReadAfterClose
	}
	return n, err
}

// changesVisibility refuses a publish that asks for another access than the package has.
// npmjs.com sets it then; here that takes what npm access takes, and whoever publishes in the
// belief that the package is private must learn that it is not.
func changesVisibility(req *policy.Request) error {
	is, status := "public", "private"
	if req.Package.Private {
		is, status = "restricted", "public"
	}
	if req.Package.ID == "" || req.Change.Access == "" || req.Change.Access == is {
		return nil
	}
	return &wire.Error{Status: http.StatusForbidden, Code: "visibility", Sentence: "The package is " + is + " and a publish does not change that. Publish with --access=" + is +
		" or run npm access set status=" + status + " first."}
}

// change returns what the publish would do to the package of that ID, once its end was released.
// An access is for a new one: that of an existing one is not changed by a publish.
func (b *publishReader) change(id protocol.PackageID) (protocol.Change, error) {
	if bad := b.Err(); bad != nil {
		return protocol.Change{}, bad
	}
	c, ok := b.Released()
	if !ok {
		return protocol.Change{}, host.ErrNoChange
	}
	if id != "" {
		c.Access = ""
	}
	return c, nil
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
func (w *publishWriter) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (w *publishWriter) FlushError() error {
	w.begin()
	if w.taken {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
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
