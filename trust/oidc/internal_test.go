package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/vectors"
)

// wycheproof reads a file of vectors, which are beside the project.
func wycheproof(t *testing.T, name string, suite any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(vectors.Wycheproof(t, "../../../shared", name), suite))
}

// OI-01, OI-02, OI-03, OI-34, OI-35, OI-36: what implementations of JSON Web Signature have got wrong before.
func TestWycheproofJWS(t *testing.T) {
	var suite struct {
		NumberOfTests int
		TestGroups    []struct {
			Comment         string
			Public, Private json.RawMessage
			Tests           []struct {
				TcID            int
				Comment, Result string
				JWS             json.RawMessage
			}
		}
	}
	wycheproof(t, "json_web_signature_test.json", &suite)
	tests, accepted := 0, map[string]int{}
	for _, group := range suite.TestGroups {
		raw := group.Public
		if len(raw) == 0 {
			raw = group.Private // a secret
		}
		var keys []key
		if k, ok := parseKey(raw); ok {
			keys = append(keys, k)
		}
		for _, tt := range group.Tests {
			tests++
			text, ok := str(tt.JWS)
			if !ok {
				text = string(tt.JWS)
			}
			c, err := unpack(text)
			valid := err == nil && check(keys, c) == ""
			if tt.Result != "valid" {
				assert.False(t, valid, "%d: %s: %s", tt.TcID, group.Comment, tt.Comment)
				continue
			}
			// A token without claims is none; other algorithms and their keys are not used here.
			unused := len(keys) == 0 || tt.Comment == "emptyPayload"
			assert.Equal(t, !unused, valid, "%d: %s: %s", tt.TcID, group.Comment, tt.Comment)
			if valid {
				accepted[c.algorithm]++
			}
		}
	}
	assert.Equal(t, suite.NumberOfTests, tests)
	assert.Equal(t, map[string]int{"RS256": 7, "ES256": 2}, accepted)
}

// OI-36: signatures that implementations of ECDSA have got wrong before, as those of a token and by its key: in the
// encoding of the vectors, and as the numbers in it.
func TestWycheproofECDSA(t *testing.T) {
	var suite struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKey struct{ Uncompressed string }
			Tests     []struct {
				TcID     int
				Msg, Sig string
				Result   string
			}
		}
	}
	wycheproof(t, "ecdsa_secp256r1_sha256_test.json", &suite)
	encode := base64.RawURLEncoding.EncodeToString
	const signed = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30" // {"alg":"ES256","kid":"k"} and {}
	try := func(k key, sig []byte, id int) {
		c, err := parse(signed + "." + encode(sig))
		if len(sig) > 0 && assert.NoError(t, err, "%d", id) {
			assert.Equal(t, ReasonSignature, check([]key{k}, c), "%d", id)
		}
	}
	tests, numbers := 0, 0
	for _, group := range suite.TestGroups {
		point, err := hex.DecodeString(group.PublicKey.Uncompressed)
		require.NoError(t, err)
		require.Len(t, point, 65)
		jwk, err := json.Marshal(map[string]string{"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(point[1:33]), "y": encode(point[33:])})
		require.NoError(t, err)
		k, ok := parseKey(jwk)
		require.True(t, ok)
		for _, tt := range group.Tests {
			tests++
			sig, err := hex.DecodeString(tt.Sig)
			require.NoError(t, err)
			try(k, sig, tt.TcID)
			var n struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(sig, &n); err != nil || n.R.Sign() < 0 || n.S.Sign() < 0 || n.R.BitLen() > 256 || n.S.BitLen() > 256 {
				continue
			}
			numbers++
			try(k, append(n.R.FillBytes(make([]byte, 32)), n.S.FillBytes(make([]byte, 32))...), tt.TcID)
		}
	}
	assert.Equal(t, suite.NumberOfTests, tests)
	assert.Greater(t, numbers, tests/2)
}

// OI-36: an ES256 signature is 64 bytes, two numbers below the order and not zero. That -s is as good as s is a property of ECDSA,
// for which nothing must be told apart by its signature.
func TestES256Signatures(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	const signed = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30"
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	require.NoError(t, err)
	keys := []key{{id: "k", algorithm: "ES256", public: private.Public()}}
	order := elliptic.P256().Params().N
	raw := func(r, s *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	require.NoError(t, err)
	good, zero := raw(r, s, 32), new(big.Int)
	for name, tt := range map[string]struct {
		signature []byte
		want      Reason
	}{
		"right":       {good, ""},
		"negated":     {raw(r, new(big.Int).Sub(order, s), 32), ""},
		"DER":         {der, ReasonSignature},
		"longer":      {append(append([]byte(nil), good...), 0), ReasonSignature},
		"shorter":     {good[:63], ReasonSignature},
		"48 bytes":    {raw(r, s, 48), ReasonSignature},
		"r only":      {good[:32], ReasonSignature},
		"twice":       {append(append([]byte(nil), good...), good...), ReasonSignature},
		"s is 0":      {raw(r, zero, 32), ReasonSignature},
		"both are 0":  {raw(zero, zero, 32), ReasonSignature},
		"s is order":  {raw(r, order, 32), ReasonSignature},
		"r is order":  {raw(order, s, 32), ReasonSignature},
		"interchange": {raw(s, r, 32), ReasonSignature},
	} {
		c, err := parse(signed + "." + base64.RawURLEncoding.EncodeToString(tt.signature))
		if assert.NoError(t, err, name) {
			assert.Equal(t, tt.want, check(keys, c), name)
		}
	}
}
