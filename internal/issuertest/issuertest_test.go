package issuertest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/issuertest"
)

const audience = "npm:registry.acme.test"

// get reads a document, and returns the status.
func get(t *testing.T, url string, into any) int {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		require.NoError(t, json.NewDecoder(res.Body).Decode(into))
	}
	return res.StatusCode
}

// published returns the keys of an issuer by their IDs, as its configuration leads to them.
func published(t *testing.T, iss *issuertest.Issuer) map[string]map[string]string {
	t.Helper()
	var config struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	require.Equal(t, http.StatusOK, get(t, iss.URL()+"/.well-known/openid-configuration", &config))
	require.Equal(t, iss.URL(), config.Issuer)
	var set struct{ Keys []map[string]string }
	require.Equal(t, http.StatusOK, get(t, config.Keys, &set))
	keys := map[string]map[string]string{}
	for _, k := range set.Keys {
		keys[k["kid"]] = k
	}
	require.Len(t, keys, len(set.Keys), "each has its own ID")
	return keys
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return data
}

func number(t *testing.T, text string) *big.Int {
	t.Helper()
	return new(big.Int).SetBytes(decode(t, text))
}

// parts returns the header and the claims of a token.
func parts(t *testing.T, token string) (header map[string]string, claims map[string]any) {
	t.Helper()
	texts := strings.Split(token, ".")
	require.Len(t, texts, 3)
	require.NoError(t, json.Unmarshal(decode(t, texts[0]), &header))
	require.NoError(t, json.Unmarshal(decode(t, texts[1]), &claims))
	return header, claims
}

// verifies reports whether the key that a token names is published and has signed it.
func verifies(t *testing.T, iss *issuertest.Issuer, token string) bool {
	t.Helper()
	header, _ := parts(t, token)
	k, ok := published(t, iss)[header["kid"]]
	if !ok {
		return false
	}
	end := strings.LastIndexByte(token, '.')
	sum, signature := sha256.Sum256([]byte(token[:end])), decode(t, token[end+1:])
	switch header["alg"] {
	case "RS256":
		require.Equal(t, "RSA", k["kty"])
		public := &rsa.PublicKey{N: number(t, k["n"]), E: int(number(t, k["e"]).Int64())}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	case "ES256":
		require.Equal(t, []string{"EC", "P-256"}, []string{k["kty"], k["crv"]})
		require.Len(t, signature, 64)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, decode(t, k["x"]), decode(t, k["y"])))
		require.NoError(t, err)
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

