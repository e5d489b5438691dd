package main

import (
	"net/http"
	"time"
)

// newServer returns the server of handler. It bounds the time of headers, of answers and of idle
// connections; that of bodies, which may be big and slow, is npmauth's to bound.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           withProgress(handler),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
	}
}

const (
	// stall is how long a client may take for the next progressPiece of an answer: a big tarball on
	// a slow line takes as long as it takes, and whoever stops reading is cut off.
	stall = 30 * time.Second
	// progressPiece is how many bytes are written at a time.
	progressPiece = 32 << 10

	maxHeader = 64 << 10 // bytes of a request's headers
)

// withProgress gives every write of an answer a deadline of its own. [http.Server.WriteTimeout] has
// one for all of an answer, and begins when the request's headers are there: an upload or a
// download that takes longer would be cut off, however steady it is.
func withProgress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &progressWriter{w, http.NewResponseController(w)}
		defer out.extend() // for what net/http writes after this
		next.ServeHTTP(out, r)
	})
}

// A progressWriter has no ReadFrom, by which net/http would send a whole file in one write.
type progressWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// extend sets the deadline of the next write. A connection without deadlines, of a test or of another
// protocol, stays without.
func (p *progressWriter) extend() { _ = p.control.SetWriteDeadline(time.Now().Add(stall)) }

// Write implements [http.ResponseWriter].
func (p *progressWriter) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:min(n+progressPiece, len(b))]
		p.extend()
		m, err := p.ResponseWriter.Write(piece)
		if n += m; err != nil || n == len(b) {
			return n, err
		}
	}
}

// Unwrap gives [http.ResponseController] the writer of net/http.
func (p *progressWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
