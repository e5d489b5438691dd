package leak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// Static are configured keys, by their identifier.
type Static map[string]*ecdsa.PublicKey

// Key implements [Keys].
func (s Static) Key(_ context.Context, id string) (*ecdsa.PublicKey, error) {
	if key := s[id]; key != nil {
		return key, nil
	}
	return nil, ErrSignature
}

// ParseKey reads a public key in PEM, as SubjectPublicKeyInfo. It must be one of P-256.
func ParseKey(text []byte) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 && !blank(rest) {
		return nil, errors.New("leak: not one public key in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("leak: not a public key")
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || !usable(key) {
		return nil, errors.New("leak: not a public key on the curve P-256")
	}
	return key, nil
}

func blank(text []byte) bool {
	for _, c := range text {
		if c != '\n' && c != '\r' && c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

func usable(key *ecdsa.PublicKey) bool { return key != nil && key.Curve == elliptic.P256() }