func TestSign(t *testing.T) {
	for algorithm, options := range map[string][]issuertest.Option{"RS256": nil, "ES256": {issuertest.ES256}} {
		iss := issuertest.New(t, options...)
		assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, iss.URL())
		token := iss.Sign(map[string]any{"iss": iss.URL(), "n": 1})
		header, claims := parts(t, token)
		assert.Equal(t, algorithm, header["alg"])
		assert.Equal(t, map[string]any{"iss": iss.URL(), "n": 1.0}, claims)
		assert.True(t, verifies(t, iss, token), algorithm)

		texts := strings.Split(token, ".")
		texts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"n":2}`))
		assert.False(t, verifies(t, iss, strings.Join(texts, ".")), "%s: another payload", algorithm)
	}
}

func TestRotate(t *testing.T) {
	iss := issuertest.New(t)
	first := iss.GitHub(audience)
	iss.Rotate()
	second := iss.GitHub(audience)
	was, _ := parts(t, first)
	is, _ := parts(t, second)
	assert.NotEqual(t, was["kid"], is["kid"])
	assert.True(t, verifies(t, iss, first))
	assert.True(t, verifies(t, iss, second))
	iss.Retire()
	assert.False(t, verifies(t, iss, first))
	assert.True(t, verifies(t, iss, second))
}

// An organization's issuer has nothing of the one that it is below.
func TestOrg(t *testing.T) {
	iss := issuertest.New(t)
	org := iss.Org(issuertest.CircleOrg)
	assert.Same(t, org, iss.Org(issuertest.CircleOrg))
	assert.Equal(t, iss.URL()+"/org/"+issuertest.CircleOrg, org.URL())
	token := org.CircleCI(audience)
	assert.True(t, verifies(t, org, token))
	assert.False(t, verifies(t, iss, token))
	_, claims := parts(t, token)
	assert.Equal(t, org.URL(), claims["iss"])
	assert.Equal(t, issuertest.CircleOrg, claims["oidc.circleci.com/org-id"])
	assert.NotContains(t, claims, "jti")
	assert.Panics(t, func() { iss.CircleCI(audience) })
	assert.Equal(t, http.StatusNotFound, get(t, iss.URL()+"/org/other/.well-known/openid-configuration", nil))
	assert.Equal(t, http.StatusNotFound, get(t, iss.URL()+"/.well-known/other", nil))
}

func TestDown(t *testing.T) {
	iss := issuertest.New(t)
	org := iss.Org(issuertest.CircleOrg)
	published(t, iss)
	iss.Down(true)
	assert.Equal(t, http.StatusServiceUnavailable, get(t, iss.URL()+"/.well-known/openid-configuration", nil))
	assert.Equal(t, http.StatusServiceUnavailable, get(t, iss.URL()+"/.well-known/jwks", nil))
	assert.Equal(t, 2, iss.Fetches())
	published(t, org)
	iss.Down(false)
	published(t, iss)
	assert.Equal(t, 3, iss.Fetches())
	assert.Equal(t, 1, org.Fetches())
}

func TestClaims(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	iss := issuertest.New(t, issuertest.ES256, issuertest.Now(func() time.Time { return now }))
	change := map[string]any{"sub": "other", "ref": nil}
	for name, tt := range map[string]struct {
		iss       *issuertest.Issuer
		token     func(string, ...map[string]any) string
		claims    map[string]any
		notBefore any
	}{
		"github":   {iss, iss.GitHub, issuertest.GitHub(change), float64(now.Add(-10 * time.Minute).Unix())},
		"gitlab":   {iss, iss.GitLab, issuertest.GitLab(change), float64(now.Add(-5 * time.Second).Unix())},
		"circleci": {iss.Org("o"), iss.Org("o").CircleCI, issuertest.CircleCI("o", change), nil},
	} {
		token := tt.token(audience, change)
		assert.True(t, verifies(t, tt.iss, token), name)
		_, got := parts(t, token)
		assert.Equal(t, tt.iss.URL(), got["iss"], name)
		assert.Equal(t, audience, got["aud"], name)
		assert.EqualValues(t, now.Unix(), got["iat"], name)
		assert.EqualValues(t, now.Add(issuertest.Lifetime).Unix(), got["exp"], name)
		assert.Equal(t, tt.notBefore, got["nbf"], name)
		assert.Equal(t, "other", got["sub"], name)
		assert.NotContains(t, got, "ref", name)
		_, next := parts(t, tt.token(audience, change))
		assert.NotEqual(t, got, next, "%s: each token says something else", name)
		for claim := range tt.claims {
			assert.Contains(t, got, claim, name)
		}
		assert.NotContains(t, tt.claims, "ref", name)
		assert.NotContains(t, tt.claims, "aud", name)
	}
	_, got := parts(t, iss.GitLab(audience))
	assert.Equal(t, strings.TrimPrefix(iss.URL(), "http://")+"/acme/widget//.gitlab-ci.yml@refs/heads/main", got["ci_config_ref_uri"])
	first, second := issuertest.GitHub(), issuertest.GitHub()
	assert.NotEqual(t, first["jti"], second["jti"])
}

// Issuers that are there at one time have no key in common.
func TestOtherIssuer(t *testing.T) {
	one, other := issuertest.New(t), issuertest.New(t)
	seen := map[string]bool{}
	for _, iss := range []*issuertest.Issuer{one, other, one.Org("o")} {
		for _, k := range published(t, iss) {
			assert.False(t, seen[k["n"]])
			seen[k["n"]] = true
		}
	}
	assert.Len(t, seen, 3)
}
