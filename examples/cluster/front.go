package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"

	"github.com/npmauth/npmauth/wire"
)

// errNobody means that no node serves.
var errNobody = errors.New("no node serves")

// servedBy is the header that names the node which answered.
const servedBy = "X-Served-By"

// newFront returns the proxy in front of nodes.
func newFront(nodes []*node, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		// The URL is passed on unchanged, with RawPath: @scope%2fname is one segment.
		// X-Forwarded-For has only the IP address that this proxy saw itself.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.SetXForwarded()
		},
		Transport: &rotation{
			nodes: nodes,
			// A connection for each request: a kept one may be that of a process which is gone,
			// and a request on it would be lost.
			base: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			level := slog.LevelWarn
			if errors.Is(r.Context().Err(), context.Canceled) { // the client has disconnected
				level = slog.LevelInfo
			}
			log.Log(r.Context(), level, "not answered by a node", "method", r.Method, "path", wire.RedactPath(r.URL.EscapedPath()), "error", err)
			status, sentence := http.StatusBadGateway, "The node that got this request has stopped. Try again."
			if errors.Is(err, errNobody) {
				status, sentence = http.StatusServiceUnavailable, "No node of the registry is up. Try again in a moment."
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": sentence, "message": sentence})
		},
	}
}

// A rotation sends each request to the next node.
type rotation struct {
	nodes []*node
	base  http.RoundTripper
	turn  atomic.Uint64
}

// RoundTrip implements [http.RoundTripper]. A node that accepts no connection is skipped: it
// has seen nothing of the request. A node that accepted it and died may have carried it out, so
// the client must decide whether to repeat it, unless it is a read: the next node answers that
// as well.
func (t *rotation) RoundTrip(r *http.Request) (*http.Response, error) {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	last := errNobody
	for range t.nodes {
		n := t.nodes[(t.turn.Add(1)-1)%uint64(len(t.nodes))]
		addr, _ := n.at()
		if addr == "" {
			continue
		}
		out := r.Clone(r.Context())
		out.URL.Host = addr
		if r.Body != nil {
			// A transport closes the body even if it sent nothing of it; the proxy
			// does so when it is done with the request.
			out.Body = io.NopCloser(r.Body)
		}
		res, err := t.base.RoundTrip(out)
		switch {
		case err == nil:
		case unseen(err):
			continue
		case read && r.Context().Err() == nil:
			last = err
			continue
		default:
			return nil, err
		}
		res.Header.Set(servedBy, n.name)
		return res, nil
	}
	return nil, last
}

// unseen reports whether a request failed before anything of it was sent.
func unseen(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}
