// Package issuertest has issuers of ID tokens for tests: they sign with keys of their own, publish them on the loopback
// interface, and say of a job what GitHub Actions, GitLab and CircleCI say.
//
//	iss := issuertest.New(t)
//	bearer := iss.GitHub("npm:registry.acme.test", map[string]any{"environment": "prod"})
package issuertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Issuer signs ID tokens. It is safe for concurrent use.
type Issuer struct {
	server *server
	url    string

	keys    []key // all that are published, of which the last one signs; guarded by server.mu
	down    bool  // guarded by server.mu
	fetches int   // guarded by server.mu
}

// A server publishes the keys of its issuers.
type server struct {
	url   string
	now   func() time.Time
	es256 bool

	mu      sync.Mutex
	issuers map[string]*Issuer // by the path of their URLs; guarded by mu
}

// An Option changes what New returns.
type Option func(*server)

// ES256 makes the keys those of ES256, instead of RS256.
func ES256(s *server) { s.es256 = true }

// Now makes now the clock of the tokens, instead of time.Now.
func Now(now func() time.Time) Option { return func(s *server) { s.now = now } }

// New starts an issuer that stops at the end of the test.
func New(t testing.TB, options ...Option) *Issuer {
	t.Helper()
	s := &server{now: time.Now, issuers: map[string]*Issuer{}}
	for _, option := range options {
		option(s)
	}
	srv := httptest.NewUnstartedServer(s)
	s.url = "http://" + srv.Listener.Addr().String()
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		s.reuse()
	})
	return s.issuer("")
}

// URL returns what its tokens have as iss: http, a loopback address and a port, and the path of an Org.
func (i *Issuer) URL() string { return i.url }

// Org returns the issuer of an organization of CircleCI, below i: its URL ends in /org/<id>, and its keys and outages
// are its own. It is the same one for the same id.
func (i *Issuer) Org(id string) *Issuer { return i.server.issuer("/org/" + id) }

// Rotate makes a key with which the issuer signs from now on. The others remain published.
func (i *Issuer) Rotate() {
	next := i.server.newKey()
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	i.keys = append(i.keys, next)
}

// Retire ends the publication of all keys but the one that signs.
func (i *Issuer) Retire() {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// Down makes the issuer answer 503 or, after Down(false), as usual.
func (i *Issuer) Down(down bool) {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	i.down = down
}

// Fetches returns how often the issuer's configuration was requested, with which a fetch of its keys begins,
// also while it was down.
func (i *Issuer) Fetches() int {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	return i.fetches
}

// Sign returns a token of these claims and no others.
func (i *Issuer) Sign(claims map[string]any) string {
	i.server.mu.Lock()
	k := i.keys[len(i.keys)-1]
	i.server.mu.Unlock()
	header := map[string]any{"alg": k.algorithm, "kid": k.id, "typ": "JWT"}
	return Sign(encode(header), encode(claims), k.private)
}

// issuer returns the issuer of a path, made the first time.
func (s *server) issuer(path string) *Issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.issuers[path]
	if i == nil {
		i = &Issuer{server: s, url: s.url + path, keys: []key{s.newKey()}}
		s.issuers[path] = i
	}
	return i
}

// ServeHTTP publishes the configuration and the keys of an issuer below its URL.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, document, _ := strings.Cut(r.URL.Path, "/.well-known/")
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.issuers[path]
	if i == nil {
		http.NotFound(w, r)
		return
	}
	if document == "openid-configuration" {
		i.fetches++
	}
	switch {
	case i.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case document == "openid-configuration":
		answer(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/.well-known/jwks"})
	case document == "jwks":
		published := []map[string]any{}
		for _, k := range i.keys {
			published = append(published, JWK(k.id, k.private.Public()))
		}
		answer(w, map[string]any{"keys": published})
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, document map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(encode(document)) // the client may have gone
}

// encode returns the JSON of what a test made.
func encode(object map[string]any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return data
}

// newKey returns a key that no other issuer has.
func (s *server) newKey() key {
	id := rand.Text()
	if !s.es256 {
		return key{id, "RS256", newRSA()}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key{id, "ES256", private}
}

// spare are keys of issuers that have stopped: to make a new one takes longer than most tests.
var spare struct {
	mu   sync.Mutex
	keys []*rsa.PrivateKey // guarded by mu
}

func newRSA() *rsa.PrivateKey {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if last := len(spare.keys) - 1; last >= 0 {
		private := spare.keys[last]
		spare.keys = spare.keys[:last]
		return private
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
}

// reuse gives the keys that sign to the issuers to come.
func (s *server) reuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	spare.mu.Lock()
	defer spare.mu.Unlock()
	for _, i := range s.issuers {
		for _, k := range i.keys {
			if private, ok := k.private.(*rsa.PrivateKey); ok {
				spare.keys = append(spare.keys, private)
			}
		}
	}
}
