package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/npmauth/npmauth"
)

// Metrics are npmauth's decisions as Prometheus counts them: it is a [npmauth.Metrics].
//
// No label has what a client chose. An action is one of the table of package protocol, an outcome
// one of six words, and a rule the code of a rule or an error. Since a policy may have any number of
// rules, maxRules of them have a label of their own, and any further one is "other".
type metrics struct {
	decisions *prometheus.CounterVec
	seconds   *prometheus.HistogramVec

	mu    sync.Mutex
	rules map[string]bool // guarded by mu
}

// maxRules is how many rules have a label of their own.
const maxRules = 100

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "npmauth_decisions_total",
			Help: "Requests decided on, by npm's action, outcome, and the rule that refused.",
		}, []string{"action", "outcome", "rule"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "npmauth_decision_seconds",
			Help:    "From the first decision about a request to the last, with the wait for its body.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"action"}),
		rules: map[string]bool{"": true},
	}
	to.MustRegister(m.decisions, m.seconds)
	return m
}

// Observe implements [npmauth.Metrics].
func (m *metrics) Observe(o npmauth.Observation) {
	action := o.Action.String()
	m.decisions.WithLabelValues(action, o.Outcome.String(), m.rule(o.Rule)).Inc()
	m.seconds.WithLabelValues(action).Observe(o.Duration.Seconds())
}

// rule returns the label of a rule.
func (m *metrics) rule(code string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rules[code] {
		return code
	}
	if len(m.rules) > maxRules {
		return "other"
	}
	m.rules[code] = true
	return code
}

// loopback returns an error unless addr is host:port of this machine alone: whoever reads the
// metrics learns what is going on, and is not authenticated.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err == nil && host != "localhost" {
		var ip netip.Addr
		if ip, err = netip.ParseAddr(host); err == nil && !ip.Unmap().IsLoopback() {
			err = errors.New("is not this machine's own")
		}
	}
	if err != nil {
		return fmt.Errorf("%q: must be host:port with a loopback address, such as 127.0.0.1:9464", addr)
	}
	return nil
}

// serveMetrics serves what is registered in a registry of its own at addr, apart from the public
// address. It returns the URL, and what to call at the end.
func serveMetrics(ctx context.Context, addr string, registered *prometheus.Registry) (url string, stop func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("-metrics: %w", err)
	}
	if err := loopback(listener.Addr().String()); err != nil { // localhost may be anything
		listener.Close()
		return "", nil, fmt.Errorf("-metrics: %w", err)
	}
	registered.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registered, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	}
	return "http://" + listener.Addr().String() + "/metrics", stop, nil
}
