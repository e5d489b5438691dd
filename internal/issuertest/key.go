package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// A key signs tokens that name it.
type key struct {
	id        string
	algorithm string
	private   crypto.Signer
}

// Sign returns a token of any header and payload, as RS256 or ES256 sign them by the type of the key: of an
// *rsa.PrivateKey or *ecdsa.PrivateKey. Any other panics.
func Sign(header, payload []byte, private crypto.Signer) string {
	signed := encodeBase64(header) + "." + encodeBase64(payload)
	sum := sha256.Sum256([]byte(signed))
	switch private := private.(type) {
	case *rsa.PrivateKey:
		signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return signed + "." + encodeBase64(signature)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			panic(err)
		}
		size := (private.Curve.Params().BitSize + 7) / 8
		return signed + "." + encodeBase64(append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...))
	}
	panic(fmt.Sprintf("issuertest: a key of type %T", private))
}

// JWK returns the members of a published key (RFC 7517): of an *rsa.PublicKey or *ecdsa.PublicKey. Any other panics.
func JWK(id string, public crypto.PublicKey) map[string]any {
	switch public := public.(type) {
	case *rsa.PublicKey:
		e := big.NewInt(int64(public.E)).Bytes()
		return map[string]any{"kty": "RSA", "use": "sig", "kid": id, "n": encodeBase64(public.N.Bytes()), "e": encodeBase64(e)}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(point) / 2 // of each number, which follow a byte that says that there are two
		return map[string]any{
			"kty": "EC", "use": "sig", "kid": id, "crv": public.Curve.Params().Name,
			"x": encodeBase64(point[1 : 1+size]), "y": encodeBase64(point[1+size:]),
		}
	}
	panic(fmt.Sprintf("issuertest: a key of type %T", public))
}

func encodeBase64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
