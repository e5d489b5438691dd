package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

// scrape returns what Prometheus would read at a URL.
func scrape(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}

// The decisions of a running registry are counted at the address of -metrics, and at no other.
func TestMetrics(t *testing.T) {
	p := start(t, t.TempDir(), "-metrics", "127.0.0.1:0")
	at := regexp.MustCompile(`metrics at (http://127\.0\.0\.1:\d+/metrics)\n`).FindStringSubmatch(p.out.String())
	require.NotNil(t, at, p.out.String())
	session := p.login()
	for range 3 {
		status, _ := p.whoami(session)
		require.Equal(t, http.StatusOK, status)
	}
	status, _ := p.whoami("npm_not-a-token-of-anybody")
	require.Equal(t, http.StatusUnauthorized, status)
	var refused struct{ Code string }
	require.Equal(t, http.StatusUnauthorized, p.do(http.MethodPut, "-/package/widget/dist-tags/next", "", `"1.0.0"`, &refused))

	text := scrape(t, at[1])
	assert.Contains(t, text, `npmauth_decisions_total{action="whoami",outcome="done",rule=""} 3`+"\n")
	assert.Contains(t, text, `npmauth_decisions_total{action="whoami",outcome="denied",rule=""} 1`+"\n", "no rule: the credential is not valid")
	assert.NotEmpty(t, refused.Code)
	assert.Contains(t, text, `npmauth_decisions_total{action="set-dist-tag",outcome="rejected",rule="`+refused.Code+`"} 1`+"\n")
	assert.Contains(t, text, `npmauth_decision_seconds_count{action="whoami"} 4`+"\n")
	assert.Contains(t, text, `npmauth_decision_seconds_bucket{action="whoami",le="120"} 4`+"\n")
	assert.Contains(t, text, "go_goroutines")
	assert.NotContains(t, text, session)

	assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, "metrics", "", "", new(any)), "the public address has no metrics, but perhaps a package of that name")
	p.end()
	_, err := http.Get(at[1])
	assert.Error(t, err, "it ends with the registry")
}

func TestNoMetrics(t *testing.T) {
	p := start(t, t.TempDir())
	assert.NotContains(t, p.out.String(), "metrics")
}

var anObservation = npmauth.Observation{Action: protocol.Publish, Outcome: audit.Done}

// However many rules a policy has, the number of series has a bound.
func TestMetricsAreBounded(t *testing.T) {
	registered := prometheus.NewRegistry()
	m := newMetrics(registered)
	for i := range 3 * maxRules {
		m.Observe(npmauth.Observation{Action: protocol.Publish, Outcome: audit.Denied, Rule: fmt.Sprint("rule-", i), Duration: time.Second})
		m.Observe(anObservation)
	}
	families, err := registered.Gather()
	require.NoError(t, err)
	series := map[string]int{}
	var denied, other float64
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
		for _, one := range f.GetMetric() {
			for _, label := range one.GetLabel() {
				if label.GetName() == "rule" && label.GetValue() != "" {
					denied += one.GetCounter().GetValue()
					if label.GetValue() == "other" {
						other = one.GetCounter().GetValue()
					}
				}
			}
		}
	}
	assert.Equal(t, map[string]int{"npmauth_decisions_total": maxRules + 2, "npmauth_decision_seconds": 1}, series, "and one for none, and for all others")
	assert.Equal(t, 3*maxRules, int(denied))
	assert.Equal(t, 2*maxRules, int(other))
}

// Whoever reads the metrics is not authenticated, so nobody else can reach them.
func TestMetricsAreLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:9464", "[::1]:0", "localhost:9464", "127.9.9.9:1", "[::ffff:127.0.0.1]:9464"} {
		_, err := parseOptions([]string{"-metrics", addr}, io.Discard)
		assert.NoError(t, err, addr)
	}
	for _, addr := range []string{":9464", "0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464", "registry.example:9464", "127.0.0.1", "9464"} {
		var out strings.Builder
		_, err := parseOptions([]string{"-metrics", addr}, &out)
		assert.ErrorIs(t, err, errUsage, addr)
		assert.Contains(t, out.String(), "loopback", addr)
	}
	_, _, err := serveMetrics(t.Context(), "0.0.0.0:0", prometheus.NewRegistry())
	assert.ErrorContains(t, err, "loopback", "nor where a name has led there")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, _, err = serveMetrics(t.Context(), taken.Addr().String(), prometheus.NewRegistry())
	assert.ErrorContains(t, err, "-metrics")
}
