package oidc_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/trust/oidc"
)

const (
	issuerURL = "https://ci.test"
	audience  = "npm:npm.acme.test"
)

var (
	start = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

	rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey { return []*rsa.PrivateKey{newRSA(2048), newRSA(2048)} })
	ecKeys  = sync.OnceValue(func() []*ecdsa.PrivateKey {
		return []*ecdsa.PrivateKey{newEC(elliptic.P256()), newEC(elliptic.P256())}
	})
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// fields are members of a JSON object. A nil value leaves one out.
type fields map[string]any

func (f fields) with(change fields) fields {
	next := maps.Clone(f)
	for name, value := range change {
		if next[name] = value; value == nil {
			delete(next, name)
		}
	}
	return next
}

func (f fields) json() []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return data
}

// claims are those of a token that was issued at start and is accepted.
func claims() fields {
	return fields{
		"iss": issuerURL, "aud": audience, "sub": "repo:acme/widget:ref:refs/heads/main", "jti": "6e67b1cb-2b8d",
		"iat": start.Unix(), "exp": start.Add(5 * time.Minute).Unix(), "repository": "acme/widget",
	}
}

// sign returns a token with any header and payload.
func sign(header, payload []byte, key crypto.Signer) string {
	return issuertest.Sign(header, payload, key)
}

// rs256 and es256 return a token that names the key kid.
func rs256(kid string, key *rsa.PrivateKey, payload fields) string {
	return sign(fields{"alg": "RS256", "typ": "JWT", "kid": kid, "x5t": "example"}.json(), payload.json(), key)
}

func es256(kid string, key *ecdsa.PrivateKey, payload fields) string {
	return sign(fields{"alg": "ES256", "typ": "JWT", "kid": kid}.json(), payload.json(), key)
}

// jwk returns the members of a published key.
func jwk(kid string, public any) fields { return issuertest.JWK(kid, public) }

// A system is a CI system that publishes keys. As the transport of a client it answers all requests.
type system struct {
	mu        sync.Mutex
	issuer    string                            // guarded by mu
	keys      []fields                          // guarded by mu
	header    http.Header                       // of the keys; guarded by mu
	down      bool                              // guarded by mu
	answer    map[string]func() ([]byte, error) // instead, by path; guarded by mu
	requested []string                          // guarded by mu
	hosts     map[string]*system                // others that the transport reaches
}

func newSystem(keys ...fields) *system {
	return &system{issuer: issuerURL, keys: keys, header: http.Header{}, answer: map[string]func() ([]byte, error){}}
}

const (
	configPath = "/.well-known/openid-configuration"
	keysPath   = "/.well-known/jwks"
)

func (s *system) RoundTrip(req *http.Request) (*http.Response, error) {
	if other := s.hosts[req.URL.Host]; other != nil {
		return other.RoundTrip(req)
	}
	s.mu.Lock()
	s.requested = append(s.requested, req.URL.String())
	down, keys, header := s.down, s.keys, s.header.Clone()
	answer := s.answer[req.URL.Path]
	body := fields{"issuer": s.issuer, "jwks_uri": s.issuer + keysPath}.json()
	s.mu.Unlock()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	status := http.StatusOK
	switch {
	case down:
		return nil, io.ErrUnexpectedEOF
	case answer != nil:
		var err error
		if body, err = answer(); err != nil {
			return nil, err
		}
	case req.URL.String() == s.issuer+keysPath:
		body = fields{"keys": keys}.json()
	case req.URL.String() != s.issuer+configPath:
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

func (s *system) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// fetches returns how often the keys were requested.
func (s *system) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, u := range s.requested {
		if u == s.issuer+keysPath {
			n++
		}
	}
	return n
}

func (s *system) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requested...)
}

// A fixture is a Verifier with a clock.
type fixture struct {
	*oidc.Verifier
	t   testing.TB
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newVerifier(t testing.TB, s *system, change func(*oidc.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, now: start}
	cfg := oidc.Config{
		Issuers: []string{issuerURL}, Audiences: []string{audience}, Client: &http.Client{Transport: s}, Now: f.clock,
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	f.Verifier, err = oidc.New(cfg)
	require.NoError(t, err)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// verify presents a token, at start whatever the time is: keys get old, and the token does not.
func (f *fixture) verify(token string) (oidc.Token, error) {
	return f.Verify(f.t.Context(), credential.NewSecret(token), start)
}

func (f *fixture) accepts(token string) oidc.Token {
	f.t.Helper()
	got, err := f.verify(token)
	assert.NoError(f.t, err)
	return got
}

// refuses expects a token to be invalid, for a reason and, if it is given, about a claim.
func (f *fixture) refuses(reason oidc.Reason, token string, msg ...any) {
	f.t.Helper()
	got, err := f.verify(token)
	assert.ErrorIs(f.t, err, oidc.ErrInvalid, msg...)
	assert.NotErrorIs(f.t, err, oidc.ErrUnavailable, msg...)
	assert.Empty(f.t, got, msg...)
	var invalid *oidc.InvalidError
	if assert.ErrorAs(f.t, err, &invalid, msg...) {
		assert.Equal(f.t, reason, invalid.Reason, msg...)
	}
}

func (f *fixture) unavailable(token string) {
	f.t.Helper()
	got, err := f.verify(token)
	assert.ErrorIs(f.t, err, oidc.ErrUnavailable)
	assert.NotErrorIs(f.t, err, oidc.ErrInvalid)
	assert.Empty(f.t, got)
}
