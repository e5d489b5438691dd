package leak_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/leak"
)

// An issuer publishes keys, and can be unavailable.
type issuer struct {
	t       *testing.T
	url     string
	fetched atomic.Int32
	answer  atomic.Value // of http.HandlerFunc
	now     atomic.Pointer[time.Time]
}

type listed struct {
	ID      string `json:"key_identifier"`
	Key     string `json:"key"`
	Current bool   `json:"is_current"`
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetched.Add(1)
		i.answer.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(server.Close)
	i.url = server.URL
	i.pass(0)
	return i
}

// pass moves the clock.
func (i *issuer) pass(d time.Duration) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if had := i.now.Load(); had != nil {
		now = had.Add(d)
	}
	i.now.Store(&now)
}

func (i *issuer) lists(keys ...listed) {
	data, err := json.Marshal(map[string]any{"public_keys": keys})
	require.NoError(i.t, err)
	i.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
}

func (i *issuer) fails(h http.HandlerFunc) { i.answer.Store(h) }

func (i *issuer) keys() *leak.Fetched {
	i.t.Helper()
	keys, err := leak.Fetch(leak.FetchConfig{URL: i.url, Now: func() time.Time { return *i.now.Load() }})
	require.NoError(i.t, err)
	return keys
}

func (s signer) pem() string {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		panic(err) // of a key that was made so
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestFetch(t *testing.T) {
	i, s, old := newIssuer(t), newSigner(t), newSigner(t)
	i.lists(listed{"ours", s.pem(), true}, listed{"old", old.pem(), false}, listed{"odd", "no key", true}, listed{"", s.pem(), true})
	keys := i.keys()
	require.Zero(t, i.fetched.Load(), "nothing is fetched before it is needed")
	for range 3 {
		_, err := leak.Read(t.Context(), keys, s.sign(`[]`), []byte(`[]`))
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, i.fetched.Load())
	for _, id := range []string{"old", "odd", "", "unknown"} { // SS-03
		_, err := keys.Key(t.Context(), id)
		assert.ErrorIs(t, err, leak.ErrSignature, id)
	}
	assert.EqualValues(t, 1, i.fetched.Load(), "SS-04: not before the cool-down is over")

	i.pass(time.Minute)
	i.lists(listed{"new", s.pem(), true})
	_, err := keys.Key(t.Context(), "new")
	assert.NoError(t, err, "a new key is found when the cool-down is over")
	_, err = keys.Key(t.Context(), "ours")
	assert.ErrorIs(t, err, leak.ErrSignature, "what is not listed any more is gone")

	i.pass(24*time.Hour - time.Nanosecond)
	_, err = keys.Key(t.Context(), "new")
	assert.NoError(t, err)
	assert.EqualValues(t, 2, i.fetched.Load())
	i.lists()
	i.pass(time.Nanosecond)
	_, err = keys.Key(t.Context(), "new")
	assert.ErrorIs(t, err, leak.ErrSignature, "a day later the list is fetched anew")
	assert.EqualValues(t, 3, i.fetched.Load())
}

// SS-04: however many identifiers strangers invent, the list is fetched once.
func TestFetchFlood(t *testing.T) {
	i, s := newIssuer(t), newSigner(t)
	i.lists(listed{"ours", s.pem(), true})
	keys := i.keys()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := keys.Key(t.Context(), "made up")
			assert.ErrorIs(t, err, leak.ErrSignature)
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, i.fetched.Load())
}

// While there is no list every report is refused, and the error is not that of a wrong
// signature.
func TestFetchFails(t *testing.T) {
	elsewhere := newIssuer(t)
	s := newSigner(t)
	elsewhere.lists(listed{"ours", s.pem(), true})
	for name, h := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url, http.StatusFound) }, // SS-05
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"endless":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20+1)) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		},
		"hung up on": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.fails(h)
			keys := i.keys()
			for range 3 {
				_, err := leak.Read(t.Context(), keys, s.sign(`[]`), []byte(`[]`))
				require.Error(t, err)
				require.NotErrorIs(t, err, leak.ErrSignature)
			}
			tried := i.fetched.Load()
			assert.LessOrEqual(t, tried, int32(2), "net/http itself may repeat a request once")
			i.lists(listed{"ours", s.pem(), true})
			i.pass(time.Minute)
			_, err := leak.Read(t.Context(), keys, s.sign(`[]`), []byte(`[]`))
			assert.NoError(t, err)
		})
	}
	assert.Zero(t, elsewhere.fetched.Load())
}

func TestFetchConfig(t *testing.T) {
	for _, cfg := range []leak.FetchConfig{
		{}, {URL: "x"}, {URL: "http://keys.example/"}, {URL: "https://user:pw@keys.example/"}, {URL: "ftp://localhost/"},
		{URL: "https://keys.example/", MaxAge: -1}, {URL: "https://keys.example/", CoolDown: -1},
	} {
		_, err := leak.Fetch(cfg)
		assert.ErrorContains(t, err, "FetchConfig", cfg.URL)
	}
	_, err := leak.Fetch(leak.FetchConfig{URL: "https://keys.example/"})
	assert.NoError(t, err)
}
