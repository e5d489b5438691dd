package integration

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/twofactor/webauthn"
)

// An Embedded is npmauth in the process of a test, which sets its clock and has its store fail. Its host is that of a
// [Library].
type Embedded struct {
	*npmauth.Auth
	URL   string       // at localhost, with the trailing slash
	Away  atomic.Bool  // each call of the store fails
	Lost  atomic.Bool  // the answer of each commit of the store is lost
	ahead atomic.Int64 // of the clock, a time.Duration
}

// StartEmbedded serves npmauth on a free port until the test ends. change changes its configuration.
func StartEmbedded(t testing.TB, change func(*npmauth.Config)) *Embedded {
	t.Helper()
	e := &Embedded{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	e.URL = "http://localhost:" + u.Port() + "/"
	cfg := npmauth.Config{
		BaseURL: e.URL, Packages: nothing{}, Users: everyone{}, Keys: webauthn.Keys, Now: e.Now, Fresh: -1,
		Store: storetest.NewFaulty(store.NewMemory(),
			storetest.Fault{Times: storetest.Always, If: func(storetest.Call) bool { return e.Away.Load() }},
			storetest.Fault{Times: storetest.Always, On: storetest.Commits, After: true, If: func(storetest.Call) bool { return e.Lost.Load() }}),
	}
	change(&cfg)
	e.Auth, err = npmauth.New(cfg)
	require.NoError(t, err)
	return e
}

// Now returns the time of its clock.
func (e *Embedded) Now() time.Time { return time.Now().Add(time.Duration(e.ahead.Load())) }

// Advance sets its clock forward.
func (e *Embedded) Advance(d time.Duration) { e.ahead.Add(int64(d)) }
