package twofactor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/npmauth/npmauth/credential"
)

// keys derive the parts of store keys that depend on a value that people type. Store keys are
// readable in a sealed store, too, and a plain digest could be searched for among the million
// values of a code, or among those of sixteen digits.
type keys struct {
	reuse [32]byte // names records of reuse
	typed [32]byte // for the typed codes of challenges
}

// keys reads the server's key once and then derives from its copy.
func (m *Manager) keys(ctx context.Context) (k keys, err error) {
	for _, key := range []struct {
		to      *[32]byte
		purpose string
	}{
		{&k.reuse, "twofactor: grant 1"},
		{&k.typed, "twofactor: typed code 1"},
	} {
		if *key.to, err = m.serverKey.Derive(ctx, key.purpose); err != nil {
			return keys{}, fmt.Errorf("twofactor: %w", err)
		}
	}
	return k, nil
}

// mac returns a digest of parts that only the key can compute, and that no other list of parts
// has.
func mac(key [32]byte, parts ...string) credential.Digest {
	h := hmac.New(sha256.New, key[:])
	write(h, parts)
	return credential.Digest(h.Sum(nil))
}
