package oidc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Limits of what an issuer publishes.
const (
	maxKeys    = 64
	minModulus = 2048 // bits
	maxModulus = 8192 // bits: a longer one takes long to verify with
	minPublic  = 1<<16 + 1
)

// A key is one that an issuer publishes to verify its signatures with.
type key struct {
	id        string
	algorithm string
	public    crypto.PublicKey
}

// parseKeys reads a JWK set (RFC 7517). It skips keys that cannot be used, such as those for other purposes,
// and fails if none is left.
func parseKeys(data []byte) ([]key, error) {
	set, ok := object(data)
	if !ok {
		return nil, errors.New("the keys are not a JSON object")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(set["keys"], &list); err != nil {
		return nil, errors.New("there is no list of keys")
	}
	if len(list) > maxKeys {
		return nil, errors.New("there are too many keys")
	}
	var keys []key
	for _, raw := range list {
		if k, ok := parseKey(raw); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key can be used")
	}
	return keys, nil
}

func parseKey(raw json.RawMessage) (key, bool) {
	fields, ok := object(raw)
	if !ok || !forSignatures(fields) {
		return key{}, false
	}
	id, ok := str(fields["kid"])
	if !ok || id == "" || len(id) > MaxID {
		return key{}, false
	}
	algorithm, names := jose.RS256, []string{"n", "e"}
	switch kind, _ := str(fields["kty"]); kind {
	case "RSA":
		// go-jose would take the low bits of a longer exponent.
		if e, ok := str(fields["e"]); !ok || len(e) > 6 {
			return key{}, false
		}
	case "EC":
		algorithm, names = jose.ES256, []string{"crv", "x", "y"}
	default:
		return key{}, false
	}
	if said, present := fields["alg"]; present {
		if name, ok := str(said); !ok || name != string(algorithm) {
			return key{}, false
		}
	}
	// Only what makes the key: certificates that come with it say nothing that is used.
	bare := map[string]json.RawMessage{"kty": fields["kty"]}
	for _, name := range names {
		text, ok := str(fields[name])
		if _, clean := decode(text); !ok || name != "crv" && !clean {
			return key{}, false
		}
		bare[name] = fields[name]
	}
	data, err := json.Marshal(bare)
	if err != nil {
		return key{}, false
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(data); err != nil || !strong(parsed.Key) {
		return key{}, false
	}
	return key{id: id, algorithm: string(algorithm), public: parsed.Key}, true
}

// forSignatures reports whether a JWK is published to verify signatures with. A private or secret
// key that is published is anybody's.
func forSignatures(fields map[string]json.RawMessage) bool {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := fields[name]; ok {
			return false
		}
	}
	if raw, present := fields["use"]; present {
		if use, ok := str(raw); !ok || use != "sig" {
			return false
		}
	}
	if raw, present := fields["key_ops"]; present {
		var ops []string
		if err := json.Unmarshal(raw, &ops); err != nil || !slices.Contains(ops, "verify") {
			return false
		}
	}
	return true
}

func strong(public any) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return bits >= minModulus && bits <= maxModulus && public.N.Bit(0) == 1 && public.E >= minPublic && public.E&1 == 1
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256()
	}
	return false
}

// check returns no reason if one of the keys has signed the token. Several keys may have one ID, as an RSA and
// an EC key: each of the right type is tried.
func check(keys []key, c *compact) Reason {
	reason := ReasonKey
	for _, k := range keys {
		if k.id != c.keyID || k.algorithm != c.algorithm {
			continue
		}
		if k.hasSigned(c) {
			return ""
		}
		reason = ReasonSignature
	}
	return reason
}

func (k key) hasSigned(c *compact) bool {
	signed, err := jose.ParseSignedCompact(c.text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.algorithm)})
	if err != nil {
		return false
	}
	payload, err := signed.Verify(k.public)
	return err == nil && bytes.Equal(payload, c.payload)
}
