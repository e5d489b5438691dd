package oidc_test

import (
	"compress/gzip"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust/oidc"
)

// serve starts an issuer whose keys are answered by a handler.
func serve(t *testing.T, start func(http.Handler) *httptest.Server, keys http.HandlerFunc) *httptest.Server {
	var srv *httptest.Server
	srv = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case configPath:
			w.Write(fields{"issuer": srv.URL, "jwks_uri": srv.URL + keysPath}.json())
		case keysPath:
			keys(w, r)
		default:
			t.Errorf("%s is requested", r.URL)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func verifyAt(t *testing.T, srv *httptest.Server, client *http.Client) error {
	v, err := oidc.New(oidc.Config{Issuers: []string{srv.URL}, Audiences: []string{audience}, Client: client})
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), credential.NewSecret(es256("k", ecKeys()[0], claims().with(fields{"iss": srv.URL}))), start)
	return err
}

func TestServer(t *testing.T) {
	keys := func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Empty(t, r.Header.Get("Authorization"))
		w.Write(fields{"keys": []fields{jwk("k", ecKeys()[0].Public())}}.json())
	}
	plain, tls := serve(t, httptest.NewServer, keys), serve(t, httptest.NewTLSServer, keys)
	assert.NoError(t, verifyAt(t, plain, nil))
	assert.NoError(t, verifyAt(t, tls, tls.Client()))
	assert.ErrorIs(t, verifyAt(t, tls, nil), oidc.ErrUnavailable, "nobody vouches for its certificate")
}

// OI-07: the keys are elsewhere, compressed, or without end. OI-10: a redirect leads to a host inside.
func TestAnswers(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
	defer inside.Close()
	good := fields{"keys": []fields{jwk("k", ecKeys()[0].Public())}}.json()
	var sent atomic.Int64
	for name, keys := range map[string]http.HandlerFunc{
		"moved": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) },
		"moved with keys": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", inside.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
			w.Write(good)
		},
		"an error with keys": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write(good) },
		"another success":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(203); w.Write(good) },
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(good)
			z.Close()
		},
		"called gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(good)
		},
		"ten megabytes": func(w http.ResponseWriter, _ *http.Request) {
			for range 10 << 10 {
				n, err := w.Write([]byte(strings.Repeat(" ", 1<<10)))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
			w.Write(good)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(good)
		},
		"large headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("a", 1<<20))
			w.Write(good)
		},
	} {
		srv := serve(t, httptest.NewServer, keys)
		assert.ErrorIs(t, verifyAt(t, srv, nil), oidc.ErrUnavailable, name)
		follows := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { t.Error("the policy of the client is called"); return nil }}
		if name != "large headers" { // which are its transport's
			assert.ErrorIs(t, verifyAt(t, srv, follows), oidc.ErrUnavailable, name)
		}
	}
	assert.Less(t, sent.Load(), int64(10<<20), "it is not read to its end")
}

// unpacks is a transport that decompresses whatever the request accepts.
type unpacks struct{ *system }

func (u unpacks) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := u.system.RoundTrip(req)
	if err == nil {
		res.Uncompressed = true
	}
	return res, err
}

// OI-07: a transport of the host decompresses the answer.
func TestUncompressed(t *testing.T) {
	v, err := oidc.New(oidc.Config{
		Issuers: []string{issuerURL}, Audiences: []string{audience},
		Client: &http.Client{Transport: unpacks{newSystem(jwk("k", ecKeys()[0].Public()))}},
	})
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), credential.NewSecret(es256("k", ecKeys()[0], claims())), start)
	assert.ErrorIs(t, err, oidc.ErrUnavailable)
}

// The client of the host stays as it is, and its cookies with it.
func TestClient(t *testing.T) {
	srv := serve(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Cookies())
		w.Header().Set("Set-Cookie", "a=b")
		w.Write(fields{"keys": []fields{jwk("k", ecKeys()[0].Public())}}.json())
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar}
	assert.NoError(t, verifyAt(t, srv, client))
	assert.NoError(t, verifyAt(t, srv, client))
	assert.Nil(t, client.CheckRedirect)
}
